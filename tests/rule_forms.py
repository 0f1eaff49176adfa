"""A rule of every form the compiler and the service proxy can make, with its text.

Both variants of iptables print this text, but for a protocol that /etc/protocols has a name for (`printed`).
"""

from __future__ import annotations

from netpol.compiler.ruleset import (
    Action,
    AddToSet,
    Balanced,
    ConnectionState,
    EchoRequest,
    FirstPacket,
    Goto,
    InNetwork,
    InSet,
    InState,
    Jump,
    LocalAddress,
    Log,
    NotInit,
    NotSyn,
    OfIcmpv6Type,
    OfProtocol,
    Reject,
    Rule,
    SetMark,
    Side,
    ToPorts,
    Tunnelled,
)
from netpol.model.networks import Family, parse_address, parse_network
from netpol.model.ports import ALL_PORTS, PortRange, Protocol

SOURCE, DESTINATION = Side.SOURCE, Side.DESTINATION
TCP, UDP, SCTP, ICMP = map(OfProtocol, (Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP))
ESTABLISHED, RELATED, NEW = ConnectionState.ESTABLISHED, ConnectionState.RELATED, ConnectionState.NEW

ADDRESS_SET = {Family.IPV4: "NETPOL-S4-AAAAAAAAAAAAAAAA", Family.IPV6: "NETPOL-S6-AAAAAAAAAAAAAAAA"}
PORT_SET = {Family.IPV4: "NETPOL-P4-AAAAAAAAAAAAAAAA", Family.IPV6: "NETPOL-P6-AAAAAAAAAAAAAAAA"}
ANSWER_SET = {Family.IPV4: "NETPOL-CUT-4", Family.IPV6: "NETPOL-CUT-6"}
SOURCE_SET = {Family.IPV4: "NETPOL-R4-AAAAAAAAAAAAAAAA", Family.IPV6: "NETPOL-R6-AAAAAAAAAAAAAAAA"}
LIST_SET = "NETPOL-L-AAAAAAAAAAAAAAAA"
CHAIN = "NETPOL-PI-AAAAAAAAAAAAAAAA"


def ports(*ranges: int | tuple[int, int]) -> ToPorts:
    """The match of these ports, each a number or a first and a last."""
    return ToPorts(
        tuple(PortRange(each, each) if isinstance(each, int) else PortRange(*each) for each in ranges),
    )


Form = tuple[Rule, str]
"""A rule, and its text."""


def forms(family: Family) -> list[Form]:
    """Rules of the filter table and their texts; the sets and the chain they name are those above."""
    discovery = Rule((ICMP, OfIcmpv6Type(135)), Action.RETURN), "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -j RETURN"
    return [
        *_of_addresses(family),
        *_of_protocols(family),
        *_of_states(),
        *_of_targets(family),
        *([] if family is Family.IPV4 else [discovery]),
    ]


def nat_forms() -> list[Form]:
    """What the nat table alone takes."""
    return [
        (Rule((), Action.MASQUERADE), "-j MASQUERADE"),
        (
            Rule((OfProtocol(Protocol.TCP),), Action.MASQUERADE, "from elsewhere"),
            '-p tcp -m comment --comment "from elsewhere" -j MASQUERADE',
        ),
    ]


def balanced_forms(family: Family) -> list[Form]:
    """What a kernel without IPVS refuses: a guest with it has to try these."""
    server = "10.96.0.10" if family is Family.IPV4 else "fd00:96::a"
    return [
        (Rule((Balanced(),), Jump(CHAIN)), f"-m ipvs --vdir ORIGINAL -j {CHAIN}"),
        *(
            (
                Rule((Balanced(parse_address(server), protocol, port),), Action.ACCEPT),
                f"-m ipvs --vproto {number} --vaddr {server} --vport {port} --vdir ORIGINAL -j ACCEPT",
            )
            for protocol, number, port in ((Protocol.TCP, 6, 80), (Protocol.UDP, 17, 53), (Protocol.SCTP, 132, 65535))
        ),
    ]


_PRINTED = {"-p 4 ": "-p ipencap ", "-p 41 ": "-p ipv6 "}


def printed(text: str) -> str:
    """The text as a tool prints it that finds /etc/protocols."""
    number = next((number for number in _PRINTED if text.startswith(number)), None)
    return text if number is None else _PRINTED[number] + text.removeprefix(number)


def _of_addresses(family: Family) -> list[Form]:
    four = family is Family.IPV4
    addresses, pairs, sources = ADDRESS_SET[family], PORT_SET[family], SOURCE_SET[family]
    network = parse_network("10.0.0.0/8" if four else "fd00::/64")
    host = parse_network("10.1.2.3/32" if four else "fd00:0:0::1/128")
    return [
        (Rule((), Action.DROP), "-j DROP"),
        (Rule((InSet(addresses, (SOURCE,)),), Action.RETURN), f"-m set --match-set {addresses} src -j RETURN"),
        (
            Rule((InSet(pairs, (DESTINATION, DESTINATION), negated=True),), Action.DROP),
            f"-m set ! --match-set {pairs} dst,dst -j DROP",
        ),
        (
            Rule((InSet(sources, (DESTINATION, DESTINATION, SOURCE)),), Action.ACCEPT),
            f"-m set --match-set {sources} dst,dst,src -j ACCEPT",
        ),
        (
            Rule((InSet(LIST_SET, (SOURCE,)), InSet(addresses, (DESTINATION,), negated=True)), Goto(CHAIN)),
            f"-m set --match-set {LIST_SET} src -m set ! --match-set {addresses} dst -g {CHAIN}",
        ),
        (
            Rule((InSet(LIST_SET, (DESTINATION,)), InNetwork(SOURCE, network), TCP), Jump(CHAIN)),
            f"-s {network} -p tcp -m set --match-set {LIST_SET} dst -j {CHAIN}",
        ),
        (
            Rule((InNetwork(DESTINATION, host, negated=True), InNetwork(SOURCE, network, negated=True)), Action.DROP),
            f"! -s {network} ! -d {host} -j DROP",
        ),
        (Rule((InNetwork(SOURCE, parse_network("0.0.0.0/0" if four else "::/0")),), Action.DROP), "-j DROP"),
    ]


def _of_protocols(family: Family) -> list[Form]:
    addresses, accept = ADDRESS_SET[family], Action.RETURN
    four = family is Family.IPV4
    icmp = "icmp" if four else "ipv6-icmp"
    ping = "-m icmp --icmp-type 8" if four else "-m icmp6 --icmpv6-type 128"
    return [
        (Rule((ICMP,), accept), f"-p {icmp} -j RETURN"),
        (Rule((ICMP, EchoRequest()), accept), f"-p {icmp} {ping} -j RETURN"),
        (Rule((Tunnelled(),), accept), f"-p {4 if four else 41} -j RETURN"),
        (
            Rule((InSet(addresses, (DESTINATION,)), Tunnelled()), accept),
            f"-p {4 if four else 41} -m set --match-set {addresses} dst -j RETURN",
        ),
        (Rule((TCP, ports(80)), accept), "-p tcp -m tcp --dport 80 -j RETURN"),
        (Rule((UDP, ports((80, 90))), accept), "-p udp -m udp --dport 80:90 -j RETURN"),
        (Rule((SCTP, ports(0)), accept), "-p sctp -m sctp --dport 0 -j RETURN"),
        (Rule((SCTP, ports((1, 65535))), accept), "-p sctp -m sctp --dport 1:65535 -j RETURN"),
        (Rule((UDP, ToPorts((ALL_PORTS,))), accept), "-p udp -j RETURN"),
        (
            Rule((TCP, InSet(addresses, (SOURCE,)), ports(80, 443, (1000, 2000))), accept),
            f"-p tcp -m set --match-set {addresses} src -m multiport --dports 80,443,1000:2000 -j RETURN",
        ),
        (
            Rule((SCTP, ports(*range(1, 14), (20, 30))), accept),
            "-p sctp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,20:30 -j RETURN",
        ),
        (Rule((SCTP, NotInit()), accept), "-p sctp -m sctp ! --chunk-types only INIT -j RETURN"),
        (
            Rule((InSet(addresses, (SOURCE,)), NotInit(), SCTP, ports(80)), accept),
            f"-p sctp -m sctp --dport 80 ! --chunk-types only INIT -m set --match-set {addresses} src -j RETURN",
        ),
        (
            Rule((TCP, InSet(addresses, (SOURCE,)), ports(80), NotSyn()), accept),
            f"-p tcp -m tcp --dport 80 ! --tcp-flags FIN,SYN,RST,ACK SYN -m set --match-set {addresses} src -j RETURN",
        ),
    ]


def _of_states() -> list[Form]:
    accept = Action.RETURN
    return [
        (
            Rule((InState(frozenset({NEW})), TCP, NotSyn()), Action.DROP),
            "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j DROP",
        ),
        (
            Rule((InState(frozenset({ESTABLISHED, RELATED})),), accept),
            "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
        ),
        (
            Rule((InState(frozenset({NEW, ESTABLISHED}), negated=True),), accept),
            "-m conntrack ! --ctstate NEW,ESTABLISHED -j RETURN",
        ),
        (
            Rule((FirstPacket(), TCP), accept),
            "-p tcp -m conntrack ! --ctstatus CONFIRMED -j RETURN",
        ),
        (
            Rule((LocalAddress(SOURCE, negated=True), LocalAddress(DESTINATION)), accept),
            "-m addrtype ! --src-type LOCAL -m addrtype --dst-type LOCAL -j RETURN",
        ),
    ]


def _of_targets(family: Family) -> list[Form]:
    answers = ANSWER_SET[family]
    return [
        (
            Rule((UDP, InSet(answers, (SOURCE, SOURCE, DESTINATION))), AddToSet(answers, (DESTINATION,) * 3)),
            f"-p udp -m set --match-set {answers} src,src,dst -j SET --add-set {answers} dst,dst,dst --exist",
        ),
        (
            Rule((), AddToSet(answers, (SOURCE, SOURCE, DESTINATION)), "it goes on"),
            f'-m comment --comment "it goes on" -j SET --add-set {answers} src,src,dst --exist',
        ),
        (
            Rule((TCP,), Reject.RESET, "refused"),
            "-p tcp -m comment --comment refused -j REJECT --reject-with tcp-reset",
        ),
        (
            Rule((), Reject.UNREACHABLE),
            f"-j REJECT --reject-with {'icmp' if family is Family.IPV4 else 'icmp6'}-port-unreachable",
        ),
        (Rule((TCP,), Action.ACCEPT), "-p tcp -j ACCEPT"),
        (Rule((), SetMark(0x4E000001)), "-j MARK --set-xmark 0x4e000001/0xffffffff"),
        (Rule((), SetMark(0)), "-j MARK --set-xmark 0x0/0xffffffff"),
        (Rule((), Log(100, "d:abc7")), '-j NFLOG --nflog-prefix "d:abc7" --nflog-group 100'),
        (Rule((), Log(0, "p" * 63)), f"-j NFLOG --nflog-prefix {'p' * 63}"),
        (
            Rule((), Action.DROP, "ingress of web/frontend-1"),
            '-m comment --comment "ingress of web/frontend-1" -j DROP',
        ),
        (Rule((), Action.DROP, "one-word_1"), "-m comment --comment one-word_1 -j DROP"),
        (Rule((), Action.DROP, "-A"), "-m comment --comment -A -j DROP"),
        (Rule((), Action.DROP, "c" * 300), f"-m comment --comment {'c' * 255} -j DROP"),
        (
            Rule((), Action.DROP, "  a  b\n\"c' `d` $e\\f {g}#;\t"),
            '-m comment --comment "a  b _c_ _d_ _e_f {g}#;" -j DROP',
        ),
        (Rule((), Action.DROP, "Bücher/größe"), '-m comment --comment "Bücher/größe" -j DROP'),
    ]
