"""What the nodes of a lab refuse is in one log, with the names of whoever it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import namespace, node, pod, policy, world
from cluster import write_manifests
from live import known
from world_manifests import manifests

from netpol.audit.record import PodParty, decode
from netpol.control.pending import PendingFacts
from netpol.demo.agents import run_agents
from netpol.demo.audit_log import LabRecorders, recorded
from netpol.demo.measurement import measure
from netpol.errors import KernelRefusal
from netpol.lab.lab import Lab
from netpol.model.facts import Fact
from netpol.model.ports import ProtocolPort

NODES = node("n1", "192.168.70.1", pod_cidrs=["10.7.1.0/24"]), node("n2", "192.168.70.2", pod_cidrs=["10.7.2.0/24"])
PODS = (
    pod("x/web", "10.7.1.10", labels="app=web", node="n1"),
    pod("x/api", "10.7.2.10", labels="app=api", node="n2"),
)
PORT = ProtocolPort.parse("80/TCP")


def test_every_recorder_is_told_what_is_new_once_the_kernels_hold_it() -> None:
    told: list[Fact] = []
    home, closed = namespace("x"), policy("x/closed")
    recorders = LabRecorders([PendingFacts(lambda facts, *_: told.extend(facts), lambda: 0) for _ in range(2)])
    with recorders.programming(world(home)):
        assert told == []
    assert told == [known(home)] * 2
    with pytest.raises(KernelRefusal), recorders.programming(world(home, closed)):
        raise KernelRefusal("it did not take them")
    assert told == [known(home)] * 2
    with recorders.programming(world(home, closed)):
        pass
    assert told == [*[known(home)] * 2, *[known(closed)] * 2]


@pytest.mark.kernel
def test_refusals_of_every_node_are_in_the_log(tmp_path: Path) -> None:
    closed = policy("x/closed")
    snapshot = world(namespace("x"), *NODES, *PODS, closed)
    directory, path = tmp_path / "manifests", tmp_path / "audit.log"
    directory.mkdir()
    write_manifests(directory, manifests(snapshot))
    with Lab(NODES, PODS) as lab, recorded(lab, path) as recorders:
        with recorders.programming(snapshot):
            run_agents(lab, directory)
        assert measure(lab, snapshot, [PORT]).differences == ()
    found = [decode(line) for line in path.read_bytes().splitlines()]
    assert {(record.node, record.subject.name) for record in found if isinstance(record.subject, PodParty)} == {
        ("n1", "web"),
        ("n2", "api"),
    }
    assert {entry.name for record in found for entry in record.isolating} == {"closed"}
