"""A namespace that is deleted takes all its services with it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import builders
import pytest
from vm.both_controllers import told
from vm.conversation import Conversation, answering, ask
from vm.directory_agent import DirectoryAgent
from vm.kernel_lines import kernel_lines, make_tables
from vm.servers import Reply
from vm.service_lab import PORT, ServiceLab
from vm.service_manifests import service
from world_manifests import Manifest

from netpol.lab.prober import Outcome
from netpol.model.networks import Family

pytestmark = pytest.mark.vm

KEPT = "10.96.0.10", "fd00:96::10"
GONE = "10.96.0.20", "fd00:96::20", "203.0.113.20", "2001:db8:113::20", "203.0.113.21"
DIRECT = "203.0.113.22"
NODE_PORT = 30020
EVERY_KIND = {"virtual server", "set", "address, link, route or rule"}
OTHERS = """\
-A -t 198.18.0.1:80 -s wlc
-a -t 198.18.0.1:80 -r 10.1.0.10:8080 -m -w 3
-A -f 7 -s lc
"""


def of_a_tenant(agent: DirectoryAgent) -> list[Manifest]:
    """A namespace whose services have everything that one may have, and share pods with those of another."""
    front = service(
        "y/front",
        *GONE[:2],
        ports=f"80:{NODE_PORT}/TCP",
        type="LoadBalancer",
        externalIPs=GONE[2:4],
        ingress=GONE[4:],
        loadBalancerSourceRanges=["198.51.100.0/24"],
        externalTrafficPolicy="Local",
        sessionAffinity="ClientIP",
        annotations={"kube-router.io/service.hairpin": ""},
    )
    annotations = {"kube-router.io/service.dsr": "tunnel"}
    direct = service("y/direct", "10.96.0.21", ports=f"{PORT}/TCP", externalIPs=[DIRECT], annotations=annotations)
    empty = service("y/empty", "10.96.0.22", ports="53/UDP")
    slices = [*agent.slices("y/front"), *agent.slices("y/direct")]
    return [*told(builders.namespace("y")), front, direct, empty, *slices]


def test_nothing_of_its_services_is_left_and_all_of_others_is(service_lab: ServiceLab, tmp_path: Path) -> None:
    lab = service_lab
    make_tables(lab)
    lab.run("ipvsadm", "-R", given=OTHERS)
    agent = DirectoryAgent(lab, tmp_path, "--ipvs-graceful-period=1h")
    agent.put(service("x/web", *KEPT, ports="80:30010/TCP"), *agent.slices("x/web"))
    near, gone = lab.endpoint("outside/near"), [builders.address(each) for each in GONE]
    with agent, Conversation(near, builders.address(KEPT[0]), 80) as held:
        reply, before = held.ask(), kernel_lines(lab)
        assert isinstance(reply, Reply)
        tenant = of_a_tenant(agent)
        agent.put(*tenant)
        made = kernel_lines(lab) - before
        assert {each: kinds_with(each, made) for each in GONE} == dict.fromkeys(GONE, EVERY_KIND)
        with Conversation(near, gone[2], 80) as open_since:
            assert isinstance(open_since.ask(), Reply)
            agent.remove(*tenant)
            after = kernel_lines(lab)
            assert (sorted(after - before), sorted(before - after)) == ([], [])
            assert isinstance(open_since.ask(), Outcome)
        assert all(isinstance(ask(near, each, 80, seconds=0.5), Outcome) for each in gone if each.version == 4)
        assert held.ask() == reply
        for family, vip in zip(Family, KEPT, strict=True):
            client = lab.endpoint("x/client", family)
            assert answering(client, builders.address(vip), 80, times=3) == dict.fromkeys(lab.web, 1)
    assert set(OTHERS.splitlines()) <= set(agent.virtual_servers().splitlines())


def kinds_with(address: str, lines: frozenset[str]) -> set[str]:
    """Of which kinds those of the kernel's lines are that name the address."""
    return {kind for kind in EVERY_KIND for line in lines if line.startswith(f"{kind} ") and address in line}
