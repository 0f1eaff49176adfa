"""The agent as a process: it follows, is killed and restarted, and mends what others do."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from builders import namespace, pod, pods, policy, rule, world
from cluster import BASE, Cluster, Object
from kernel_text import KernelText, kernel_text
from live import gone, known
from live_node import SYNC_SECONDS, AgentProcess, LiveNode
from waiting import wait_until

from netpol.model.networks import Family
from netpol.settings import Variant

pytestmark = pytest.mark.kernel

FIRST: tuple[Object, ...] = (policy("x/p", "app=web", ingress=[rule(peers=[pods("app=api")], ports=["80/TCP"])]),)
SECOND: tuple[Object, ...] = (
    namespace("y", "team=blue", deny=True),
    policy("x/p", "app=web", ingress=[rule(peers=[pods("app in (api,other)")])]),
    policy("x/q", "app=web", ingress=[rule(ports=["81/TCP"])]),
)
"""Both let x/api reach x/web at port 80, and y/job not."""


@pytest.fixture(name="clean")
def _clean(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, with nothing of ours on node one before and after."""
    cluster.netpol("one", "cleanup")
    yield cluster
    cluster.netpol("one", "cleanup")


def follows(cluster: Cluster, *objects: Object) -> None:
    """The directory has these objects, and the kernel comes to hold them."""
    cluster.write(*objects)
    wait_until(lambda: is_right(cluster), "the kernel follows the manifests")


def is_right(cluster: Cluster) -> bool:
    """True where `netpol verify` finds no difference."""
    return cluster.netpol("one", "verify", *cluster.arguments("one")).returncode == 0


def assert_in_force(cluster: Cluster) -> None:
    """What both worlds agree on is so."""
    for family in Family:
        assert cluster.reaches("x/api", "x/web", family=family)
        assert not cluster.reaches("y/job", "x/web", family=family)


def test_it_follows_and_a_signal_leaves_the_rules_in_force(clean: Cluster, tmp_path: Path) -> None:
    clean.write(*FIRST)
    with AgentProcess(clean, tmp_path / "log") as agent:
        agent.until_said("kernel programmed")
        follows(clean, *SECOND)
        assert "NetworkPolicy changed name=x/q" in agent.said
        before = kernel_text(clean).of_ours
        assert agent.stop() == 0
    assert "Traceback" not in agent.said
    assert set(kernel_text(clean).of_ours.sets) <= set(before.sets)
    assert_in_force(clean)


def test_cleanup_on_exit_takes_everything_away(clean: Cluster, tmp_path: Path) -> None:
    clean.write(*FIRST)
    with AgentProcess(clean, tmp_path / "log", "--cleanup-on-exit") as agent:
        agent.until_said("kernel programmed")
        assert kernel_text(clean).holds_ours
        assert agent.stop() == 0
    assert "cleaned up" in agent.said
    assert not kernel_text(clean).holds_ours


def test_killed_at_any_moment_it_leaves_rules_in_force_and_mends_the_rest(clean: Cluster, tmp_path: Path) -> None:
    chance = random.Random(3)
    clean.write(*FIRST)
    for turn in range(3):
        with AgentProcess(clean, tmp_path / f"log-{turn}") as agent:
            agent.until_said("kernel programmed")
            clean.write(*(SECOND, FIRST)[turn % 2])
            time.sleep(chance.uniform(0.1, 0.9))
            agent.kill()
        assert_in_force(clean)
    with AgentProcess(clean, tmp_path / "log") as agent:
        agent.until_said("kernel programmed")
        wait_until(lambda: is_right(clean), "leftovers are mended")
        assert_in_force(clean)


# --- unknown pods (G12)


def test_a_pod_that_nobody_told_of_is_dropped_until_somebody_does(clean: Cluster, tmp_path: Path) -> None:
    stranger = pod("x/stranger", "10.1.0.77", "fd01::77", labels="app=late", node="one")
    clean.write()
    clean.lab.plug(stranger)
    try:
        with AgentProcess(clean, tmp_path / "log") as agent:
            agent.until_said("kernel programmed")
            for family in Family:
                assert not clean.reaches("x/stranger", "x/web", family=family)
                assert clean.reaches("node/one", "x/stranger", family=family), "G8"
                assert clean.reaches("node/one", "x/far", family=family)
                assert clean.reaches("x/far", "x/web", family=family)
            follows(clean, stranger)
            for family in Family:
                assert clean.reaches("x/stranger", "x/web", family=family)
        clean.write()
        with AgentProcess(clean, tmp_path / "open", "--fail-open") as agent:
            agent.until_said("kernel programmed")
            assert all(clean.reaches("x/stranger", "x/web", family=family) for family in Family)
    finally:
        clean.lab.unplug("x/stranger")


# --- what others do

DAMAGES = {
    "hooks gone": ["{iptables} -F FORWARD", "{ip6tables} -F"],
    "a rule before ours": ["{iptables} -I FORWARD 1 -s 192.0.2.1 -j DROP"],
    "nobody isolated": ["ipset flush NETPOL-ISO-IN-4"],
    "all chains gone": ["{iptables} -F", "{iptables} -X", "{ip6tables} -F", "{ip6tables} -X"],
}


MENDED = "somebody else had changed what is ours"


def is_said_more_often(agent: AgentProcess, times: int) -> bool:
    """True where it has mended something since it had done so that often."""
    return agent.said.count(MENDED) > times


def test_what_others_break_is_mended_within_the_period(clean: Cluster, tmp_path: Path) -> None:
    tools = {tool: f"{tool}-{clean.variant.value}" for tool in ("iptables", "ip6tables")}
    clean.write(*FIRST)
    with AgentProcess(clean, tmp_path / "log") as agent:
        agent.until_said("kernel programmed")
        whole = kernel_text(clean).of_ours
        damages = dict(DAMAGES)
        if clean.variant is Variant.NFT:
            damages["everything of nft gone"] = ["nft flush ruleset"]
        for damage, commands in damages.items():
            mended = agent.said.count(MENDED)
            for command in commands:
                clean.shell("one", *command.format(**tools).split())
            wait_until(partial(is_said_more_often, agent, mended), damage, SYNC_SECONDS + 2)
            assert kernel_text(clean).of_ours == whole, damage
            saved = clean.shell("one", tools["iptables"], "-S", "FORWARD").splitlines()
            assert "-j NETPOL-FORWARD" in saved[1], damage
        assert_in_force(clean)
    clean.shell("one", tools["iptables"], "-F", "FORWARD")


def test_no_rule_of_others_is_lost_while_both_write(clean: Cluster) -> None:
    chunks, size = 50, 200
    tool = f"iptables-{clean.variant.value}"
    wait = ["-w", "30"] if clean.variant is Variant.LEGACY else []

    def write_rules() -> None:
        for chunk in range(chunks):
            lines = [f"-A FOREIGN -s 172.16.{chunk}.{number} -j ACCEPT" for number in range(size)]
            declared = [] if chunk else [":FOREIGN - [0:0]"]
            text = "\n".join(["*filter", *declared, *lines, "COMMIT", ""])
            clean.shell("one", f"{tool}-restore", *wait, "--noflush", given=text)

    writer = threading.Thread(target=write_rules)
    with LiveNode(clean, world(*BASE, *FIRST)) as node:
        writer.start()
        while writer.is_alive() or node.metric("batches_total") <= 20:
            for facts in ([known(each) for each in SECOND], [gone(SECOND[-1]), *(known(each) for each in FIRST)]):
                node.say(*facts)
                writer.join(0.02)
        node.until_right()
        assert node.metric("batches_total") > 20
        assert node.metric("in_sync") == 1
    saved = foreign(kernel_text(clean))
    clean.shell("one", tool, *wait, "-F", "FOREIGN")
    clean.shell("one", tool, *wait, "-X", "FOREIGN")
    assert len(saved) == len(set(saved)) == chunks * size


def foreign(text: KernelText) -> list[str]:
    """The rules of the others' chain."""
    return [line for lines in text.tables.values() for line in lines if line.startswith("-A FOREIGN ")]
