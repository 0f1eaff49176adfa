"""A plan carried out against a kernel that refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from between import FAMILIES, kernel_of, programmed
from builders import address, namespace, node, pod, pods, policy, rule

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.ruleset import IpSet, Ruleset, SetReference, SetType
from netpol.dataplane.apply import Kernel, apply, left_in
from netpol.dataplane.kernel import KernelTable, Sets
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.plan import Held, plan
from netpol.dataplane.steps import AddMembers, CreateSets, DestroySets, RemoveMembers
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.policies import Policy
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions


def compiled(*policies: Policy, labels: str) -> Ruleset:
    """A node with two pods, one of them with these labels."""
    world = Snapshot.of(
        [namespace("x")],
        [
            pod("x/server", "10.0.0.2", "fd00::2", labels="app=server", node="n1"),
            pod("x/client", "10.0.0.3", "fd00::3", labels=labels, node="n1"),
        ],
        [node("n1", "192.0.2.10", pod_cidrs=["10.0.0.0/24", "fd00::/64"])],
        policies,
    )
    return compile_ruleset(world, NodeOptions("n1"))


def server(*colours: str, port: int) -> Policy:
    peers = [pods(f"app={each}") for each in colours]
    return policy(
        "x/server", "app=server", ingress=[rule(peers, [f"{port}/TCP"]), rule([pods("app=both")], ["99/TCP"])]
    )


BEFORE = compiled(server("red", "green", port=80), labels="app=red")
AFTER = compiled(
    *(
        policy("x/another", "app=server", ingress=[rule([pods("app=both")], ["99/TCP"])]),
        server("red", "blue", port=81),
    ),
    *(policy("x/client", "app=both"),),
    labels="app=both",
)
"""Between these two, every kind of step is needed."""


def operations() -> int:
    """How many things the plan from `BEFORE` to `AFTER` does to the kernel."""
    memory, kernel = programmed(BEFORE)
    done = len(memory.journal.operations)
    steps = plan(AFTER, kernel.read(FAMILIES))
    assert {type(step).__name__ for step in steps} == {
        *("CreateSets", "AddMembers", "ReplaceMembers", "RemoveMembers", "WriteTable", "DestroySets")
    }
    apply(steps, kernel)
    return len(memory.journal.operations) - done


@pytest.mark.parametrize("number", range(operations()))
def test_a_refusal_of_any_operation_leaves_what_was_there_and_names_it(number: int) -> None:
    memory, kernel = programmed(BEFORE)
    held = kernel.read(FAMILIES)
    steps = plan(AFTER, held)
    done = len(memory.journal.operations)
    memory.journal.refuse(after=number)
    with pytest.raises(KernelRefusal) as raised:
        apply(steps, kernel)
    assert kernel.read(FAMILIES) == held
    operation, _, why = str(raised.value).partition(": ")
    assert operation.split()[0] in {"create", "add", "remove", "write", "destroy"}
    assert why == "refused, as the test told the kernel to"
    assert operation not in memory.journal.operations[done : done + number]


def test_nothing_to_do_is_done() -> None:
    memory, kernel = programmed(BEFORE)
    done = list(memory.journal.operations)
    apply((), kernel)
    assert memory.journal.operations == done


def test_a_refused_write_undoes_the_other_family_too() -> None:
    memory, kernel = programmed(BEFORE)
    held = kernel.read(FAMILIES)
    memory.tables.plant(Family.IPV6, "OTHERS", "-j NETPOL-UNKNOWN")
    with pytest.raises(KernelRefusal, match="NETPOL-UNKNOWN"):
        apply(plan(Ruleset({}, {}), held), kernel)
    assert kernel.read(FAMILIES).sets == held.sets
    assert kernel.read(FAMILIES).tables[Family.IPV4] == held.tables[Family.IPV4]


class Killed:
    """Tables whose tool is killed at one of its writes, before or after what it writes is there."""

    def __init__(self, memory: MemoryKernel, at: int, *, late: bool) -> None:
        self.read = memory.tables.read
        self._write = memory.tables.write
        self._writes_left = at
        self._late = late

    def write(self, family: Family, lines: Sequence[str]) -> None:
        """The tool's outcome is the same whether or not the kernel had carried it out."""
        self._writes_left -= 1
        is_last = self._writes_left == -1
        if self._late or not is_last:
            self._write(family, lines)
        if is_last:
            raise KernelRefusal("iptables-nft-restore did not end within 60 s and was killed")


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("desired", [AFTER, Ruleset({}, {})])
def test_a_table_is_as_it_was_whether_or_not_the_killed_tool_had_written_it(
    desired: Ruleset, at: int, late: bool
) -> None:
    memory, kernel = programmed(BEFORE)
    held = kernel.read(FAMILIES)
    killed = Kernel(memory.sets, Killed(memory, at, late=late), memory.flows)
    with pytest.raises(KernelRefusal, match=r"and was killed$"):
        apply(plan(desired, held), killed)
    assert kernel.read(FAMILIES) == held


def test_what_others_do_around_it_does_not_hide_what_the_killed_tool_had_written() -> None:
    memory, kernel = programmed(BEFORE)

    class KilledBesideAnother(Killed):
        """Somebody puts a rule before our hook at that moment."""

        def write(self, family: Family, lines: Sequence[str]) -> None:
            try:
                super().write(family, lines)
            except KernelRefusal:
                memory.tables.write(family, ["-I INPUT 1 -j ACCEPT"])
                raise

    held = kernel.read(FAMILIES)
    with pytest.raises(KernelRefusal, match=r"and was killed$"):
        apply(plan(AFTER, held), Kernel(memory.sets, KilledBesideAnother(memory, 1, late=True), memory.flows))
    assert kernel.read(FAMILIES).sets == held.sets
    for family in FAMILIES:
        assert kernel.read(FAMILIES).tables[family].chains == held.tables[family].chains


# --- what cannot be taken back, and what must not

A, B = (IpSet(f"NETPOL-P4-{letter * 16}", SetType.ADDRESSES, Family.IPV4) for letter in "AB")
LIST = IpSet(f"NETPOL-LI-{'L' * 16}", SetType.SETS, None, frozenset({SetReference(A.name)}))
ONE, TWO = address("10.0.0.1").packed, address("10.0.0.2").packed


def test_what_is_not_taken_back_either_is_told() -> None:
    memory = MemoryKernel()
    memory.sets.create([A])
    steps = (CreateSets((B,)), AddMembers(A, (ONE,)), RemoveMembers(replace(A, name=LIST.name), (ONE,)))

    class Forgetful:
        """A kernel that takes no member back."""

        read, create, add, destroy = memory.sets.read, memory.sets.create, memory.sets.add, memory.sets.destroy
        survey, read_members, destroy_unused = memory.sets.survey, memory.sets.read_members, memory.sets.destroy_unused

        def remove(self, target: IpSet, members: object) -> None:
            raise KernelRefusal(f"{members} stay in {target.name}")

    sets: Sets = Forgetful()
    with pytest.raises(KernelRefusal) as raised:
        apply(steps, Kernel(sets, memory.tables, memory.flows))
    assert str(raised.value).split("; ") == [
        f"{(ONE,)} stay in {LIST.name}",
        f"not taken back: ipset {LIST.name}: cannot add members: there is no such set",
        f"not taken back: {(ONE,)} stay in {A.name}",
    ]
    assert B.name not in memory.sets.read()


def test_a_set_that_somebody_made_meanwhile_is_not_taken_for_one_of_this_plan() -> None:
    memory = MemoryKernel()
    memory.sets.create([B])
    memory.sets.add(B, [TWO])
    held = memory.sets.read()
    with pytest.raises(KernelRefusal, match="exists already"):
        apply((CreateSets((A, B)),), kernel_of(memory))
    assert memory.sets.read() == held


def test_destroyed_sets_come_back_with_their_members_where_the_last_of_them_is_in_use() -> None:
    memory = MemoryKernel()
    memory.sets.create([A, B, LIST])
    memory.sets.add(A, [ONE])
    memory.sets.add(LIST, LIST.members)
    memory.tables.plant(Family.IPV4, "OTHERS", f"-m set --match-set {B.name} src -j DROP")
    held = memory.sets.read()
    with pytest.raises(KernelRefusal, match=B.name):
        apply((DestroySets(tuple(held.values())),), kernel_of(memory))
    assert memory.sets.read() == held


# --- reading


def test_a_kernel_reads_the_families_it_is_asked_for_and_what_is_left_in_others() -> None:
    kernel = programmed(BEFORE)[1]
    both = kernel.read(FAMILIES)
    assert set(both.tables) == set(FAMILIES)
    assert kernel.read([Family.IPV4]) == both
    assert kernel_of(MemoryKernel()).read([Family.IPV4]) == Held({}, {Family.IPV4: memory_of_nothing()})


def memory_of_nothing() -> KernelTable:
    return MemoryKernel().tables.read(Family.IPV4)


def test_a_hook_alone_is_something_left_too() -> None:
    memory = MemoryKernel()
    memory.tables.plant(Family.IPV6, "INPUT", "-j NETPOL-INPUT")
    assert left_in(memory.tables, Family.IPV4) is None
    assert left_in(memory.tables, Family.IPV6) == memory.tables.read(Family.IPV6)
    assert set(kernel_of(memory).read([]).tables) == {Family.IPV6}


def test_a_family_that_cannot_be_read_matters_only_where_it_is_asked_for() -> None:
    class OnlyFour:
        """A host without ip6tables."""

        def read(self, family: Family) -> KernelTable:
            if family is Family.IPV6:
                raise KernelRefusal("ip6tables-nft-save is not installed")
            return memory_of_nothing()

        def write(self, family: Family, lines: object) -> None:
            raise AssertionError(f"nothing is to be written, but {lines} for {family}")

    memory = MemoryKernel()
    kernel = Kernel(memory.sets, OnlyFour(), memory.flows)
    tables: Mapping[Family, KernelTable] = kernel.read([Family.IPV4]).tables
    assert set(tables) == {Family.IPV4}
    with pytest.raises(KernelRefusal, match="not installed"):
        kernel.read(FAMILIES)
