"""Walks a packet through a Ruleset as the kernel would.

This is the tests' second opinion: it knows matches, targets and ipset types, and nothing
of policies or of how the compiler lays its chains out. A ruleset that the kernel would
refuse (`refusals`) is an AssertionError, never a verdict.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from refusals import DIMENSIONS, check

from netpol.compiler.log_points import LogPoint
from netpol.compiler.ruleset import (
    Action,
    AddressPort,
    AddressPortAddress,
    AddressPortNetwork,
    AddToSet,
    Balanced,
    EchoRequest,
    FirstPacket,
    Goto,
    Hook,
    InNetwork,
    InSet,
    InState,
    IpSet,
    Jump,
    LocalAddress,
    Log,
    Match,
    NetworkMember,
    NotInit,
    NotSyn,
    OfIcmpv6Type,
    OfProtocol,
    Reject,
    Rule,
    Ruleset,
    SetMark,
    SetReference,
    SetType,
    Side,
    Target,
    ToPorts,
    Tunnelled,
)
from netpol.model.networks import Address, Family, family_of
from netpol.model.ports import Protocol


class State(enum.Enum):
    """What conntrack says of a packet; the values are its words."""

    NEW = "NEW"
    ESTABLISHED = "ESTABLISHED"
    RELATED = "RELATED"
    INVALID = "INVALID"
    UNTRACKED = "UNTRACKED"


ECHO_REQUEST = 128
"""ICMPv6's ping."""


class VirtualServer(NamedTuple):
    """What a client asked for of IPVS."""

    address: Address
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet after service translation; `protocol` is None for one that no policy can name.

    `opening` is a TCP packet with SYN and without ACK, RST and FIN, or an SCTP packet with
    INIT and nothing else; `first` is one that is NEW and before which none of its connection
    has passed. `ping` is an echo request of ICMP. What is `tunnelled` carries another packet of
    its family, and `asked` is what IPVS sent it on for, from a client. `local` are the own
    addresses of the node it is on; loopback is always among them.
    """

    source: Address
    destination: Address
    protocol: Protocol | None = Protocol.TCP
    port: int | None = None
    source_port: int = 40000
    state: State = State.NEW
    opening: bool = True
    first: bool = True
    icmpv6_type: int = ECHO_REQUEST
    ping: bool = True
    tunnelled: bool = False
    asked: VirtualServer | None = None
    local: frozenset[Address] = frozenset()

    def __post_init__(self) -> None:
        assert family_of(self.source) is family_of(self.destination), f"{self} is of two families"
        has_ports = self.protocol is not None and self.protocol.has_ports
        assert has_ports == (self.port is not None), f"{self} has a port and no protocol for it, or the other way round"
        assert not (self.tunnelled and self.protocol), f"{self} is tunnelled and of a protocol that policies can name"

    def address(self, side: Side) -> Address:
        """The address on that side."""
        return self.source if side is Side.SOURCE else self.destination

    def port_on(self, side: Side) -> int:
        """The port on that side of a packet that has ports."""
        assert self.port is not None, f"{self} has no ports"
        return self.source_port if side is Side.SOURCE else self.port

    def is_local(self, side: Side) -> bool:
        """True where the address on that side is the node's own."""
        return self.address(side) in self.local or self.address(side).is_loopback


class Outcome(enum.Enum):
    """What became of a packet; one that no rule of ours decided is accepted, as far as we are concerned."""

    ACCEPTED = "accepted"
    DROPPED = "dropped"
    REJECTED = "rejected"
    """Dropped, and its sender told."""

    @property
    def is_refusal(self) -> bool:
        """True where the packet does not arrive."""
        return self is not Outcome.ACCEPTED


_VERDICTS: dict[Target, Outcome] = {
    Action.DROP: Outcome.DROPPED,
    Action.ACCEPT: Outcome.ACCEPTED,
    Action.MASQUERADE: Outcome.ACCEPTED,
    **dict.fromkeys(Reject, Outcome.REJECTED),
}
"""What the targets make of a packet that end its way through the table."""


@dataclass(frozen=True, slots=True)
class Step:
    """A rule that matched, and where it stands."""

    chain: str
    index: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class Trace:
    """One packet's way: `rules_met` are all rules it was compared with, `path` those that matched.

    `mark` is the one that it was given last.
    """

    verdict: Outcome
    rules_met: int
    path: tuple[Step, ...]
    logs: tuple[Log, ...]
    mark: int = 0

    @property
    def is_masqueraded(self) -> bool:
        """True where it went on from another address."""
        return any(step.rule.target is Action.MASQUERADE for step in self.path)

    @property
    def points(self) -> tuple[LogPoint | None, ...]:
        """What the rules that logged the packet say of it, in their order."""
        return tuple(LogPoint.parse(log.prefix) for log in self.logs)

    def __str__(self) -> str:
        lines = [f"{self.verdict.value} after {self.rules_met} rules"]
        lines += [f"  {step.chain}[{step.index}] {step.rule.target} {step.rule.comment}" for step in self.path]
        return "\n".join(lines)


@dataclass(slots=True)
class _Walk:
    """What one packet has met so far, and the chains it is in: each with the rules still to come."""

    stack: list[tuple[str, Iterator[tuple[int, Rule]]]]
    rules_met: int = 0
    path: list[Step] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    mark: int = 0

    def enter(self, chain: str, rules: tuple[Rule, ...]) -> None:
        self.stack.append((chain, iter(enumerate(rules))))

    def end(self, verdict: Outcome) -> Trace:
        return Trace(verdict, self.rules_met, tuple(self.path), tuple(self.logs), self.mark)


def trace(ruleset: Ruleset, family: Family, hook: Hook, packet: Packet) -> Trace:
    """What `ruleset` does with `packet` at `hook`."""
    return Tracer(ruleset).trace(family, hook, packet)


class Tracer:
    """Walks many packets through one ruleset, which the kernel must not refuse."""

    def __init__(self, ruleset: Ruleset) -> None:
        check(ruleset)
        self._ruleset = ruleset
        self._networks: dict[str, dict[int, dict[int, bool]]] = {}

    def trace(self, family: Family, hook: Hook, packet: Packet) -> Trace:
        """What becomes of `packet` at `hook`, whose first rule decides whether it enters our chains."""
        assert family_of(packet.source) is family, f"{packet} is not of {family}"
        table = self._ruleset.tables[family]
        walk = _Walk([])
        walk.enter(hook.value, (table.hooks[hook],))
        while walk.stack:
            chain, rules = walk.stack[-1]
            step = next(rules, None)
            if step is None:
                walk.stack.pop()
                continue
            walk.rules_met += 1
            index, rule = step
            if not all(self._meets(match, family, packet) for match in rule.matches):
                continue
            walk.path.append(Step(chain, index, rule))
            if (verdict := _VERDICTS.get(rule.target)) is not None:
                return walk.end(verdict)
            match rule.target:
                case Action.RETURN:
                    walk.stack.pop()
                case Jump(onward):
                    walk.enter(onward, table.chains[onward])
                case Goto(onward):
                    walk.stack.pop()
                    walk.enter(onward, table.chains[onward])
                case Log() as log:
                    walk.logs.append(log)
                case SetMark(mark):
                    walk.mark = mark
                case AddToSet():
                    pass
        return walk.end(Outcome.ACCEPTED)

    def _meets(self, match: Match, family: Family, packet: Packet) -> bool:
        match match:
            case InSet(name, sides, negated):
                return self._holds(self._ruleset.sets[name], sides, family, packet) is not negated
            case InNetwork(side, network, negated):
                return (packet.address(side) in network) is not negated
            case InState(states, negated):
                return (packet.state.value in {state.value for state in states}) is not negated
            case FirstPacket():
                return packet.first and packet.state is State.NEW
            case LocalAddress(side, negated):
                return packet.is_local(side) is not negated
            case Balanced(address, protocol, port):
                wanted = (address, protocol, port)
                return packet.asked is not None and all(
                    each in (None, asked) for each, asked in zip(wanted, packet.asked, strict=True)
                )
            case _:
                return _header_meets(match, packet)

    def _holds(self, tested: IpSet, sides: tuple[Side, ...], family: Family, packet: Packet) -> bool:
        """True where the set has the packet's sides.

        A member of a list:set may be of the other family, or want more sides: it never matches.
        """
        if tested.family not in (None, family) or len(sides) < DIMENSIONS[tested.type]:
            return False
        match tested.type:
            case SetType.ADDRESSES:
                return packet.address(sides[0]).packed in tested.members
            case SetType.NETWORKS:
                return self._longest_prefix_matches(tested, packet.address(sides[0]))
            case SetType.ADDRESS_PORTS:
                return _holds_address_port(tested, sides, packet)
            case SetType.ADDRESS_PORT_ADDRESSES:
                return _holds_address_port_address(tested, sides, packet)
            case SetType.ADDRESS_PORT_NETWORKS:
                return _holds_address_port_network(tested, sides, packet)
            case SetType.SETS:
                names = [member.name for member in tested.members if isinstance(member, SetReference)]
                return any(self._holds(self._ruleset.sets[name], sides, family, packet) for name in names)

    def _longest_prefix_matches(self, tested: IpSet, address: Address) -> bool:
        if tested.name not in self._networks:
            self._networks[tested.name] = _networks_by_prefix(tested)
        for length, networks in self._networks[tested.name].items():
            nomatch = networks.get(int(address) >> (address.max_prefixlen - length))
            if nomatch is not None:
                return not nomatch
        return False


_Header = OfProtocol | ToPorts | NotSyn | NotInit | OfIcmpv6Type | EchoRequest | Tunnelled


def _header_meets(match: _Header, packet: Packet) -> bool:
    match match:
        case OfProtocol(protocol):
            return packet.protocol is protocol
        case ToPorts(ports):
            return packet.port is not None and any(packet.port in each for each in ports)
        case NotSyn():
            return packet.protocol is Protocol.TCP and not packet.opening
        case NotInit():
            return packet.protocol is Protocol.SCTP and not packet.opening
        case OfIcmpv6Type(number):
            return packet.protocol is Protocol.ICMP and packet.icmpv6_type == number
        case EchoRequest():
            return packet.protocol is Protocol.ICMP and packet.ping
        case Tunnelled():
            return packet.tunnelled


def _networks_by_prefix(tested: IpSet) -> dict[int, dict[int, bool]]:
    """Whether each network is `nomatch`, by its prefix length, longest first, and its leading bits."""
    found: dict[int, dict[int, bool]] = {}
    for member in tested.members:
        if isinstance(member, NetworkMember):
            leading = int.from_bytes(member.packed) >> (len(member.packed) * 8 - member.prefix)
            found.setdefault(member.prefix, {})[leading] = member.nomatch
    return dict(sorted(found.items(), reverse=True))


def _holds_address_port(tested: IpSet, sides: tuple[Side, ...], packet: Packet) -> bool:
    if packet.protocol is None or packet.port is None:
        return False
    asked = packet.address(sides[0]).packed, packet.protocol, packet.port_on(sides[1])
    return any(isinstance(member, AddressPort) and member[:3] == asked for member in tested.members)


def _holds_address_port_address(tested: IpSet, sides: tuple[Side, ...], packet: Packet) -> bool:
    if packet.protocol is None or packet.port is None:
        return False
    own, port, peer = packet.address(sides[0]), packet.port_on(sides[1]), packet.address(sides[2])
    return AddressPortAddress(own.packed, packet.protocol, port, peer.packed) in tested.members


def _holds_address_port_network(tested: IpSet, sides: tuple[Side, ...], packet: Packet) -> bool:
    if packet.protocol is None or packet.port is None:
        return False
    own, port, peer = packet.address(sides[0]), packet.port_on(sides[1]), packet.address(sides[2])
    return any(
        isinstance(member, AddressPortNetwork)
        and member[:3] == (own.packed, packet.protocol, port)
        and int(peer) >> (peer.max_prefixlen - member.prefix)
        == int.from_bytes(member.network) >> (peer.max_prefixlen - member.prefix)
        for member in tested.members
    )
