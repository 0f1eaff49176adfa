"""Whose living connections a change may deny: pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from netpol.compiler.names import enforced_set, unknown_set
from netpol.compiler.ruleset import AddressPort, Member, NetworkMember
from netpol.dataplane.steps import AddMembers, RemoveMembers, Step
from netpol.model.facts import Fact
from netpol.model.networks import Address, Family
from netpol.model.objects import Pod

_ENFORCED = frozenset(map(enforced_set, Family))
_UNKNOWN = frozenset(map(unknown_set, Family))


def tightened(steps: Iterable[Step]) -> frozenset[Address]:
    """The addresses at an end of every connection that these steps may deny, but for pods that are judged otherwise.

    A set of peers that loses an address may deny it, an address that is isolated from now on
    may have opened connections while nothing was known of it, and one that is no pod's any
    more is shut out (G12).
    """
    return frozenset(
        address
        for step in steps
        if isinstance(step, RemoveMembers) or (isinstance(step, AddMembers) and step.target.name in _ENFORCED)
        for member in step.members
        for address in _addresses(member)
    )


def shuts_out_ranges(steps: Iterable[Step]) -> bool:
    """True where whole ranges are shut out from now on (G12): whoever has an address of theirs may be connected."""
    return any(
        isinstance(step, AddMembers)
        and step.target.name in _UNKNOWN
        and any(isinstance(member, NetworkMember) and not member.nomatch for member in step.members)
        for step in steps
    )


def passed_on(facts: Iterable[Fact], node: str) -> frozenset[Address]:
    """The addresses that pods of the node have by these facts.

    Of several facts at once, an earlier one may be that another pod has such an address no
    more; where both are isolated, no step tells of it.
    """
    return frozenset(
        address
        for fact in facts
        if isinstance(fact.value, Pod) and fact.value.node == node
        for address in fact.value.addresses
    )


def _addresses(member: Member) -> Iterable[Address]:
    """The one address that the member stands for; none where it stands for more, or for a set."""
    match member:
        case bytes() | AddressPort():
            return (ip_address(member if isinstance(member, bytes) else member.packed),)
        case NetworkMember(packed, prefix) if prefix == len(packed) * 8:
            return (ip_address(packed),)
        case _:
            return ()
