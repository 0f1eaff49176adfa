"""Runs write the difference and nothing else, and mend whatever happened to our rules in between."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest
from builders import EGRESS, beta, block, namespace, pod, pods, policy, rule
from cluster import Cluster
from forked import Command
from kernel_text import KernelText, kernel_text

from netpol.compiler.names import group_set
from netpol.lab.namespace import Namespace
from netpol.model.networks import Family
from netpol.model.policies import Direction, Policy

pytestmark = pytest.mark.kernel

ISOLATED_Y = namespace("y", "team=blue", deny=True)
WEB_IN = policy(
    "x/web-in",
    "app=web",
    ingress=[
        rule(peers=[pods("app=api")], ports=["80/TCP", "53/UDP"]),
        rule(peers=[block("10.0.0.0/8", "10.1.0.0/16")]),
    ],
)
API_OUT = policy("x/api-out", "app=api", egress=[rule(peers=[pods("app=web")], ports=["http/TCP"])], directions=EGRESS)
JOB_IN = beta("y/job-in", "app=job", ingress=[rule(peers=[pods(namespaces="team=red")])])
ALL = (ISOLATED_Y, WEB_IN, API_OUT, JOB_IN)
LIST = group_set("x", "web", Direction.INGRESS, "TCP 80")

COUNTED = re.compile(r"\[(\d+):(\d+)\] (-A .*)")


def said(cluster: Cluster) -> str:
    """What a run on node one says it changed."""
    answer = cluster.run_on("one")
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip().partition("): ")[2]


def counters(text: KernelText) -> dict[tuple[str, int, str], int]:
    """How many packets each rule of ours has met, the rules told apart by tool, place and text."""
    lines = [
        (tool, place, COUNTED.fullmatch(line))
        for tool, ls in text.of_ours.tables.items()
        for place, line in enumerate(ls)
    ]
    return {(tool, place, found[3]): int(found[1]) for tool, place, found in lines if found}


def test_a_second_run_writes_nothing(cluster: Cluster) -> None:
    cluster.enforce(*ALL)
    cluster.probe("80/TCP")
    before = kernel_text(cluster, counters=True)
    assert said(cluster) == "nothing to change"
    after = kernel_text(cluster, counters=True)
    assert after.sets == before.sets
    # A chain that is written again counts from nought.
    then, now = counters(before), counters(after)
    assert sum(then.values()) > 0
    assert now.keys() == then.keys()
    assert all(now[key] >= packets for key, packets in then.items())


def test_a_new_peer_is_a_member_of_its_sets_and_nothing_else_changes(cluster: Cluster) -> None:
    """Of the api pods and of the pods of red namespaces, in each family."""
    cluster.enforce(*ALL)
    before = kernel_text(cluster)
    cluster.write(*ALL, pod("x/api-2", "10.2.0.99", "fd02::99", labels="app=api", node="two"))
    assert said(cluster) == "4 members added"
    after = kernel_text(cluster)
    assert after.tables == before.tables
    added = set(after.sets) - set(before.sets)
    assert sorted(line.split()[2] for line in added) == ["10.2.0.99"] * 2 + ["fd02::99"] * 2
    assert set(before.sets) <= set(after.sets)


def test_a_pods_new_policy_leaves_the_chains_of_others_alone(cluster: Cluster) -> None:
    cluster.enforce(*ALL)
    cluster.probe("80/TCP")
    before = counters(kernel_text(cluster, counters=True))
    more = policy("x/api-more", "app=api", egress=[rule(ports=["443/TCP"])], directions=EGRESS)
    cluster.write(*ALL, more)
    assert "2 chains written" in said(cluster)
    after = {
        (tool, text): packets for (tool, _, text), packets in counters(kernel_text(cluster, counters=True)).items()
    }
    kept = {(tool, text): packets for (tool, _, text), packets in before.items() if "egress of x/api" not in text}
    assert sum(packets for (_, text), packets in kept.items() if "ingress of x/web" in text) > 0
    assert all(after[key] >= packets for key, packets in kept.items())


DAMAGES = {
    "a rule before our hook": ["{iptables} -I FORWARD 1 -s 192.0.2.1 -j DROP"],
    "no hook": ["{iptables} -D FORWARD 1"],
    "no hooks": ["{iptables} -F FORWARD", "{ip6tables} -F INPUT", "{ip6tables} -F OUTPUT"],
    "a chain emptied": ["{ip6tables} -F NETPOL-INGRESS"],
    "a rule lost": ["{iptables} -D NETPOL-FORWARD 2"],
    "a rule gained": ["{iptables} -I NETPOL-FORWARD 1 -s 10.1.0.12 -j ACCEPT"],
    "a left-over chain": [
        "{iptables} -N NETPOL-PI-AAAAAAAAAAAAAAAA",
        "{iptables} -A NETPOL-PI-AAAAAAAAAAAAAAAA -j DROP",
    ],
    "a left-over jump": ["{iptables} -I INPUT 1 -j NETPOL-FORWARD"],
    "nobody isolated": ["ipset flush NETPOL-ISO-IN-4"],
    "somebody isolated": ["ipset add NETPOL-ISO-IN-6 fd01::9"],
    "a stranger let in": ["ipset add NETPOL-UNKNOWN-4 10.1.0.99 nomatch"],
    "a list emptied": [f"ipset flush {LIST}"],
    "a left-over set": [
        "ipset create NETPOL-P4-AAAAAAAAAAAAAAAA hash:ip comment",
        "ipset add NETPOL-P4-AAAAAAAAAAAAAAAA 10.1.0.9",
    ],
    "a left-over list": ["ipset create NETPOL-LI-AAAAAAAAAAAAAAAA list:set comment"],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_seen_and_mended(cluster: Cluster, damage: str) -> None:
    cluster.enforce(*ALL)
    verify = ("verify", *cluster.arguments("one"))
    assert cluster.netpol("one", *verify).returncode == 0
    whole = kernel_text(cluster).of_ours
    for command in DAMAGES[damage]:
        tools = {tool: f"{tool}-{cluster.variant.value}" for tool in ("iptables", "ip6tables")}
        cluster.shell("one", *command.format(**tools).split())
    assert kernel_text(cluster).of_ours != whole or damage == "a rule before our hook"
    drift = cluster.netpol("one", *verify)
    assert drift.returncode == 1, drift.stdout
    assert drift.stdout.strip()
    assert said(cluster) != "nothing to change"
    assert kernel_text(cluster).of_ours == whole
    assert cluster.netpol("one", *verify).returncode == 0
    assert said(cluster) == "nothing to change"
    for tool in ("iptables", "ip6tables"):
        saved = cluster.shell("one", f"{tool}-{cluster.variant.value}", "-S", "FORWARD").splitlines()
        assert "-j NETPOL-FORWARD" in saved[1]
    if damage == "a rule before our hook":
        cluster.shell("one", f"iptables-{cluster.variant.value}", "-D", "FORWARD", "-s", "192.0.2.1", "-j", "DROP")


def test_a_run_that_was_killed_is_finished_by_the_next(cluster: Cluster) -> None:
    """Whatever step it had reached: the first of these delays ends it before it writes, the last after."""
    cluster.enforce(*ALL)
    whole = kernel_text(cluster).of_ours
    other: tuple[Policy, ...] = (policy("x/deny", "app=api"), policy("y/deny", directions=EGRESS))
    for milliseconds in range(40, 400, 60):
        cluster.write(*other)
        kill_after(cluster.lab.namespace("node/one"), cluster.run_arguments("one"), milliseconds / 1000)
        cluster.write(*ALL)
        said(cluster)
        assert kernel_text(cluster).of_ours == whole
    table = cluster.probe("80/TCP", "81/TCP", destinations=["x/web"])
    assert table.reaching("x/web", "80/TCP", Family.IPV6) == {"x/api"}
    assert table.reaching("x/web", "81/TCP", Family.IPV4) == {"x/far", "y/other"}


def kill_after(namespace: Namespace, arguments: list[str], seconds: float) -> None:
    """Run netpol, and kill it, and whatever tool it has started, without a warning."""
    command = Command(namespace, arguments)
    time.sleep(seconds)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
