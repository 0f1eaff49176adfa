"""Sets and rules as values: what a node's kernel should hold.

Every match and target is a type of its own, so that a writer renders them, a reader
compares them and a tracer walks packets through them without parsing text.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from netpol.model.networks import Address, Family, Network
from netpol.model.ports import PortRange, Protocol

# --- sets


class SetType(enum.Enum):
    """The ipset types in use; the values are ipset's words."""

    ADDRESSES = "hash:ip"
    NETWORKS = "hash:net"
    ADDRESS_PORTS = "hash:ip,port"
    ADDRESS_PORT_ADDRESSES = "hash:ip,port,ip"
    ADDRESS_PORT_NETWORKS = "hash:ip,port,net"
    SETS = "list:set"


class NetworkMember(NamedTuple):
    """A member of a hash:net; `nomatch` carves a hole: the longest prefix decides.

    The prefix length is at least 1: hash:net refuses a zero-length prefix.
    """

    packed: bytes
    prefix: int
    nomatch: bool = False


class AddressPort(NamedTuple):
    """A member of a hash:ip,port; only a set that `has_comments` keeps its comment."""

    packed: bytes
    protocol: Protocol
    port: int
    comment: str = ""


class AddressPortAddress(NamedTuple):
    """A member of a hash:ip,port,ip: an address with a port of its own, and the address of its peer."""

    packed: bytes
    protocol: Protocol
    port: int
    peer: bytes


class AddressPortNetwork(NamedTuple):
    """A member of a hash:ip,port,net: an address with a port of its own, and the network of its peers.

    The prefix length is at least 1, as in a hash:net.
    """

    packed: bytes
    protocol: Protocol
    port: int
    network: bytes
    prefix: int


class SetReference(NamedTuple):
    """A member of a list:set; the comment tells a person why it is there."""

    name: str
    comment: str = ""


Member = bytes | NetworkMember | AddressPort | AddressPortAddress | AddressPortNetwork | SetReference
"""`bytes` is a packed address, the member of a hash:ip."""


@dataclass(frozen=True, slots=True)
class IpSet:
    """An ipset with its members.

    `family` is None for a list:set, which may hold sets of both families: a packet only
    meets those of its own. Members of a set with `timeout_seconds` vanish that long after
    they were last added: they are a memory of the kernel's, and no desired state (G11).
    A set that is `filled_by_others` is made where it is missing, and its members are theirs who fill
    it. That, and `meaning`, which is for people, never reach the kernel.
    """

    name: str
    type: SetType
    family: Family | None
    members: frozenset[Member] = frozenset()
    meaning: str = field(default="", compare=False)
    timeout_seconds: int | None = None
    has_comments: bool = False
    filled_by_others: bool = field(default=False, compare=False)

    @property
    def is_ours_to_fill(self) -> bool:
        """True where what it should hold is known here."""
        return self.timeout_seconds is None and not self.filled_by_others


# --- matches


class Side(enum.Enum):
    """The end of a packet that a match looks at; the values are ipset's words."""

    SOURCE = "src"
    DESTINATION = "dst"


@dataclass(frozen=True, slots=True)
class InSet:
    """The packet's fields named by `sides` are (or, negated, are not) in the set.

    A hash:ip,port takes two sides, address then port, a hash:ip,port,ip and a hash:ip,port,net
    three; a hash:ip inside a list:set only uses the first.
    """

    name: str
    sides: tuple[Side, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class InNetwork:
    """The address on `side` lies (or, negated, does not lie) in `network`."""

    side: Side
    network: Network
    negated: bool = False


@dataclass(frozen=True, slots=True)
class OfProtocol:
    """The packet is of this protocol; ICMP means the family's own ICMP."""

    protocol: Protocol


@dataclass(frozen=True, slots=True)
class ToPorts:
    """The destination port is one of these; the rule also has an OfProtocol.

    At most 15 slots, of which a range takes two: the limit of the multiport match.
    """

    ports: tuple[PortRange, ...]


class ConnectionState(enum.Enum):
    """Conntrack's states; the values are its words."""

    NEW = "NEW"
    ESTABLISHED = "ESTABLISHED"
    RELATED = "RELATED"


@dataclass(frozen=True, slots=True)
class InState:
    """The packet's connection is (or, negated, is not) in one of these states."""

    states: frozenset[ConnectionState]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class FirstPacket:
    """The packet is the first of its connection: those before it, if any, were refused.

    State NEW is also of what follows until the other side answers.
    """


@dataclass(frozen=True, slots=True)
class NotSyn:
    """The packet is no TCP opening (SYN set; ACK, RST and FIN not); the rule also has OfProtocol(TCP)."""


@dataclass(frozen=True, slots=True)
class NotInit:
    """The packet is no SCTP opening (an INIT chunk and no other); the rule also has OfProtocol(SCTP)."""


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """The address on `side` is (or, negated, is not) one of the node's own."""

    side: Side
    negated: bool = False


@dataclass(frozen=True, slots=True)
class OfIcmpv6Type:
    """The packet is ICMPv6 of this type; the rule also has OfProtocol(ICMP)."""

    number: int


@dataclass(frozen=True, slots=True)
class EchoRequest:
    """The packet is a ping of the family's ICMP; the rule also has OfProtocol(ICMP)."""


@dataclass(frozen=True, slots=True)
class Tunnelled:
    """The packet carries another packet of the same family: IPIP, or IPv6 in IPv6."""


@dataclass(frozen=True, slots=True)
class Balanced:
    """IPVS has sent the packet on to an endpoint, from a client: what goes back does not match.

    With `address`, `protocol` and `port`, the client asked for this virtual server.
    """

    address: Address | None = None
    protocol: Protocol | None = None
    port: int | None = None


Match = (
    InSet
    | InNetwork
    | OfProtocol
    | ToPorts
    | InState
    | FirstPacket
    | NotSyn
    | NotInit
    | LocalAddress
    | OfIcmpv6Type
    | EchoRequest
    | Tunnelled
    | Balanced
)

# --- targets and rules


class Action(enum.Enum):
    """The targets that end a chain or a packet; the values are iptables' words."""

    RETURN = "RETURN"
    DROP = "DROP"
    ACCEPT = "ACCEPT"
    MASQUERADE = "MASQUERADE"
    """Only in the nat table: the packet goes on from the address of the link that it leaves by."""


class Reject(enum.Enum):
    """Drop the packet and tell its sender; the values are how."""

    RESET = "tcp-reset"
    """The rule also has OfProtocol(TCP)."""
    UNREACHABLE = "port-unreachable"
    """By the family's own ICMP, of which the kernel sends one address only so many a second."""


@dataclass(frozen=True, slots=True)
class Jump:
    """Go on in `chain`; come back here when it returns."""

    chain: str


@dataclass(frozen=True, slots=True)
class Goto:
    """Go on in `chain`; when it returns, return from here too."""

    chain: str


@dataclass(frozen=True, slots=True)
class Log:
    """Hand the packet to the NFLOG `group`, with `prefix` saying which rule it met, and go on."""

    group: int
    prefix: str


@dataclass(frozen=True, slots=True)
class AddToSet:
    """Put the packet's fields named by `sides` into the set, or start their time there anew, and go on."""

    name: str
    sides: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class SetMark:
    """Give the packet this mark, and go on."""

    mark: int


Target = Action | Reject | Jump | Goto | Log | AddToSet | SetMark


@dataclass(frozen=True, slots=True)
class Rule:
    """All of `matches` hold: do `target`. The comment is for people; nothing is read back from it."""

    matches: tuple[Match, ...]
    target: Target
    comment: str = ""


class Hook(enum.Enum):
    """The built-in chains that packets enter by; the values are iptables' words."""

    INPUT = "INPUT"
    FORWARD = "FORWARD"
    OUTPUT = "OUTPUT"
    PREROUTING = "PREROUTING"
    POSTROUTING = "POSTROUTING"


FILTER_HOOKS = (Hook.INPUT, Hook.FORWARD, Hook.OUTPUT)
"""Those of the filter table."""


class TableName(enum.Enum):
    """The tables of a family that are written; the values are iptables' words."""

    FILTER = "filter"
    NAT = "nat"
    MANGLE = "mangle"


TABLE_HOOKS: Mapping[TableName, tuple[Hook, ...]] = {
    TableName.FILTER: FILTER_HOOKS,
    TableName.NAT: (Hook.PREROUTING, Hook.INPUT, Hook.OUTPUT, Hook.POSTROUTING),
    TableName.MANGLE: (Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING),
}
"""The built-in chains of each table."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a family: the first rule of each hook, and our chains by name."""

    hooks: Mapping[Hook, Rule]
    chains: Mapping[str, tuple[Rule, ...]]


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All that one node's kernel should hold: sets by name, a table per family."""

    sets: Mapping[str, IpSet]
    tables: Mapping[Family, Table]
