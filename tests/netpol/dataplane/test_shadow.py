"""A shadow is what would be read back, whichever steps were carried out."""

from __future__ import annotations

from dataclasses import replace

from between import FAMILIES, programmed
from hypothesis import given
from hypothesis import strategies as st
from worlds import NODE_NAMES, snapshots

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.ruleset import AddressPort, Hook, IpSet, NetworkMember, Ruleset, SetType, Table
from netpol.dataplane.apply import apply
from netpol.dataplane.kernel import SetSummary
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.plan import Held, Stale, plan
from netpol.dataplane.shadow import Shadow
from netpol.dataplane.steps import AddMembers, RemoveMembers
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions

EMPTY = Ruleset({}, {})


def compiled(snapshot: Snapshot) -> Ruleset:
    return compile_ruleset(snapshot, NodeOptions(NODE_NAMES[0]))


def changed_names(old: Ruleset, new: Ruleset) -> tuple[set[str], set[str]]:
    """The sets and the chains that differ, come or go."""
    sets = {name for name in {*old.sets, *new.sets} if old.sets.get(name) != new.sets.get(name)}
    chains = {
        name
        for family in FAMILIES
        for name in {*old.tables[family].chains, *new.tables[family].chains}
        if old.tables[family].chains.get(name) != new.tables[family].chains.get(name)
    }
    return sets, chains


def part_of(ruleset: Ruleset, sets: set[str], chains: set[str]) -> Ruleset:
    return Ruleset(
        {name: each for name, each in ruleset.sets.items() if name in sets},
        {
            family: Table(table.hooks, {name: rules for name, rules in table.chains.items() if name in chains})
            for family, table in ruleset.tables.items()
        },
    )


@given(st.lists(snapshots(), min_size=2, max_size=4), st.sampled_from(Stale))
def test_after_every_plan_the_shadow_is_what_reads_back(worlds: list[Snapshot], stale: Stale) -> None:
    _, kernel = programmed(EMPTY)
    shadow = Shadow(kernel.read(FAMILIES))
    for desired in [*map(compiled, worlds), EMPTY]:
        steps = plan(desired, shadow.held, stale)
        apply(steps, kernel)
        shadow.follow(steps)
        assert shadow.held == kernel.read(FAMILIES)
        assert plan(desired, shadow.held, stale) == ()


@given(st.lists(snapshots(), min_size=2, max_size=4))
def test_plans_of_what_changed_lead_where_a_whole_plan_does(worlds: list[Snapshot]) -> None:
    old = compiled(worlds[0])
    _, kernel = programmed(old)
    shadow = Shadow(kernel.read(FAMILIES))
    for new in map(compiled, worlds[1:]):
        sets, chains = changed_names(old, new)
        sets |= set(sorted(new.sets)[::2])
        steps = plan(part_of(new, sets, chains), shadow.part(sets, chains), Stale.KEEP)
        apply(steps, kernel)
        shadow.follow(steps)
        assert shadow.held == kernel.read(FAMILIES)
        assert plan(new, shadow.held, Stale.KEEP) == ()
        assert new.sets.keys() <= shadow.sets.keys()
        old = new


SET = IpSet("NETPOL-N4-AAAAAAAAAAAAAAAA", SetType.NETWORKS, Family.IPV4)
WIDE, HOLE = NetworkMember(bytes([10, 0, 0, 0]), 8), NetworkMember(bytes([10, 1, 0, 0]), 16, nomatch=True)


def test_a_member_goes_whatever_is_said_of_its_flag() -> None:
    shadow = Shadow(Held({SET.name: replace(SET, members=frozenset({WIDE, HOLE}))}, {}))
    shadow.follow([RemoveMembers(SET, (HOLE._replace(nomatch=False),))])
    assert shadow.sets[SET.name].members == {WIDE}
    shadow.follow([AddMembers(SET, (HOLE,))])
    assert shadow.sets[SET.name].members == {WIDE, HOLE}


def test_what_was_held_before_does_not_change_with_the_shadow() -> None:
    memory = MemoryKernel()
    memory.tables.plant(Family.IPV4, "INPUT", "-p tcp -j ACCEPT", "-j NETPOL-INPUT")
    memory.tables.plant(Family.IPV4, "NETPOL-INPUT", "-j DROP")
    held = Held({}, {Family.IPV4: memory.tables.read(Family.IPV4)})
    shadow = Shadow(held)
    before = shadow.held
    assert before == held
    shadow.follow(plan(EMPTY, before))
    assert before == held
    assert shadow.held.tables[Family.IPV4].chains == {}
    assert not any(shadow.held.tables[Family.IPV4].hooks.values())


def test_a_part_has_the_names_it_is_asked_for_and_every_hook() -> None:
    memory = MemoryKernel()
    memory.tables.plant(Family.IPV4, "INPUT", "-j NETPOL-INPUT")
    memory.tables.plant(Family.IPV4, "NETPOL-INPUT", "-j DROP")
    memory.tables.plant(Family.IPV4, "NETPOL-TCP", "-j DROP")
    memory.sets.create([SET, replace(SET, name="NETPOL-N4-BBBBBBBBBBBBBBBB")])
    table = memory.tables.read(Family.IPV4)
    part = Shadow(Held(memory.sets.read(), {Family.IPV4: table})).part({SET.name, "absent"}, {"NETPOL-TCP", "absent"})
    assert part.sets == {SET.name: SET}
    assert part.tables[Family.IPV4].chains == {"NETPOL-TCP": ("-j DROP",)}
    assert part.tables[Family.IPV4].hooks[Hook.INPUT] == table.hooks[Hook.INPUT]


def test_a_destroyed_set_is_forgotten() -> None:
    shadow = Shadow(Held({SET.name: SET}, {}))
    shadow.forget_set(SET.name)
    shadow.forget_set(SET.name)
    assert shadow.sets == {}


def test_what_others_made_of_sets_shows_in_a_survey() -> None:
    memory = MemoryKernel()
    kept, emptied, gone, remade, timed, made = (
        replace(SET, name=f"NETPOL-S4-{letter * 16}", type=SetType.ADDRESSES) for letter in "ABCDEF"
    )
    timed = replace(timed, timeout_seconds=60)
    served = IpSet("NETPOL-SERVICES-4", SetType.ADDRESS_PORTS, Family.IPV4, filled_by_others=True)
    memory.sets.create([kept, emptied, gone, remade, timed, served])
    one = bytes([10, 0, 0, 1])
    for each in (kept, emptied):
        memory.sets.add(each, [one])
    shadow = Shadow(Held(memory.sets.read(), {}).beside(Ruleset({served.name: served}, {})))
    assert shadow.estranged(memory.sets.survey()) == frozenset()
    memory.sets.add(served, [AddressPort(one, Protocol.TCP, 80)])
    memory.sets.remove(emptied, [one])
    memory.sets.destroy([gone.name, remade.name])
    memory.sets.create([replace(remade, type=SetType.NETWORKS), made])
    memory.sets.add(timed, [one])
    survey = dict(memory.sets.survey())
    assert shadow.estranged(survey) == {emptied.name, gone.name, remade.name, made.name}
    assert shadow.estranged(survey | {served.name: survey[served.name]._replace(has_comments=True)}) >= {served.name}
    strange = SetSummary(None, None, None, 7)
    survey |= {f"NETPOL-S4-{'Q' * 16}": strange, kept.name: strange}
    assert shadow.estranged(survey) == {emptied.name, gone.name, remade.name, made.name, kept.name}
