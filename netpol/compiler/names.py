"""Names of chains and sets: a prefix, a kind, and a digest of a delimited identity.

Chains may have 28 characters (iptables-nft refuses more), sets 31. A digest is never
taken of a plain concatenation, so that no two identities share a name.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import re
from typing import NamedTuple

from netpol.compiler.ruleset import FILTER_HOOKS, Hook
from netpol.model.networks import Family, Network
from netpol.model.policies import Direction
from netpol.model.treatment import Extent

PREFIX = "NETPOL-"

SERVICE_PREFIX = PREFIX + "SERVICE-"
"""What the names of the service proxy's own chains and sets begin with."""

MIDSTREAM = PREFIX + "MIDSTREAM"
"""The chain of packets that open no connection and belong to none."""
INVALID = PREFIX + "INVALID"
"""The chain that refuses them where an end is isolated (G11)."""
UDP, TCP = PREFIX + "UDP", PREFIX + "TCP"
"""The chains that judge what opens a connection of these protocols, and tell what continues one that was cut."""
CUT = PREFIX + "CUT"
"""The chain that refuses what would answer a UDP flow that was cut (G11)."""
UNKNOWN = PREFIX + "UNKNOWN"
"""The chain that refuses addresses of the pod range that no known pod has (G12)."""
TUNNELLED = PREFIX + "TUNNELLED"
"""The chain that refuses packets in which the node sends others to a pod, as nobody can judge these (X5)."""
ICMPV6 = PREFIX + "ICMPV6"
"""The chain of ICMPv6, some of which is always accepted (G10)."""


class PodChainKind(enum.Enum):
    """What a chain of a pod's does with packets of one direction; the value is its letter in names."""

    REFUSING = "P"
    """It judges them, and refuses."""
    AUDITING = "W"
    """It judges them as if policies under audit were enforced, and refuses none (X16)."""
    ALLOWING = "A"
    """It records what the pod's rules allow."""


class PodChain(NamedTuple):
    """What the name of a pod's chain says; `pod` is the digest of the pod's namespace and name."""

    kind: PodChainKind
    direction: Direction
    pod: str


def is_ours(name: str) -> bool:
    """True for names of the form this module makes, whichever version of it made them.

    >>> is_ours("NETPOL-FORWARD"), is_ours("NETPOL-mine")
    (True, False)
    """
    return _OURS.fullmatch(name) is not None


def hook_chain(hook: Hook) -> str:
    """The name of our chain behind a built-in one."""
    return PREFIX + hook.value


def digest(*identity: str) -> str:
    """Sixteen characters that stand for these words, in this order and number.

    >>> digest("a", "bc") == digest("ab", "c")
    False
    """
    delimited = b"".join(b"%d:%b" % (len(word.encode()), word.encode()) for word in identity)
    return base64.b32encode(hashlib.sha256(delimited).digest()[:10]).decode()


def shared_set(kind: str, family: Family, meaning: str) -> str:
    """The name of the set of one family that holds what `meaning` says; `kind` tells the types apart."""
    return f"{PREFIX}{kind}{family.value}-{digest(kind, meaning)}"


def group_set(namespace: str, pod: str, direction: Direction, allowance: str, extent: Extent = Extent.ENFORCED) -> str:
    """The name of a pod's own list of shared sets for one allowance: a protocol and its ports.

    It is another for another extent: these policies may allow the same ports to different peers.
    """
    return f"{PREFIX}{_LISTS[extent]}{_LETTERS[direction]}-{digest(namespace, pod, allowance)}"


def pod_chain(namespace: str, pod: str, direction: Direction, kind: PodChainKind = PodChainKind.REFUSING) -> str:
    """The name of the chain of this kind for one direction of a pod."""
    return f"{PREFIX}{kind.value}{_LETTERS[direction]}-{digest(namespace, pod)}"


def parse_pod_chain(name: str) -> PodChain | None:
    """What the name of a pod's chain says; None where the name is another's.

    >>> found = parse_pod_chain(pod_chain("web", "front", Direction.INGRESS))
    >>> found == PodChain(PodChainKind.REFUSING, Direction.INGRESS, digest("web", "front"))
    True
    """
    found = _POD_CHAIN.fullmatch(name)
    if found is None:
        return None
    return PodChain(PodChainKind(found["kind"]), _DIRECTIONS[found["direction"]], found["pod"])


def branch_chain(prefix: Network, direction: Direction) -> str:
    """The name of the chain that the decision on `prefix` leads to, whether for addresses in it or for the others."""
    return f"{PREFIX}T{_LETTERS[direction]}-{digest(str(prefix))}"


def isolated_set(direction: Direction, family: Family) -> str:
    """The name of the set of the node's addresses that are isolated for `direction`, be it under audit (X16)."""
    return f"{PREFIX}ISO-{'IN' if direction is Direction.INGRESS else 'EG'}-{family.value}"


def enforced_set(family: Family) -> str:
    """The name of the set of the node's addresses that anything enforced isolates, for whichever direction (G11)."""
    return f"{PREFIX}ENFORCED-{family.value}"


def unknown_set(family: Family) -> str:
    """The name of the set of addresses of the node's pod range that no known pod holds (G12)."""
    return f"{PREFIX}UNKNOWN-{family.value}"


def cut_set(family: Family) -> str:
    """The name of the set of who answered UDP flows that were cut, and whom (G11)."""
    return f"{PREFIX}CUT-{family.value}"


def services_set(family: Family) -> str:
    """The name of the set of addresses and ports that the service proxy serves (X5)."""
    return f"{PREFIX}SERVICES-{family.value}"


def judging_chain(direction: Direction) -> str:
    """The name of the chain that leads every isolated address to its pod's chain."""
    return PREFIX + direction.name


_LETTERS = {Direction.INGRESS: "I", Direction.EGRESS: "E"}
_DIRECTIONS = {letter: direction for direction, letter in _LETTERS.items()}
_LISTS = {Extent.ENFORCED: "L", Extent.ALL: "LW"}

BASE_CHAINS = (
    *map(hook_chain, FILTER_HOOKS),
    *map(judging_chain, Direction),
    MIDSTREAM,
    INVALID,
    UDP,
    TCP,
    CUT,
    UNKNOWN,
    TUNNELLED,
    ICMPV6,
)
"""The chains that every ruleset may have, whatever its pods."""

_POD_CHAIN = re.compile(
    rf"{PREFIX}(?P<kind>[{''.join(kind.value for kind in PodChainKind)}])"
    rf"(?P<direction>[{''.join(_DIRECTIONS)}])-(?P<pod>[A-Z2-7]{{16}})"
)
_OURS = re.compile(
    rf"{'|'.join(BASE_CHAINS)}|{PREFIX}(?:[A-Z]{{1,3}}[46]?-[A-Z2-7]{{16}}|(?:ISO-IN|ISO-EG|ENFORCED|UNKNOWN|CUT|SERVICES)-[46])"
)
