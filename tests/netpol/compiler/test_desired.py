"""The desired state piece by piece, and what of it has changed."""

from __future__ import annotations

from netpol.compiler.base_chains import hooks
from netpol.compiler.desired import Desired
from netpol.compiler.ruleset import Action, IpSet, Rule, SetType
from netpol.model.networks import Family

FOUR, SIX = Family.IPV4, Family.IPV6
EMPTY, FULL = (IpSet("NETPOL-A", SetType.ADDRESSES, FOUR, frozenset(members)) for members in ((), (b"\n\0\0\1",)))
RULES = (Rule((), Action.DROP),)


def nothing() -> Desired:
    return Desired((FOUR, SIX))


def changed(desired: Desired) -> tuple[set[str], set[str]]:
    """The names of sets and of chains that have changed."""
    sets, chains = desired.changed()
    return set(sets), set(chains)


def test_what_is_put_and_differs_has_changed_once() -> None:
    desired = nothing()
    desired.put_sets([EMPTY])
    desired.put_chains(SIX, {"NETPOL-C": RULES})
    assert changed(desired) == ({"NETPOL-A"}, {"NETPOL-C"})
    assert changed(desired) == (set(), set())


def test_what_comes_to_what_it_was_has_not_changed() -> None:
    desired = nothing()
    desired.put_sets([EMPTY])
    desired.put_chains(FOUR, {"NETPOL-C": RULES})
    desired.changed()
    desired.put_sets([FULL])
    desired.put_sets([EMPTY])
    desired.drop_chains(FOUR, ["NETPOL-C"])
    desired.put_chains(FOUR, {"NETPOL-C": RULES, "NETPOL-D": RULES})
    desired.drop_chains(FOUR, ["NETPOL-D"])
    assert changed(desired) == (set(), set())


def test_what_is_dropped_has_changed_and_is_gone() -> None:
    desired = nothing()
    desired.put_sets([FULL])
    desired.changed()
    desired.drop_sets(["NETPOL-A"])
    assert changed(desired) == ({"NETPOL-A"}, set())
    assert desired.ruleset().sets == {}


def test_a_part_has_what_there_is_of_the_names_and_a_table_for_each_family() -> None:
    desired = nothing()
    desired.put_sets([FULL])
    desired.put_chains(FOUR, {"NETPOL-C": RULES, "NETPOL-D": ()})
    part = desired.part({"NETPOL-A", "NETPOL-GONE"}, {"NETPOL-C"})
    assert part.sets == {"NETPOL-A": FULL}
    assert {family: table.chains for family, table in part.tables.items()} == {FOUR: {"NETPOL-C": RULES}, SIX: {}}
    assert all(table.hooks == hooks() for table in part.tables.values())


def test_a_part_and_the_whole_are_the_callers_to_keep() -> None:
    desired = nothing()
    desired.put_sets([FULL])
    whole, part = desired.ruleset(), desired.part({"NETPOL-A"}, ())
    desired.drop_sets(["NETPOL-A"])
    assert whole.sets == part.sets == {"NETPOL-A": FULL}
