"""Connections that are cut: whose, by which addresses of the node, and who is remembered for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest
from between import kernel_of
from builders import address, namespace, node, pod, pods, policy, rule, world

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.names import cut_set
from netpol.compiler.ruleset import AddressPortAddress, IpSet, Member
from netpol.control.cutter import REVIEW_SHARE, Cutter
from netpol.dataplane.apply import apply
from netpol.dataplane.kernel import Flow
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.plan import plan
from netpol.errors import KernelRefusal
from netpol.model.networks import Address, Family, family_of
from netpol.model.policies import Policy
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.policy.verdict import Oracle
from netpol.settings import NodeOptions

FOUR = Family.IPV4
OPTIONS = NodeOptions("n1")
WEB, FRIEND, STRANGER, BRIDGE = map(address, ("10.0.0.2", "10.0.0.3", "198.51.100.7", "10.0.0.1"))
WEB_6, STRANGER_6 = address("fd00::2"), address("2001:db8::7")
SHUT = policy("x/p", "app=web", ingress=[rule([pods("app=friend")], ["80/TCP", "53/UDP"])])
OPEN = policy("x/p", "app=web", ingress=[rule()])


def cluster(*policies: Policy) -> Snapshot:
    return world(
        namespace("x"),
        node("n1", "192.0.2.1", pod_cidrs=["10.0.0.0/28"]),
        pod("x/web", "10.0.0.2", "fd00::2", labels="app=web", node="n1"),
        pod("x/friend", "10.0.0.3", "fd00::3", labels="app=friend", node="n1"),
        *policies,
    )


def flow(source: Address, destination: Address, protocol: Protocol = Protocol.TCP, port: int = 80) -> Flow:
    return Flow(source, destination, protocol, port, handle=f"{source}>{destination}:{port}{protocol}".encode())


def udp(source: Address, destination: Address = WEB) -> Flow:
    return flow(source, destination, Protocol.UDP, 53)


class Cutting:
    """A cutter, the connections of a kernel in memory, and the addresses of the node as they are at the moment."""

    def __init__(self, families: tuple[Family, ...] = tuple(Family), max_members: int = 1 << 10) -> None:
        self.memory = MemoryKernel(max_members)
        self.options = replace(OPTIONS, families=families)
        self.own = frozenset({BRIDGE, address("192.0.2.1")})
        self.times_asked = 0
        kernel = kernel_of(self.memory)
        apply(plan(compile_ruleset(cluster(OPEN), self.options), kernel.read(families)), kernel)
        self.now = self.seconds_a_look = 0.0
        self.cutter = Cutter(kernel, "n1", self._read_addresses, self._clock)

    def open(self, *flows: Flow) -> None:
        for each in flows:
            self.memory.flows.open(family_of(each.source), each)

    def cut(self, *policies: Policy, touching: set[Address] | None = None) -> int:
        snapshot = cluster(*policies)
        sets = compile_ruleset(snapshot, self.options).sets
        return self.cutter.cut(snapshot, Oracle(snapshot), sets, touching)

    def living(self, family: Family = FOUR) -> list[Flow]:
        return list(self.memory.flows.read(family))

    def remembered(self, family: Family = FOUR) -> frozenset[Member]:
        return self.memory.sets.read()[cut_set(family)].members

    def _clock(self) -> float:
        self.now += self.seconds_a_look
        return self.now

    def _read_addresses(self) -> frozenset[Address]:
        self.times_asked += 1
        return self.own


@pytest.fixture(name="cutting")
def _cutting() -> Cutting:
    return Cutting()


# --- whose


def test_what_is_denied_is_cut_in_both_families_and_the_rest_lives(cutting: Cutting) -> None:
    friendly = flow(FRIEND, WEB)
    cutting.open(friendly, flow(STRANGER, WEB), flow(STRANGER_6, WEB_6))
    assert cutting.cut(SHUT) == 2
    assert (cutting.living(), cutting.living(Family.IPV6)) == ([friendly], [])


def test_a_family_that_is_not_written_is_left_alone() -> None:
    cutting = Cutting((FOUR,))
    cutting.open(flow(STRANGER, WEB), flow(STRANGER_6, WEB_6))
    assert cutting.cut(SHUT) == 1
    assert len(cutting.living(Family.IPV6)) == 1


def test_only_those_that_touch_the_addresses_are_looked_at(cutting: Cutting) -> None:
    other = flow(address("198.51.100.8"), WEB)
    cutting.open(flow(STRANGER, WEB), other)
    assert cutting.cut(SHUT, touching={STRANGER}) == 1
    assert cutting.living() == [other]
    assert cutting.cut(SHUT, touching={WEB}) == 1


def test_where_nothing_is_denied_nothing_is_deleted(cutting: Cutting, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("there is nothing to delete")

    cutting.open(flow(FRIEND, WEB))
    monkeypatch.setattr(cutting.memory.flows, "delete", refuse)
    assert cutting.cut(SHUT) == 0


def test_what_an_unknown_address_has_open_is_cut(cutting: Cutting) -> None:
    """G12: one of the node's range that no pod has."""
    cutting.open(flow(address("10.0.0.9"), STRANGER), flow(STRANGER, address("10.0.0.9")))
    assert cutting.cut() == 2


# --- by which addresses of the node


def test_the_nodes_own_connections_live(cutting: Cutting) -> None:
    """G8."""
    cutting.open(flow(BRIDGE, WEB))
    assert cutting.cut(SHUT) == 0


def test_an_address_that_came_to_the_node_is_seen_before_its_connections_are_cut(cutting: Cutting) -> None:
    cutting.cut(SHUT)
    cutting.own |= {STRANGER}
    cutting.open(flow(STRANGER, WEB))
    assert cutting.cut(SHUT, touching={WEB}) == 0
    assert len(cutting.living()) == 1


def test_an_address_that_the_node_lost_is_missed_when_all_are_looked_at(cutting: Cutting) -> None:
    cutting.own |= {STRANGER}
    cutting.open(flow(STRANGER, WEB))
    assert cutting.cut(SHUT) == 0
    cutting.own -= {STRANGER}
    assert cutting.cut(SHUT) == 1


def test_they_are_not_asked_for_while_nothing_is_to_be_cut(cutting: Cutting) -> None:
    cutting.open(flow(FRIEND, WEB))
    cutting.cut(SHUT)
    asked = cutting.times_asked
    for _ in range(5):
        cutting.cut(SHUT, touching={WEB})
    assert cutting.times_asked == asked


# --- who is remembered


def answering(client: Address) -> AddressPortAddress:
    return AddressPortAddress(WEB.packed, Protocol.UDP, 53, client.packed)


def test_an_earlier_run_may_have_left_something_to_forget(cutting: Cutting) -> None:
    assert cutting.cutter.remembers()
    cutting.cut(OPEN)
    assert not cutting.cutter.remembers()


def test_who_answered_a_flow_of_udp_is_remembered_while_it_is_denied(cutting: Cutting) -> None:
    cutting.open(udp(STRANGER), flow(STRANGER, WEB))
    assert cutting.cut(SHUT) == 2
    assert cutting.cutter.remembers()
    assert cutting.remembered() == {answering(STRANGER)}
    assert cutting.cut(SHUT, touching=set()) == 0
    assert cutting.remembered() == {answering(STRANGER)}


def test_it_is_forgotten_once_the_policies_allow_it(cutting: Cutting) -> None:
    cutting.open(udp(STRANGER))
    cutting.cut(SHUT)
    cutting.cut(OPEN, touching=set())
    assert cutting.remembered() == frozenset()
    assert not cutting.cutter.remembers()


def test_what_the_kernel_has_forgotten_by_itself_is_no_reason_to_look_again(cutting: Cutting) -> None:
    cutting.open(udp(STRANGER))
    cutting.cut(SHUT)
    cutting.memory.sets.remove(cut(FOUR), cutting.remembered())
    cutting.cut(SHUT, touching=set())
    assert not cutting.cutter.remembers()


def test_what_takes_long_to_look_at_is_looked_at_now_and_then(cutting: Cutting) -> None:
    cutting.open(udp(STRANGER))
    cutting.seconds_a_look = 0.5
    cutting.cut(SHUT)
    pause = cutting.cutter.review_wait_seconds()
    assert pause is None, "it was looked at"
    cutting.cut(OPEN, touching=set())
    assert cutting.remembered() == {answering(STRANGER)}
    pause = cutting.cutter.review_wait_seconds()
    assert pause == pytest.approx(0.5 / REVIEW_SHARE, abs=5)
    cutting.now += 60
    assert cutting.cutter.review_wait_seconds() == 0
    cutting.cut(OPEN, touching=set())
    assert cutting.remembered() == frozenset()
    assert cutting.cutter.review_wait_seconds() is None


def test_a_comparison_of_everything_looks_at_once(cutting: Cutting) -> None:
    cutting.open(udp(STRANGER))
    cutting.seconds_a_look = 0.5
    cutting.cut(SHUT)
    cutting.cut(OPEN)
    assert cutting.remembered() == frozenset()


def test_nobody_is_asked_what_is_remembered_where_nothing_is(cutting: Cutting, monkeypatch: pytest.MonkeyPatch) -> None:
    cutting.cut(OPEN)
    monkeypatch.delattr(type(cutting.memory.sets), "read_members")
    cutting.cut(OPEN)


def test_the_one_that_is_remembered_is_so_before_its_flow_is_gone(cutting: Cutting) -> None:
    cutting.open(udp(STRANGER))
    cutting.cut(SHUT)
    *_, added, deleted = cutting.memory.journal.operations
    assert (added.split()[0], deleted.split()[0]) == ("add", "delete")


def test_flows_are_cut_where_they_cannot_be_remembered() -> None:
    cutting = Cutting(max_members=3)
    cutting.open(*(udp(address(f"198.51.100.{number}")) for number in range(1, 9)))
    with pytest.raises(KernelRefusal, match="the set is full"):
        cutting.cut(SHUT)
    assert cutting.living() == []
    assert cutting.cut(SHUT) == 0


def cut(family: Family) -> IpSet:
    return compile_ruleset(cluster(), OPTIONS).sets[cut_set(family)]


def test_a_kernel_that_does_not_tell_its_flows_is_a_refusal(cutting: Cutting, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> list[Flow]:
        raise KernelRefusal("conntrack cannot be read")

    monkeypatch.setattr(cutting.memory.flows, "read", refuse)
    with pytest.raises(KernelRefusal, match="conntrack cannot"):
        cutting.cut(SHUT)
