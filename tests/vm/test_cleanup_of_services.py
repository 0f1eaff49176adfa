"""`netpol cleanup` leaves a node as it was before the agent was there, and `netpol services` shows what there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import builders
import pytest
from forked import Command
from vm.conversation import Conversation
from vm.directory_agent import DirectoryAgent
from vm.kernel_lines import kernel_lines, make_tables
from vm.servers import Reply
from vm.service_lab import PORT, ServiceLab
from vm.service_manifests import service

pytestmark = pytest.mark.vm

WEB = service("x/web", "10.96.0.10", "fd00:96::10", ports="80:30080/TCP")
KEEPING = service(
    "x/keeping",
    "10.96.0.20",
    ingress=["203.0.113.20"],
    type="LoadBalancer",
    externalTrafficPolicy="Local",
    loadBalancerSourceRanges=["198.51.100.0/24"],
    annotations={"kube-router.io/service.hairpin": ""},
)
DIRECT = service(
    "x/direct",
    "10.96.0.30",
    ports=f"{PORT}/TCP",
    externalIPs=["203.0.113.30"],
    annotations={"kube-router.io/service.dsr": "tunnel"},
)
EMPTY = service("x/empty", "10.96.0.40", ports="53/UDP")
CLIENT, VIP = "outside/near", "10.96.0.10"


@pytest.fixture
def lab() -> Iterator[ServiceLab]:
    with ServiceLab() as built:
        yield built


@pytest.fixture
def before(lab: ServiceLab) -> frozenset[str]:
    """What the node's kernel held before the agent was there."""
    make_tables(lab)
    return kernel_lines(lab)


def netpol(lab: ServiceLab, *arguments: str) -> str:
    """What the command says on the node, where it succeeds without a complaint."""
    answer = Command(lab.node, arguments).wait()
    assert (answer.returncode, answer.stderr) == (0, "")
    return answer.stdout


def serving(lab: ServiceLab, directory: Path, *flags: str) -> DirectoryAgent:
    """The agent, with services of every kind."""
    agent = DirectoryAgent(lab, directory, *flags)
    slices = [each for name in ("x/web", "x/keeping", "x/direct") for each in agent.slices(name)]
    agent.put(WEB, KEEPING, DIRECT, EMPTY, *slices)
    return agent


def test_nothing_is_left_even_of_what_drains(lab: ServiceLab, before: frozenset[str], tmp_path: Path) -> None:
    with (
        serving(lab, tmp_path, "--ipvs-graceful-period=1h", "--run-firewall") as agent,
        Conversation(lab.endpoint(CLIENT), builders.address(VIP), 80) as held,
    ):
        reply = held.ask()
        assert isinstance(reply, Reply)
        agent.put(*agent.slices("x/web", [name for name in lab.web if name != reply.name]))
        assert f"-r {lab.endpoint(reply.name).address}:{PORT} -m -w 0" in agent.virtual_servers()
    assert kernel_lines(lab) - before
    assert " virtual servers, " in netpol(lab, "cleanup")
    now = kernel_lines(lab)
    assert sorted(now - before) == []
    assert sorted(before - now) == []
    assert netpol(lab, "cleanup") == "nothing of ours was there\n"


def test_what_others_have_stays(lab: ServiceLab, before: frozenset[str], tmp_path: Path) -> None:
    for command in (
        "ipvsadm -A -t 198.18.0.1:80 -s wlc",
        "ipvsadm -A -f 7 -s lc",
        "ipset create THEIRS hash:ip",
        "iptables -A INPUT -m set --match-set THEIRS src -j DROP",
        "ip link add keepalived0 type dummy",
        "ip addr add 198.18.0.1/32 dev keepalived0",
        "ip rule add fwmark 7 lookup 100",
    ):
        lab.run(*command.split())
    theirs = kernel_lines(lab)
    assert len(theirs - before) >= 6
    with serving(lab, tmp_path):
        pass
    netpol(lab, "cleanup")
    assert kernel_lines(lab) == theirs


def test_an_agent_that_cleans_up_leaves_nothing(lab: ServiceLab, before: frozenset[str], tmp_path: Path) -> None:
    with serving(lab, tmp_path, "--cleanup-on-exit", "--run-firewall"):
        assert kernel_lines(lab) - before
    assert kernel_lines(lab) == before


def test_what_is_served_is_shown_in_every_state(lab: ServiceLab, before: frozenset[str], tmp_path: Path) -> None:
    assert netpol(lab, "services", "-o", "json") == "[]\n"
    with (
        serving(lab, tmp_path, "--ipvs-graceful-period=1h") as agent,
        Conversation(lab.endpoint(CLIENT), builders.address(VIP), 80) as held,
    ):
        reply = held.ask()
        assert isinstance(reply, Reply)
        agent.put(*agent.slices("x/web", [name for name in lab.web if name != reply.name]))
        gone = str(lab.endpoint(reply.name).address)
        (web,) = shown(lab, "10.96.0.10")
        assert web["service"] == "x/web:80"
        assert {each["address"]: (each["weight"], each["draining"], each["active"]) for each in web["endpoints"]} == {
            str(lab.endpoint(name).address): (0, True, 1) if name == reply.name else (1, False, 0) for name in lab.web
        }
        table = [line.split() for line in netpol(lab, "services", "web").splitlines()]
        assert [f"{gone}:{PORT}", "0", "1", "0", "draining"] in [line[-5:] for line in table]
        (empty,) = shown(lab, "10.96.0.40")
        assert empty["endpoints"] == []
        assert "connections are refused" in netpol(lab, "services", "empty")
        assert {each["for"] for each in shown(lab, "203.0.113.20")} == {"load balancer"}
        (direct,) = shown(lab, "203.0.113.30")
        assert {each["forwarding"] for each in direct["endpoints"]} == {"tunnel"}
    assert [each["draining"] for each in shown(lab, "10.96.0.10")[0]["endpoints"]].count(True) == 1
    netpol(lab, "cleanup")
    assert netpol(lab, "services", "-o", "json") == "[]\n"
    assert kernel_lines(lab) == before


def shown(lab: ServiceLab, address: str) -> list[dict[str, Any]]:
    """What is shown of the virtual servers at this address."""
    found: list[dict[str, Any]] = json.loads(netpol(lab, "services", "-o", "json"))
    return [each for each in found if each["address"] == address]
