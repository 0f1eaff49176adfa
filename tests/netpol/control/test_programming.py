"""Programming a kernel once: what is written, what is tried again, and what is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from between import FAMILIES, kernel_of
from builders import address, namespace, node, pod, pods, policy, rule

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.names import cut_set
from netpol.compiler.ruleset import AddressPortAddress, IpSet, Member, SetType
from netpol.control import cutter
from netpol.control.programming import Programming, program
from netpol.dataplane.apply import Kernel
from netpol.dataplane.keeper import ATTEMPTS
from netpol.dataplane.kernel import Flow, KernelTable
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.outcome import Outcome
from netpol.dataplane.plan import Held, plan
from netpol.dataplane.render import RenderedTable
from netpol.dataplane.steps import ReplaceMembers, WriteTable
from netpol.errors import KernelRefusal
from netpol.model.networks import Address, Family
from netpol.model.policies import Policy
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions

FOUR = Family.IPV4
NOTHING = RenderedTable({}, {})
OPEN: tuple[Policy, ...] = ()
CLOSED = (policy("x/p", "app=server", ingress=[rule([pods("app=friend")], ["80/TCP"])]),)
OTHERWISE = (policy("x/p", "app=server", ingress=[rule([pods("app=other")], ["80/TCP"])]),)


def target(policies: Sequence[Policy], families: tuple[Family, ...] = FAMILIES) -> Programming:
    world = Snapshot.of(
        [namespace("x")],
        [
            pod("x/server", "10.0.0.2", "fd00::2", labels="app=server", node="n1"),
            pod("x/friend", "10.0.0.3", "fd00::3", labels="app=friend", node="n1"),
        ],
        [node("n1", "192.0.2.1")],
        policies,
    )
    return Programming(world, compile_ruleset(world, NodeOptions("n1", families)), "n1")


@pytest.fixture(autouse=True)
def _no_own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node's addresses are those of these tests, not of the machine they run on."""
    monkeypatch.setattr(cutter, "local_addresses", lambda: frozenset[Address]({address("192.0.2.1")}))


@pytest.fixture(name="memory")
def _memory() -> MemoryKernel:
    return MemoryKernel()


def holds(memory: MemoryKernel, wanted: Programming) -> bool:
    """True where the kernel has what is wanted and nothing else of ours."""
    return plan(wanted.ruleset, kernel_of(memory).read(FAMILIES)) == ()


def flow(source: str, destination: str) -> Flow:
    return Flow(address(source), address(destination), Protocol.TCP, 80, handle=f"{source}>{destination}".encode())


# --- writing


def test_an_empty_kernel_is_programmed_and_the_outcome_says_so(memory: MemoryKernel) -> None:
    outcome = program(target(CLOSED), kernel_of(memory))
    assert holds(memory, target(CLOSED))
    chains = sum(len(table.chains) for table in target(CLOSED).ruleset.tables.values())
    assert str(outcome) == f"{len(target(CLOSED).ruleset.sets)} sets created, 8 members added, {chains} chains written"


def test_a_second_run_writes_nothing_and_says_so(memory: MemoryKernel) -> None:
    program(target(CLOSED), kernel_of(memory))
    operations = list(memory.journal.operations)
    outcome = program(target(CLOSED), kernel_of(memory))
    assert (outcome, str(outcome)) == (Outcome(()), "nothing to change")
    assert memory.journal.operations == operations


def test_a_change_writes_the_difference(memory: MemoryKernel) -> None:
    program(target(CLOSED), kernel_of(memory))
    outcome = program(target(OTHERWISE), kernel_of(memory))
    assert holds(memory, target(OTHERWISE))
    assert not any(isinstance(step, WriteTable) for step in outcome.steps)
    assert str(outcome) == "2 sets created, 2 members added, 2 members removed, 2 sets destroyed"


def test_an_outcome_counts_every_kind_of_step() -> None:
    named = IpSet("a", SetType.SETS, None)
    hooked = WriteTable(FOUR, ("-I INPUT 1 -j NETPOL-INPUT",), (), NOTHING, NOTHING)
    assert str(Outcome((ReplaceMembers(named, (), ()), hooked))) == "1 tables hooked anew"
    assert str(Outcome((), superseded_chains=3, flows_cut=2)) == (
        "3 chains of another variant removed, 2 connections cut"
    )


def test_a_family_that_is_off_loses_what_an_earlier_run_wrote(memory: MemoryKernel) -> None:
    program(target(CLOSED), kernel_of(memory))
    only_four = target(CLOSED, (FOUR,))
    program(only_four, kernel_of(memory))
    assert memory.sets.read() == only_four.ruleset.sets
    assert not memory.tables.read(Family.IPV6).chains


# --- refusals


def test_a_refusal_leaves_the_kernel_as_it_was(memory: MemoryKernel) -> None:
    program(target(CLOSED), kernel_of(memory))
    held = kernel_of(memory).read(FAMILIES)
    memory.journal.refuse(after=3)
    with pytest.raises(KernelRefusal, match="as the test told the kernel to"):
        program(target(OPEN), kernel_of(memory))
    assert kernel_of(memory).read(FAMILIES) == held


class Meddling:
    """Tables in which another run makes a chain just before each of the first writes, which fails for that."""

    def __init__(self, memory: MemoryKernel, times: int) -> None:
        self._memory = memory
        self.times = times

    def read(self, family: Family) -> KernelTable:
        return self._memory.tables.read(family)

    def write(self, family: Family, lines: Sequence[str]) -> None:
        if self.times:
            self.times -= 1
            self._memory.tables.plant(FOUR, f"NETPOL-PI-{'ABC'[self.times] * 16}")
            raise KernelRefusal("iptables-restore: line 1 failed")
        self._memory.tables.write(family, lines)


@pytest.mark.parametrize("times", range(ATTEMPTS))
def test_what_another_writer_changed_is_read_and_planned_again(memory: MemoryKernel, times: int) -> None:
    kernel = Kernel(memory.sets, Meddling(memory, times), memory.flows)
    program(target(CLOSED), kernel)
    assert holds(memory, target(CLOSED))


def test_it_is_not_tried_for_ever(memory: MemoryKernel) -> None:
    meddling = Meddling(memory, ATTEMPTS)
    with pytest.raises(KernelRefusal, match="line 1 failed"):
        program(target(CLOSED), Kernel(memory.sets, meddling, memory.flows))
    assert meddling.times == 0
    assert memory.sets.read() == {}


def test_what_nobody_changed_is_not_tried_again(memory: MemoryKernel) -> None:
    class Refusing:
        """Tables that take nothing."""

        writes = 0
        read = memory.tables.read

        def write(self, family: Family, lines: Sequence[str]) -> None:
            self.writes += 1
            raise KernelRefusal(f"IPv{family.value}: none of {len(lines)} lines")

    refusing = Refusing()
    with pytest.raises(KernelRefusal, match="none of"):
        program(target(CLOSED), Kernel(memory.sets, refusing, memory.flows))
    assert refusing.writes == 1


# --- another variant


class TwoVariants:
    """A kernel whose sets the rules of two variants match."""

    def __init__(self) -> None:
        self.now, self.former = MemoryKernel(), MemoryKernel()
        now, former = self.now.tables, self.former.tables
        self.former.tables = type(former)(self.now.journal, self.now.sets)
        self.now.sets.referred_by_rules = lambda name: now.refers_to_set(name) or self.former.tables.refers_to_set(name)

    def kernel(self) -> Kernel:
        return kernel_of(self.now)

    def former_kernel(self) -> Kernel:
        return Kernel(self.now.sets, self.former.tables, self.now.flows)


def test_rules_of_another_variant_go_and_then_the_sets_they_used() -> None:
    host = TwoVariants()
    program(target(CLOSED), host.former_kernel())
    outcome = program(target(OTHERWISE), host.kernel(), [host.former.tables])
    assert host.kernel().read(FAMILIES).sets == target(OTHERWISE).ruleset.sets
    assert not any(host.former.tables.read(family).chains for family in FAMILIES)
    chains = sum(len(table.chains) for table in target(CLOSED).ruleset.tables.values())
    assert f"{chains} chains of another variant removed" in str(outcome)


def test_until_the_new_variant_judges_the_old_one_does() -> None:
    host = TwoVariants()
    program(target(CLOSED), host.former_kernel())
    held = host.former_kernel().read(FAMILIES)
    host.now.journal.refuse(after=0)
    with pytest.raises(KernelRefusal):
        program(target(OTHERWISE), host.kernel(), [host.former.tables])
    assert host.former_kernel().read(FAMILIES) == held


def test_another_variant_without_rules_of_ours_is_left_alone(memory: MemoryKernel) -> None:
    class Absent:
        """Tables that cannot be read: the kernel has no such half."""

        def read(self, family: Family) -> KernelTable:
            raise KernelRefusal(f"no table for IPv{family.value}")

        def write(self, family: Family, lines: Sequence[str]) -> None:
            raise AssertionError(f"nothing of ours is there, but {lines} are written for {family}")

    outcome = program(target(CLOSED), kernel_of(memory), [Absent(), MemoryKernel().tables])
    assert outcome.superseded_chains == 0
    assert holds(memory, target(CLOSED))


def test_a_hook_alone_of_another_variant_goes_too() -> None:
    host = TwoVariants()
    host.former.tables.plant(FOUR, "INPUT", "-j ACCEPT", "-j NETPOL-INPUT")
    program(target(CLOSED), host.kernel(), [host.former.tables])
    assert host.former.tables.rules(FOUR, "INPUT") == ("-j ACCEPT",)


def test_chains_of_another_variant_that_others_hold_are_told() -> None:
    host = TwoVariants()
    program(target(CLOSED), host.former_kernel())
    host.former.tables.plant(FOUR, "OTHERS", "-j NETPOL-FORWARD")
    with pytest.raises(KernelRefusal, match="NETPOL-FORWARD"):
        program(target(CLOSED), host.kernel(), [host.former.tables])


# --- cutting


def test_what_the_policies_deny_is_cut_and_the_rest_lives(memory: MemoryKernel) -> None:
    """G11."""
    program(target(OPEN), kernel_of(memory))
    stranger, friend = flow("198.51.100.7", "10.0.0.2"), flow("10.0.0.3", "10.0.0.2")
    six = flow("2001:db8::9", "fd00::2")
    for family, each in ((FOUR, stranger), (FOUR, friend), (Family.IPV6, six)):
        memory.flows.open(family, each)
    outcome = program(target(CLOSED), kernel_of(memory))
    assert outcome.flows_cut == 2
    assert str(outcome).endswith(", 2 connections cut")
    assert list(memory.flows.read(FOUR)) == [friend]
    assert list(memory.flows.read(Family.IPV6)) == []


def test_what_an_earlier_run_did_not_come_to_cut_is_cut(memory: MemoryKernel) -> None:
    program(target(CLOSED), kernel_of(memory))
    memory.flows.open(FOUR, flow("198.51.100.7", "10.0.0.2"))
    assert program(target(CLOSED), kernel_of(memory)) == Outcome((), flows_cut=1)


def udp(source: str, destination: str) -> Flow:
    return replace(flow(source, destination), protocol=Protocol.UDP, port=53)


def answering(server: str, client: str) -> AddressPortAddress:
    return AddressPortAddress(address(server).packed, Protocol.UDP, 53, address(client).packed)


def remembered(memory: MemoryKernel, family: Family = FOUR) -> frozenset[Member]:
    return memory.sets.read()[cut_set(family)].members


def test_who_answered_a_udp_flow_is_remembered_before_it_is_cut(memory: MemoryKernel) -> None:
    """G11."""
    program(target(OPEN), kernel_of(memory))
    memory.flows.open(FOUR, udp("198.51.100.7", "10.0.0.2"))
    memory.flows.open(FOUR, flow("198.51.100.8", "10.0.0.2"))
    memory.flows.open(Family.IPV6, udp("2001:db8::9", "fd00::2"))
    program(target(CLOSED), kernel_of(memory))
    assert remembered(memory) == {answering("10.0.0.2", "198.51.100.7")}
    assert remembered(memory, Family.IPV6) == {answering("fd00::2", "2001:db8::9")}
    operations = list(memory.journal.operations)
    added = operations.index("add 10.0.0.2,udp:53,198.51.100.7 to NETPOL-CUT-4")
    assert added < operations.index("delete flow 198.51.100.7 to 10.0.0.2")


def test_what_is_remembered_stays_while_the_policies_deny_it(memory: MemoryKernel) -> None:
    memory.flows.open(FOUR, udp("198.51.100.7", "10.0.0.2"))
    program(target(CLOSED), kernel_of(memory))
    assert program(target(CLOSED), kernel_of(memory)) == Outcome(())
    program(target(OTHERWISE), kernel_of(memory))
    assert remembered(memory) == {answering("10.0.0.2", "198.51.100.7")}


def test_what_the_policies_allow_again_is_forgotten_at_once(memory: MemoryKernel) -> None:
    memory.flows.open(FOUR, udp("10.0.0.3", "10.0.0.2"))
    memory.flows.open(FOUR, udp("198.51.100.7", "10.0.0.2"))
    program(target(CLOSED), kernel_of(memory))
    assert len(remembered(memory)) == 2
    friends = (policy("x/p", "app=server", ingress=[rule([pods("app=friend")], ["53/UDP"])]),)
    program(target(friends), kernel_of(memory))
    assert remembered(memory) == {answering("10.0.0.2", "198.51.100.7")}
    program(target(OPEN), kernel_of(memory))
    assert remembered(memory) == frozenset()


def test_flows_are_cut_even_where_there_is_no_room_to_remember_them() -> None:
    memory = MemoryKernel(max_members=2)
    program(target(CLOSED), kernel_of(memory))
    for host in (7, 8, 9):
        memory.flows.open(FOUR, udp(f"198.51.100.{host}", "10.0.0.2"))
    with pytest.raises(KernelRefusal, match="the set is full"):
        program(target(CLOSED), kernel_of(memory))
    assert list(memory.flows.read(FOUR)) == []


def test_the_nodes_own_connections_live(memory: MemoryKernel) -> None:
    """G8, by the addresses the node has and not only those its object tells."""
    bare = replace(target(CLOSED), snapshot=replace(target(CLOSED).snapshot, nodes={}))
    memory.flows.open(FOUR, flow("192.0.2.1", "10.0.0.2"))
    assert program(bare, kernel_of(memory)).flows_cut == 0


def test_nothing_is_held_of_a_kernel_that_was_never_programmed(memory: MemoryKernel) -> None:
    assert kernel_of(memory).read(()) == Held({}, {})
