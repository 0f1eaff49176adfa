"""What a plan takes for another set or another member, and whose the members of a shared set are."""

from __future__ import annotations

from dataclasses import replace

from between import FAMILIES, programmed

from netpol.compiler import names
from netpol.compiler.compile import compile_ruleset
from netpol.compiler.ruleset import AddressPort, IpSet, Ruleset, SetType
from netpol.dataplane.plan import Held, plan
from netpol.dataplane.steps import CreateSets, DestroySets, ReplaceMembers
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions

RULESET = compile_ruleset(Snapshot.of([], [], [], []), NodeOptions("n1", FAMILIES))
SERVICES = RULESET.sets[names.services_set(Family.IPV4)]
OWNED = IpSet("NETPOL-SERVICE-OWNED-4", SetType.ADDRESS_PORTS, Family.IPV4, has_comments=True)
HTTP, HTTPS = (AddressPort(bytes([10, 96, 0, 1]), Protocol.TCP, port, "x/web") for port in (80, 443))


def test_what_others_fill_is_left_as_it_is_and_the_set_made_where_it_is_missing() -> None:
    """X5: the service proxy says what it serves."""
    memory, kernel = programmed(RULESET)
    memory.sets.add(SERVICES, [HTTP._replace(comment="")])
    assert plan(RULESET, kernel.read(FAMILIES)) == ()
    held = kernel.read(FAMILIES)
    without = Held({name: each for name, each in held.sets.items() if name != SERVICES.name}, held.tables)
    assert plan(RULESET, without) == (CreateSets((SERVICES,)),)


def test_what_was_read_is_told_from_what_others_fill_by_the_ruleset() -> None:
    held = programmed(RULESET)[1].read(FAMILIES)
    assert not any(each.filled_by_others for each in held.sets.values())
    beside = held.beside(RULESET)
    assert {each.name for each in beside.sets.values() if each.filled_by_others} == {
        names.services_set(family) for family in FAMILIES
    }
    assert beside.tables == held.tables


def test_a_set_with_comments_is_another_than_one_without() -> None:
    without = replace(OWNED, has_comments=False)
    steps = plan(Ruleset({OWNED.name: OWNED}, {}), Held({OWNED.name: without}, {}))
    assert steps == (DestroySets((without,)), CreateSets((OWNED,)))


def test_another_comment_is_no_other_member() -> None:
    told = HTTP._replace(comment="x/shop")
    before, after = (replace(OWNED, members=frozenset(each)) for each in ((HTTP, HTTPS), (told, HTTPS)))
    steps = plan(Ruleset({OWNED.name: after}, {}), Held({OWNED.name: before}, {}))
    assert steps == (ReplaceMembers(after, (told,), (HTTP,)),)
