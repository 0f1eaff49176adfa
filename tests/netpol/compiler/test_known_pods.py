"""The sets of unknown addresses while pods come and go."""

from __future__ import annotations

from collections.abc import Iterable

from builders import address, pod

from netpol.compiler.known_pods import KnownPods
from netpol.compiler.ruleset import IpSet, NetworkMember
from netpol.model.change import Change
from netpol.model.networks import Family, parse_network
from netpol.policy.holders import Holder

RANGE = (parse_network("10.0.0.0/24"),)


def holder(name: str, *hosts: str) -> Holder:
    return Holder.of(pod(name, *hosts), tuple(map(address, hosts)))


def holes(sets: Iterable[IpSet]) -> list[set[bytes]]:
    """The known pods of each set that is told of."""
    return [{each.packed for each in s.members if isinstance(each, NetworkMember) and each.nomatch} for s in sets]


def known_pods(*there: Holder) -> KnownPods:
    made = KnownPods((Family.IPV4,))
    list(made.replace_ranges(RANGE, there))
    return made


def test_a_pod_in_the_range_is_known_from_when_it_comes_until_it_goes() -> None:
    """G12."""
    known, one = known_pods(), holder("x/one", "10.0.0.1")
    assert holes(known.move([Change(None, one)])) == [{address("10.0.0.1").packed}]
    assert holes(known.move([Change(one, None)])) == [set()]


def test_pods_elsewhere_change_nothing() -> None:
    assert holes(known_pods().move([Change(None, holder("x/far", "10.0.1.1", "fd00::1"))])) == []


def test_an_address_that_another_pod_takes_over_stays_known() -> None:
    one, other = holder("x/one", "10.0.0.1"), holder("x/other", "10.0.0.1")
    assert holes(known_pods(one).move([Change(None, other), Change(one, None)])) == []


def test_new_ranges_have_holes_for_all_pods_in_them() -> None:
    known = known_pods()
    there = [holder("x/one", "10.0.0.1"), holder("x/far", "10.0.1.1")]
    assert holes(known.replace_ranges(RANGE, there)) == [{address("10.0.0.1").packed}]
    assert holes(known.replace_ranges((), there)) == [set()]
    assert holes(known.move([Change(there[0], None)])) == []
