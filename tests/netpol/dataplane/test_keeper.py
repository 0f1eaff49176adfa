"""A kernel that is kept: what is known of it, what is refused, and what is left over for later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from between import FAMILIES, kernel_of
from builders import namespace, node, pod, pods, policy, rule, world
from live import OPTIONS, known, listing

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.engine import Engine, Touched
from netpol.compiler.names import isolated_set, services_set
from netpol.compiler.ruleset import AddressPort, IpSet, Ruleset, SetType
from netpol.dataplane.apply import Kernel
from netpol.dataplane.keeper import Keeper
from netpol.dataplane.kernel import KernelTable
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.outcome import Outcome
from netpol.dataplane.plan import Stale, plan
from netpol.dataplane.steps import DestroySets
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.policies import Direction, Policy
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot

FOUR = Family.IPV4


def cluster(*policies: Policy) -> Snapshot:
    return world(
        namespace("x"),
        node("n1", "192.0.2.1"),
        pod("x/web", "10.0.0.2", "fd00::2", labels="app=web", node="n1"),
        pod("x/friend", "10.0.0.3", "fd00::3", labels="app=friend", node="n2"),
        *policies,
    )


FRIENDS = policy("x/p", "app=web", ingress=[rule([pods("app=friend")], ["80/TCP"])])
OTHERS = policy("x/p", "app=web", ingress=[rule([pods("app=other")], ["80/TCP"])])
NOTHING = policy("x/p", "app=web")


class Kept:
    """A keeper of a kernel in memory, and an engine that tells it what should be there."""

    def __init__(self, superseded: Sequence[MemoryKernel] = (), stale_sets: Stale = Stale.KEEP) -> None:
        self.memory = MemoryKernel()
        self.kernel = kernel_of(self.memory)
        self.keeper = Keeper(self.kernel, [each.tables for each in superseded], stale_sets)
        self.engine = Engine(OPTIONS)

    def started(self, *policies: Policy) -> Kept:
        """Itself, with this cluster in the kernel."""
        snapshot = cluster(*policies)
        self.engine.apply(listing(snapshot))
        self.keeper.converge(self.engine.ruleset())
        return self

    def change(self, each: Policy) -> Outcome:
        """What it takes to have this policy."""
        touched = self.engine.apply([known(each)])
        return self.keeper.change(self.engine.part(touched), touched)

    def planned(self, stale: Stale) -> int:
        """How many steps the kernel is away from what should be there."""
        return len(plan(self.engine.ruleset(), self.kernel.read(FAMILIES), stale))

    def left_over(self) -> set[str]:
        """The sets that nothing asks for."""
        return set(self.memory.sets.read().keys() - self.engine.ruleset().sets.keys())


@pytest.fixture(name="kept")
def _kept() -> Kept:
    return Kept().started(FRIENDS)


# --- what is known


def test_a_kernel_that_was_not_read_is_not_known_and_not_changed() -> None:
    kept = Kept()
    assert not kept.keeper.is_certain
    with pytest.raises(KernelRefusal, match="not known what the kernel holds"):
        kept.keeper.change(kept.engine.ruleset(), Touched())
    assert kept.memory.journal.operations == []


def test_it_is_known_once_it_was_read_and_programmed(kept: Kept) -> None:
    assert kept.keeper.is_certain
    assert kept.planned(Stale.DESTROY) == 0


def test_a_doubt_ends_that_until_it_is_read_again(kept: Kept) -> None:
    kept.keeper.doubt()
    assert not kept.keeper.is_certain
    with pytest.raises(KernelRefusal):
        kept.change(OTHERS)
    assert kept.keeper.converge(kept.engine.ruleset()).steps
    assert kept.keeper.is_certain
    assert kept.planned(Stale.KEEP) == 0


def test_a_set_that_others_emptied_is_told_where_the_kernel_is_known(kept: Kept) -> None:
    assert kept.keeper.estranged() == frozenset()
    emptied = kept.memory.sets.read()[isolated_set(Direction.INGRESS, FOUR)]
    kept.memory.sets.remove(emptied, emptied.members)
    assert kept.keeper.estranged() == {emptied.name}
    kept.keeper.doubt()
    assert kept.keeper.estranged() == frozenset()


def test_what_others_fill_is_theirs(kept: Kept) -> None:
    """X5: neither a comparison nor a survey finds fault with what the service proxy serves."""
    kept.started(FRIENDS)
    services = kept.engine.ruleset().sets[services_set(FOUR)]
    kept.memory.sets.add(services, [AddressPort(bytes([10, 96, 0, 1]), Protocol.TCP, 80)])
    assert kept.keeper.estranged() == frozenset()
    assert kept.keeper.converge(kept.engine.ruleset()) == Outcome(())
    assert kept.keeper.estranged() == frozenset()
    assert len(kept.memory.sets.read()[services.name].members) == 1
    kept.memory.sets.add(services, [AddressPort(bytes([10, 96, 0, 1]), Protocol.TCP, 443)])
    kept.change(OTHERS)
    assert kept.keeper.estranged() == frozenset()


def test_a_set_that_another_owner_makes_at_the_same_time_is_no_refusal(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X5: both the firewall and the service proxy make the set that they share."""
    create = kept.memory.sets.create
    services = services_set(FOUR)

    def create_later(sets: Iterable[IpSet]) -> None:
        if kept.memory.sets.find(services) is None:
            create([IpSet(services, SetType.ADDRESS_PORTS, FOUR)])
        create(sets)

    monkeypatch.setattr(kept.memory.sets, "create", create_later)
    kept.started(FRIENDS)
    assert kept.keeper.is_certain
    assert kept.planned(Stale.DESTROY) == 0


def test_what_it_holds_already_takes_nothing(kept: Kept) -> None:
    operations = list(kept.memory.journal.operations)
    assert kept.keeper.converge(kept.engine.ruleset()) == Outcome(())
    assert kept.change(FRIENDS) == Outcome(())
    assert kept.memory.journal.operations == operations


def test_changes_one_after_the_other_need_no_reading(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> KernelTable:
        raise AssertionError("it was read")

    with monkeypatch.context() as patched:
        patched.setattr(kept.memory.tables, "read", refuse)
        patched.setattr(kept.memory.sets, "read", refuse)
        for each in (OTHERS, NOTHING, FRIENDS, OTHERS):
            assert kept.change(each).steps
    assert kept.planned(Stale.KEEP) == 0


# --- refusals


def test_a_refused_change_leaves_the_kernel_as_it_was_and_in_doubt(kept: Kept) -> None:
    held = kept.kernel.read(FAMILIES)
    kept.memory.journal.refuse(after=1)
    with pytest.raises(KernelRefusal, match="as the test told"):
        kept.change(OTHERS)
    assert kept.kernel.read(FAMILIES) == held
    assert not kept.keeper.is_certain
    assert not kept.keeper.has_stale
    kept.keeper.converge(kept.engine.ruleset())
    assert kept.planned(Stale.KEEP) == 0


def test_a_refused_convergence_is_no_knowledge(kept: Kept) -> None:
    kept.memory.tables.plant(FOUR, "NETPOL-FORWARD", "-j DROP")
    kept.memory.journal.refuse(after=0)
    with pytest.raises(KernelRefusal):
        kept.keeper.converge(kept.engine.ruleset())
    assert not kept.keeper.is_certain


def test_what_others_did_in_between_is_mended(kept: Kept) -> None:
    isolated = kept.memory.sets.read()[isolated_set(Direction.INGRESS, FOUR)]
    kept.memory.sets.remove(isolated, isolated.members)
    assert kept.change(FRIENDS) == Outcome(()), "nobody has told"
    assert "1 members added" in str(kept.keeper.converge(kept.engine.ruleset()))
    assert kept.planned(Stale.DESTROY) == 0


# --- what nothing asks for any more


def test_sets_that_are_not_desired_stay_for_a_while(kept: Kept) -> None:
    former = set(kept.memory.sets.read())
    outcome = kept.change(OTHERS)
    assert not any(isinstance(step, DestroySets) for step in outcome.steps)
    assert kept.keeper.has_stale
    assert former <= kept.memory.sets.read().keys()
    assert len(kept.left_over()) == 2, "the friends of either family"


def test_they_are_swept_one_at_a_time_until_nothing_is_left(kept: Kept) -> None:
    kept.change(NOTHING)
    left = len(kept.left_over())
    assert left > 2
    while kept.keeper.sweep():
        left -= 1
        assert len(kept.left_over()) == left
    assert left == 0
    assert not kept.keeper.has_stale
    assert kept.planned(Stale.DESTROY) == 0


def test_lists_go_before_the_sets_in_them(kept: Kept) -> None:
    lists = {name for name, each in kept.memory.sets.read().items() if each.type is SetType.SETS}
    kept.change(NOTHING)
    begun = len(kept.memory.journal.operations)
    while kept.keeper.sweep():
        pass
    swept = [operation.removeprefix("destroy ") for operation in kept.memory.journal.operations[begun:]]
    assert set(swept[: len(lists)]) == lists
    assert len(swept) == len(lists) + 2


def test_one_that_somebody_else_uses_is_left_and_keeps_no_other_from_going(kept: Kept) -> None:
    kept.change(NOTHING)
    (used,) = (name for name in kept.left_over() if name.startswith("NETPOL-P4-"))
    kept.memory.tables.plant(FOUR, "FORWARD", f"-m set --match-set {used} src -j DROP")
    while kept.keeper.sweep():
        pass
    assert kept.left_over() == {used}
    assert kept.keeper.has_stale


def test_one_that_is_wanted_again_is_filled_again_and_not_swept(kept: Kept) -> None:
    kept.change(OTHERS)
    kept.engine.apply([known(pod("x/friend", "10.0.0.9", "fd00::9", labels="app=friend", node="n2"))])
    outcome = kept.change(FRIENDS)
    assert "sets created" not in str(outcome)
    while kept.keeper.sweep():
        pass
    assert kept.planned(Stale.DESTROY) == 0


def test_what_an_earlier_run_left_is_swept_too(kept: Kept) -> None:
    kept.memory.sets.create([IpSet("NETPOL-P4-AAAAAAAAAAAAAAAA", SetType.ADDRESSES, FOUR)])
    kept.keeper.converge(kept.engine.ruleset())
    assert kept.left_over() == {"NETPOL-P4-AAAAAAAAAAAAAAAA"}
    assert kept.keeper.sweep()
    assert not kept.left_over()


def test_in_doubt_nothing_is_swept(kept: Kept) -> None:
    kept.change(OTHERS)
    kept.keeper.doubt()
    assert not kept.keeper.sweep()
    assert len(kept.left_over()) == 2


def test_a_keeper_that_keeps_nothing_destroys_them_at_once(kept: Kept) -> None:
    once = Keeper(kept.kernel, (), Stale.DESTROY)
    kept.engine.apply([known(OTHERS)])
    once.converge(kept.engine.ruleset())
    assert not kept.left_over()
    assert not once.has_stale


# --- other variants


def superseding() -> tuple[Kept, MemoryKernel]:
    """A keeper, and another variant whose rules use the same sets and are in force."""
    former = MemoryKernel()
    kept = Kept([former])
    sets = kept.memory.sets
    former.tables = type(former.tables)(kept.memory.journal, sets)
    now, then = kept.memory.tables, former.tables
    sets.referred_by_rules = lambda name: now.refers_to_set(name) or then.refers_to_set(name)
    kept.keeper = Keeper(kept.kernel, [then])
    Keeper(Kernel(sets, then, kept.memory.flows)).converge(compiled(FRIENDS))
    return kept, former


def compiled(*policies: Policy) -> Ruleset:
    return compile_ruleset(cluster(*policies), OPTIONS)


def test_what_another_variant_held_goes_once_the_own_rules_judge() -> None:
    kept, former = superseding()
    outcome = kept.keeper.converge(compiled(OTHERS))
    assert outcome.superseded_chains == sum(len(table.chains) for table in compiled(FRIENDS).tables.values())
    assert not any(former.tables.read(family).chains for family in FAMILIES)
    while kept.keeper.sweep():
        pass
    assert kept.memory.sets.read() == compiled(OTHERS).sets


def test_it_stays_until_then_and_goes_the_next_time() -> None:
    kept, former = superseding()
    held = [former.tables.read(family) for family in FAMILIES]
    kept.memory.journal.refuse(after=2)
    with pytest.raises(KernelRefusal):
        kept.keeper.converge(compiled(OTHERS))
    assert [former.tables.read(family) for family in FAMILIES] == held
    assert kept.keeper.converge(compiled(OTHERS)).superseded_chains > 0


def test_it_is_looked_for_once() -> None:
    """What somebody writes there later is not the agent's: an older one may be tried beside it."""
    kept, former = superseding()
    kept.keeper.converge(compiled(OTHERS))
    former.tables.plant(FOUR, "NETPOL-FORWARD", "-j RETURN")
    assert kept.keeper.converge(compiled(OTHERS)) == Outcome(())
    assert former.tables.read(FOUR).chains
