"""The values of a ruleset: what makes two of them equal."""

from __future__ import annotations

from dataclasses import replace

from netpol.compiler.ruleset import Action, Goto, IpSet, Jump, NetworkMember, Rule, SetReference, SetType
from netpol.model.networks import Family

NAMED = IpSet("a", SetType.ADDRESSES, Family.IPV4, frozenset({b"\x0a\0\0\1"}), "pods of x")


def test_what_a_set_means_to_a_person_is_no_part_of_it() -> None:
    """The kernel does not hold it: a set read back equals the compiled one."""
    assert replace(NAMED, meaning="") == NAMED
    assert replace(NAMED, members=frozenset()) != NAMED
    assert replace(NAMED, family=Family.IPV6) != NAMED


def test_members_differ_by_what_the_kernel_keeps_of_them() -> None:
    assert NetworkMember(bytes(4), 8) == NetworkMember(bytes(4), 8, nomatch=False)
    assert NetworkMember(bytes(4), 8) != NetworkMember(bytes(4), 8, nomatch=True)
    assert SetReference("a", "why") != SetReference("a")


def test_going_to_a_chain_is_not_jumping_to_it() -> None:
    assert Rule((), Goto("a")) != Rule((), Jump("a"))
    assert Rule((), Action.DROP, "why") != Rule((), Action.DROP)
