"""Names of the proxy's chains, sets and link."""

from __future__ import annotations

import re

from netpol.compiler.names import PREFIX as NETPOL
from netpol.compiler.names import services_set
from netpol.compiler.ruleset import Hook
from netpol.model.networks import Family

LINK = "kube-dummy-if"
"""kube-router's: where its image is swapped for this one, its addresses are taken over, and none is ever missing."""

MARK_BASE, MARK_MASK = 0x4E000000, 0xFF000000
"""Marks of ours have this in their highest byte."""

_PREFIX = NETPOL + "SERVICE-"

ADDRESSES = _PREFIX + "ADDRESSES"
"""The chain of what comes to an address on the link and to no port that is served there."""
EMPTY = _PREFIX + "EMPTY"
"""The chain of what comes to a virtual server without endpoints."""
SWITCHING = _PREFIX + "SWITCHING"
"""The chain of what comes to a virtual server while its scheduler is switched."""
KEEP = _PREFIX + "KEEP"
"""The chain of connections whose server keeps the client's address."""


def hook_chain(hook: Hook) -> str:
    """The name of the proxy's chain behind a built-in one."""
    return _PREFIX + hook.value


def owned_set(family: Family) -> str:
    """The name of the set that records which virtual servers are ours, with the service of each as its comment."""
    return f"{_PREFIX}OWNED-{family.value}"


def served_set(family: Family) -> str:
    """The name of the set of addresses and ports that are served, and so let in."""
    return f"{_PREFIX}SERVED-{family.value}"


def empty_set(family: Family) -> str:
    """The name of the set of those that are served by no endpoint, and so refused."""
    return f"{_PREFIX}EMPTY-{family.value}"


def switching_set(family: Family) -> str:
    """The name of the set of those whose scheduler is being switched, and that clients wait for so long."""
    return f"{_PREFIX}SWITCHING-{family.value}"


def addresses_set(family: Family) -> str:
    """The name of the set of addresses on the link."""
    return f"{_PREFIX}ADDRESSES-{family.value}"


def restricted_set(family: Family) -> str:
    """The name of the set of servers that only some may use (loadBalancerSourceRanges)."""
    return f"{_PREFIX}RESTRICTED-{family.value}"


def sources_set(family: Family) -> str:
    """The name of the set of who may use them."""
    return f"{_PREFIX}SOURCES-{family.value}"


def hairpin_set(family: Family) -> str:
    """The name of the set of endpoints that may reach themselves."""
    return f"{_PREFIX}HAIRPIN-{family.value}"


def local_set(family: Family) -> str:
    """The name of the set of this node's endpoints whose servers keep the client's address."""
    return f"{_PREFIX}LOCAL-{family.value}"


def is_our_mark(mark: int) -> bool:
    """True for a mark that only the service proxy puts on packets.

    >>> is_our_mark(0x4E000001), is_our_mark(0x4000)
    (True, False)
    """
    return mark & MARK_MASK == MARK_BASE


def is_ours(name: str) -> bool:
    """True for the name of a chain or set of the proxy; the set that it shares with the firewall is one.

    >>> is_ours(hook_chain(Hook.INPUT)), is_ours(services_set(Family.IPV4)), is_ours("NETPOL-INPUT")
    (True, True, False)
    """
    return _OURS.fullmatch(name) is not None


def is_neighbours(name: str) -> bool:
    """True for the name of a chain of the firewall, which may stand before ours behind a hook."""
    return name.startswith(NETPOL) and not is_ours(name)


_CHAINS = (*map(hook_chain, Hook), ADDRESSES, EMPTY, SWITCHING, KEEP)
_SETS = (
    owned_set,
    served_set,
    empty_set,
    switching_set,
    addresses_set,
    restricted_set,
    sources_set,
    hairpin_set,
    local_set,
    services_set,
)
_OURS = re.compile("|".join([*_CHAINS, *(each(family) for each in _SETS for family in Family)]))
