"""Rules as lines for iptables-restore, in the very form iptables-save prints them back.

Both variants of the tools, for both families, put addresses first, then the protocol,
then the matches in the order given; the nft variant gathers all that is said of TCP
into one `-m tcp`. Writing rules this way makes comparing texts enough to see a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from netpol.compiler.ruleset import (
    Action,
    AddToSet,
    Balanced,
    ConnectionState,
    EchoRequest,
    FirstPacket,
    Goto,
    Hook,
    InNetwork,
    InSet,
    InState,
    Jump,
    LocalAddress,
    Log,
    Match,
    NotInit,
    NotSyn,
    OfIcmpv6Type,
    OfProtocol,
    Reject,
    Rule,
    SetMark,
    Side,
    Table,
    ToPorts,
    Tunnelled,
)
from netpol.dataplane.ruletext import quote
from netpol.model.networks import Family
from netpol.model.ports import ALL_PORTS, NUMBERS_WITH_PORTS, PortRange, Protocol

COMMENT_BYTES = 255
PREFIX_BYTES = 63
"""What fits the kernel's structures; legacy iptables cuts the rest off without a word, nft only beyond 127."""

STATES = (ConnectionState.NEW, ConnectionState.RELATED, ConnectionState.ESTABLISHED)
"""The states in the order the tools print them."""

TUNNEL_NUMBERS = {Family.IPV4: 4, Family.IPV6: 41}
"""The protocols of packets that carry another one of their family. Their names are in /etc/protocols alone."""

_ECHO_REQUESTS = {Family.IPV4: "--icmp-type 8", Family.IPV6: "--icmpv6-type 128"}
_SYN = "! --tcp-flags FIN,SYN,RST,ACK SYN"
_INIT = "! --chunk-types only INIT"
_ICMPV6 = "ipv6-icmp"
_MODULES = {_ICMPV6: "icmp6"}
"""The matches that are not called like their protocol."""
_UNSAFE_IN_COMMENT = str.maketrans({'"': "_", "'": "_", "\\": "_", "`": "_", "$": "_"})


@dataclass(frozen=True, slots=True)
class RenderedTable:
    """A table as text: each hook's rule, each chain's rules, without `-A NAME`."""

    hooks: Mapping[Hook, str]
    chains: Mapping[str, tuple[str, ...]]


def render_table(table: Table, family: Family) -> RenderedTable:
    """Every rule of the table as text."""
    return RenderedTable(
        {hook: render_rule(rule, family) for hook, rule in table.hooks.items()},
        {name: tuple(render_rule(rule, family) for rule in rules) for name, rules in table.chains.items()},
    )


@lru_cache(maxsize=1 << 13)
def render_rule(rule: Rule, family: Family) -> str:
    """The rule as one line, without `-A NAME`.

    ValueError where no rule can say it: ports, flags or a reset without the protocol that has
    them, two networks on one side, two protocols, a log prefix that would be cut.

    >>> from netpol.model.ports import PortRange
    >>> ports = ToPorts((PortRange(80, 80), PortRange(8000, 8080)))
    >>> render_rule(Rule((OfProtocol(Protocol.TCP), ports), Action.RETURN), Family.IPV4)
    '-p tcp -m multiport --dports 80,8000:8080 -j RETURN'
    """
    parts = [*_networks(rule.matches), *_protocol(rule.matches, family)]
    parts += filter(None, map(_match, rule.matches))
    if comment := plain_comment(rule.comment):
        parts.append(f"-m comment --comment {quote(comment)}")
    parts.append(_target(rule, family))
    return " ".join(parts)


def plain_comment(comment: str) -> str:
    r"""`comment` as a rule can carry it: one line, no quotes, at most 255 bytes.

    Quotes survive the tools, but every version escapes them its own way; names of
    Kubernetes objects have none.

    >>> plain_comment('say "hi"\n')
    'say _hi_'
    """
    if comment.isprintable():
        printable = comment
    else:
        printable = "".join(character if character.isprintable() else " " for character in comment)
    cut = printable.translate(_UNSAFE_IN_COMMENT).strip().encode()[:COMMENT_BYTES]
    return cut.decode(errors="ignore").strip()


def _networks(matches: Iterable[Match]) -> list[str]:
    found: dict[Side, str] = {}
    for match in matches:
        if not isinstance(match, InNetwork) or (match.network.prefixlen == 0 and not match.negated):
            continue
        if match.side in found:
            raise ValueError(f"a rule has one {match.side.value} network, this one has {match.network} too")
        option = "-s" if match.side is Side.SOURCE else "-d"
        found[match.side] = f"{_not(match)}{option} {match.network}"
    return [found[side] for side in Side if side in found]


def _protocol(matches: Sequence[Match], family: Family) -> list[str]:
    """The protocol and what is said of its own header, in one place."""
    protocol = next((match.protocol for match in matches if isinstance(match, OfProtocol)), None)
    ports = [_port_of(match, protocol) for match in matches if isinstance(match, ToPorts)]
    details = [*filter(None, ports), *filter(None, (_header(match, protocol, family) for match in matches))]
    if any(isinstance(match, Tunnelled) for match in matches):
        if protocol is not None:
            raise ValueError(f"what is tunnelled is of no other protocol, such as {protocol.value}")
        return [f"-p {TUNNEL_NUMBERS[family]}"]
    if protocol is None:
        return []
    name = protocol_name(protocol, family)
    module = _MODULES.get(name, name)
    return [f"-p {name}", *([f"-m {module}", *details] if details else [])]


def protocol_name(protocol: Protocol, family: Family) -> str:
    """What the option -p calls a protocol of packets of this family."""
    if protocol is Protocol.ICMP and family is Family.IPV6:
        return _ICMPV6
    return protocol.value.lower()


def _port_of(match: ToPorts, protocol: Protocol | None) -> str:
    """The one port or range that the protocol's own match can say; several are multiport's."""
    if protocol is None or not protocol.has_ports:
        raise ValueError("ports are matched without a protocol that has them")
    return f"--dport {_port(match.ports[0])}" if len(match.ports) == 1 and match.ports[0] != ALL_PORTS else ""


def _header(match: Match, protocol: Protocol | None, family: Family) -> str:
    """What the match says of the protocol's header beside ports; "" where that is nothing."""
    match match:
        case NotSyn():
            if protocol is not Protocol.TCP:
                raise ValueError("TCP's flags are matched without TCP")
            return _SYN
        case NotInit():
            if protocol is not Protocol.SCTP:
                raise ValueError("SCTP's chunks are matched without SCTP")
            return _INIT
        case OfIcmpv6Type():
            if protocol is not Protocol.ICMP or family is not Family.IPV6:
                raise ValueError("an ICMPv6 type is matched without ICMPv6")
            return f"--icmpv6-type {match.number}"
        case EchoRequest():
            if protocol is not Protocol.ICMP:
                raise ValueError("a ping is matched without ICMP")
            return _ECHO_REQUESTS[family]
        case _:
            return ""


def _match(match: Match) -> str:
    """The match as text; "" for those that `_networks` and `_protocol` write."""
    match match:
        case InSet():
            return f"-m set {_not(match)}--match-set {match.name} {_sides(match.sides)}"
        case ToPorts() if len(match.ports) > 1:
            return f"-m multiport --dports {','.join(map(_port, match.ports))}"
        case InState():
            states = ",".join(state.value for state in STATES if state in match.states)
            return f"-m conntrack {_not(match)}--ctstate {states}"
        case FirstPacket():
            # The kernel confirms an entry when its packet has passed every hook.
            return "-m conntrack ! --ctstatus CONFIRMED"
        case LocalAddress():
            return f"-m addrtype {_not(match)}--{match.side.value}-type LOCAL"
        case Balanced():
            return f"-m ipvs {_virtual_server(match)}--vdir ORIGINAL"
        case _:
            return ""


def _virtual_server(match: Balanced) -> str:
    parts = (
        "" if match.protocol is None else f"--vproto {NUMBERS_WITH_PORTS[match.protocol]} ",
        "" if match.address is None else f"--vaddr {match.address} ",
        "" if match.port is None else f"--vport {match.port} ",
    )
    return "".join(parts)


def _target(rule: Rule, family: Family) -> str:
    target = rule.target
    match target:
        case Action():
            return f"-j {target.value}"
        case Reject.RESET:
            if OfProtocol(Protocol.TCP) not in rule.matches:
                raise ValueError("a TCP connection is reset without TCP")
            return f"-j REJECT --reject-with {target.value}"
        case Reject.UNREACHABLE:
            return f"-j REJECT --reject-with {'icmp6' if family is Family.IPV6 else 'icmp'}-{target.value}"
        case Jump():
            return f"-j {target.chain}"
        case Goto():
            return f"-g {target.chain}"
        case Log():
            if len(target.prefix.encode()) > PREFIX_BYTES:
                raise ValueError(f"the log prefix {target.prefix!r} has over {PREFIX_BYTES} bytes")
            prefix = f" --nflog-prefix {quote(target.prefix)}" if target.prefix else ""
            group = f" --nflog-group {target.group}" if target.group else ""
            return f"-j NFLOG{prefix}{group}"
        case AddToSet(name, sides):
            # Without --exist the time of a member that is there already would run out.
            return f"-j SET --add-set {name} {_sides(sides)} --exist"
        case SetMark(mark):
            return f"-j MARK --set-xmark {mark:#x}/0xffffffff"


def _sides(sides: Iterable[Side]) -> str:
    return ",".join(side.value for side in sides)


def _not(match: InNetwork | InSet | InState | LocalAddress) -> str:
    return "! " if match.negated else ""


def _port(ports: PortRange) -> str:
    return str(ports.first) if ports.first == ports.last else f"{ports.first}:{ports.last}"
