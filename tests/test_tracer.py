"""The tracer against the kernel's rules: what each target, match and set type does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from builders import address
from tracer import Outcome, Packet, State, Trace, Tracer, VirtualServer, trace

from netpol.compiler import names
from netpol.compiler.log_points import LoggedOutcome, LogPoint, pod_digest, prefix
from netpol.compiler.ruleset import (
    FILTER_HOOKS,
    Action,
    AddressPort,
    AddressPortNetwork,
    Balanced,
    ConnectionState,
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
    Member,
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
    Table,
    Target,
    ToPorts,
    Tunnelled,
)
from netpol.model.networks import Family, family_of, parse_network
from netpol.model.policies import Direction
from netpol.model.ports import PortRange, Protocol

DROP = Rule((), Action.DROP)
TCP, UDP, SCTP, ICMP = map(OfProtocol, (Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP))
SOURCE, DESTINATION = (Side.SOURCE,), (Side.DESTINATION,)
TO_WEB = Packet(address("10.0.0.1"), address("10.0.0.2"), Protocol.TCP, port=80, source_port=40000)
TO_WEB_V6 = Packet(address("fd00::1"), address("fd00::2"), Protocol.TCP, port=80)
PING = Packet(address("10.0.0.1"), address("10.0.0.2"), Protocol.ICMP)
PING_V6 = Packet(address("fd00::1"), address("fd00::2"), Protocol.ICMP)


def walk(packet: Packet, chains: Mapping[str, Sequence[Rule]], sets: Sequence[IpSet] = ()) -> Trace:
    """The packet's way through a table of its family whose hooks all jump to the first of `chains`."""
    first = Rule((), Jump(next(iter(chains))))
    table = Table(dict.fromkeys(FILTER_HOOKS, first), {name: tuple(rules) for name, rules in chains.items()})
    family = family_of(packet.source)
    return trace(Ruleset({each.name: each for each in sets}, {family: table}), family, Hook.FORWARD, packet)


def meets(match: Match | Sequence[Match], packet: Packet, *sets: IpSet) -> bool:
    """True where a rule with these matches takes the packet."""
    matches = tuple(match) if isinstance(match, Sequence) else (match,)
    return walk(packet, {"A": [Rule(matches, Action.DROP)]}, sets).verdict is Outcome.DROPPED


def ipset(name: str, kind: SetType, *members: Member, family: Family | None = Family.IPV4) -> IpSet:
    return IpSet(name, kind, family, frozenset(members))


def network(text: str, *, nomatch: bool = False) -> NetworkMember:
    parsed = parse_network(text)
    return NetworkMember(parsed.network_address.packed, parsed.prefixlen, nomatch)


def rules_to(*targets: Target) -> list[Rule]:
    return [Rule((), target) for target in targets]


def test_what_no_rule_decides_is_accepted() -> None:
    found = walk(TO_WEB, {"A": []})
    assert (found.verdict, found.rules_met) == (Outcome.ACCEPTED, 1)


def test_a_hook_whose_rule_does_not_match_is_one_rule_met() -> None:
    hook = Rule((InState(frozenset({ConnectionState.NEW}), negated=True),), Jump("A"))
    ruleset = Ruleset({}, {Family.IPV4: Table({Hook.FORWARD: hook}, {"A": (DROP,)})})
    assert trace(ruleset, Family.IPV4, Hook.FORWARD, TO_WEB) == Trace(Outcome.ACCEPTED, 1, (), ())


def test_rules_that_do_not_match_are_met_and_not_on_the_path() -> None:
    found = walk(TO_WEB, {"A": [Rule((UDP,), Action.DROP), Rule((UDP,), Action.DROP), DROP, DROP]})
    assert found.rules_met == 4
    assert [(step.chain, step.index) for step in found.path] == [("FORWARD", 0), ("A", 2)]


def test_all_matches_of_a_rule_must_hold() -> None:
    ports = ToPorts((PortRange(80, 80),))
    assert meets((TCP, ports), TO_WEB)
    assert not meets((TCP, ports, InNetwork(Side.SOURCE, parse_network("10.9.0.0/16"))), TO_WEB)


def test_a_jump_comes_back_at_the_end_of_the_chain() -> None:
    assert walk(TO_WEB, {"A": [*rules_to(Jump("B")), DROP], "B": []}).verdict is Outcome.DROPPED


def test_a_jump_comes_back_after_return() -> None:
    found = walk(TO_WEB, {"A": [*rules_to(Jump("B")), DROP], "B": rules_to(Action.RETURN, Log(1, "never"))})
    assert (found.verdict, found.logs) == (Outcome.DROPPED, ())


def test_a_goto_comes_back_to_the_last_jump() -> None:
    chains = {"A": rules_to(Jump("B"), Log(1, "back")), "B": [*rules_to(Goto("C")), DROP], "C": rules_to(Action.RETURN)}
    found = walk(TO_WEB, chains)
    assert (found.verdict, found.logs) == (Outcome.ACCEPTED, (Log(1, "back"),))


def test_a_goto_from_the_first_chain_comes_back_to_the_hook() -> None:
    assert walk(TO_WEB, {"A": [*rules_to(Goto("B")), DROP], "B": []}).verdict is Outcome.ACCEPTED


def test_a_jump_from_a_chain_gone_to_comes_back_there() -> None:
    chains = {"A": rules_to(Goto("B")), "B": [*rules_to(Jump("C")), DROP], "C": []}
    assert walk(TO_WEB, chains).verdict is Outcome.DROPPED


def test_a_log_goes_on() -> None:
    found = walk(TO_WEB, {"A": rules_to(Log(7, "x"), Action.DROP)})
    assert (found.verdict, found.logs) == (Outcome.DROPPED, (Log(7, "x"),))


@pytest.mark.parametrize("target", Reject)
def test_a_rejected_packet_goes_no_further(target: Reject) -> None:
    found = walk(TO_WEB, {"A": [Rule((TCP,), target), Rule((), Log(1, "never"))]})
    assert (found.verdict, found.logs, found.verdict.is_refusal) == (Outcome.REJECTED, (), True)


def test_an_accepted_packet_goes_no_further() -> None:
    found = walk(TO_WEB, {"A": rules_to(Action.ACCEPT, Action.DROP)})
    assert (found.verdict, found.is_masqueraded) == (Outcome.ACCEPTED, False)


def test_it_tells_what_goes_on_from_another_address() -> None:
    chains = {"A": (Rule((TCP,), Action.MASQUERADE), Rule((), Log(1, "never")))}
    nat = Ruleset({}, {Family.IPV4: Table({Hook.POSTROUTING: Rule((), Jump("A"))}, chains)})
    found = trace(nat, Family.IPV4, Hook.POSTROUTING, TO_WEB)
    assert (found.verdict, found.is_masqueraded, found.logs) == (Outcome.ACCEPTED, True, ())
    other = trace(nat, Family.IPV4, Hook.POSTROUTING, replace(TO_WEB, protocol=Protocol.UDP))
    assert (other.is_masqueraded, len(other.logs)) == (False, 1)


def test_a_mark_is_given_and_the_packet_goes_on() -> None:
    found = walk(TO_WEB, {"A": rules_to(SetMark(1), SetMark(0x4E000002), Action.DROP)})
    assert (found.verdict, found.mark) == (Outcome.DROPPED, 0x4E000002)
    assert walk(TO_WEB, {"A": []}).mark == 0


def test_it_tells_what_the_rules_that_logged_say() -> None:
    chain = names.pod_chain("x", "web", Direction.EGRESS)
    logs = (Log(7, prefix(names.UNKNOWN)), Log(7, "of somebody else"), Log(7, prefix(chain)))
    points = walk(TO_WEB, {"A": rules_to(*logs)}).points
    assert points == (
        LogPoint(LoggedOutcome.UNKNOWN_ADDRESS),
        None,
        LogPoint(LoggedOutcome.DENIED, Direction.EGRESS, pod_digest("x", "web")),
    )


def test_a_chain_can_be_met_twice() -> None:
    assert walk(TO_WEB, {"A": rules_to(Jump("B"), Jump("B")), "B": [Rule((UDP,), Action.DROP)]}).rules_met == 5


def test_each_hook_has_its_own_first_rule() -> None:
    table = Table({Hook.INPUT: Rule((), Jump("A")), Hook.OUTPUT: Rule((), Jump("B"))}, {"A": (DROP,), "B": ()})
    tracer = Tracer(Ruleset({}, {Family.IPV4: table}))
    assert tracer.trace(Family.IPV4, Hook.INPUT, TO_WEB).verdict is Outcome.DROPPED
    assert tracer.trace(Family.IPV4, Hook.OUTPUT, TO_WEB).verdict is Outcome.ACCEPTED


def test_a_ruleset_the_kernel_refuses_is_no_verdict() -> None:
    with pytest.raises(AssertionError, match="no chain nowhere"):
        walk(TO_WEB, {"A": [Rule((UDP,), Jump("nowhere"))]})


def test_a_packet_is_of_one_family_and_has_a_port_where_its_protocol_has() -> None:
    with pytest.raises(AssertionError, match="two families"):
        replace(TO_WEB, source=address("fd00::1"))
    with pytest.raises(AssertionError, match="port"):
        replace(TO_WEB, protocol=Protocol.ICMP)
    with pytest.raises(AssertionError, match="port"):
        replace(TO_WEB, port=None)
    with pytest.raises(AssertionError, match="tunnelled"):
        replace(TO_WEB, tunnelled=True)


class TestMatches:
    @pytest.mark.parametrize("side", Side)
    def test_a_network_is_looked_for_on_its_side(self, side: Side) -> None:
        only_source = parse_network("10.0.0.1/32")
        assert meets(InNetwork(side, only_source), TO_WEB) is (side is Side.SOURCE)
        assert meets(InNetwork(side, only_source, negated=True), TO_WEB) is (side is Side.DESTINATION)

    def test_icmp_is_each_family_s_own(self) -> None:
        assert meets(ICMP, PING)
        assert meets(ICMP, PING_V6)
        assert not meets(ICMP, TO_WEB)

    def test_a_protocol_no_policy_names_meets_none(self) -> None:
        assert not any(meets(OfProtocol(protocol), replace(PING, protocol=None)) for protocol in Protocol)

    @pytest.mark.parametrize(("port", "expected"), [(79, False), (80, True), (81, False), (90, True), (95, True)])
    def test_ports(self, port: int, expected: bool) -> None:
        ports = ToPorts((PortRange(80, 80), PortRange(90, 95)))
        assert meets((TCP, ports), replace(TO_WEB, port=port)) is expected

    @pytest.mark.parametrize("state", State)
    def test_a_state(self, state: State) -> None:
        living = frozenset({ConnectionState.ESTABLISHED, ConnectionState.RELATED})
        expected = state in (State.ESTABLISHED, State.RELATED)
        assert meets(InState(living), replace(TO_WEB, state=state)) is expected
        assert meets(InState(living, negated=True), replace(TO_WEB, state=state)) is not expected

    @pytest.mark.parametrize("state", State)
    def test_the_first_packet_of_a_connection(self, state: State) -> None:
        assert meets(FirstPacket(), replace(TO_WEB, state=state)) is (state is State.NEW)
        assert not meets(FirstPacket(), replace(TO_WEB, state=state, first=False))

    def test_not_syn(self) -> None:
        assert not meets((TCP, NotSyn()), TO_WEB)
        assert meets((TCP, NotSyn()), replace(TO_WEB, opening=False))
        assert not meets((TCP, NotSyn()), replace(TO_WEB, protocol=Protocol.UDP, opening=False))
        associating = replace(TO_WEB, protocol=Protocol.SCTP)
        assert not meets((SCTP, NotInit()), associating)
        assert meets((SCTP, NotInit()), replace(associating, opening=False))
        assert not meets((SCTP, NotInit()), replace(TO_WEB, opening=False))

    def test_the_node_s_own_addresses(self) -> None:
        on_its_node = replace(TO_WEB, local=frozenset({TO_WEB.source}))
        assert meets(LocalAddress(Side.SOURCE), on_its_node)
        assert not meets(LocalAddress(Side.SOURCE, negated=True), on_its_node)
        assert not meets(LocalAddress(Side.DESTINATION), on_its_node)
        assert meets(LocalAddress(Side.DESTINATION), replace(TO_WEB, destination=address("127.0.0.1")))

    def test_icmpv6_types(self) -> None:
        solicitation = replace(PING_V6, icmpv6_type=135)
        assert meets((ICMP, OfIcmpv6Type(135)), solicitation)
        assert not meets((ICMP, OfIcmpv6Type(136)), solicitation)
        assert not meets((ICMP, OfIcmpv6Type(135)), replace(TO_WEB_V6, icmpv6_type=135))

    def test_a_ping(self) -> None:
        assert meets((ICMP, EchoRequest()), PING)
        assert meets((ICMP, EchoRequest()), PING_V6)
        assert not meets((ICMP, EchoRequest()), replace(PING, ping=False))
        assert not meets((ICMP, EchoRequest()), TO_WEB)

    def test_what_is_tunnelled(self) -> None:
        assert meets(Tunnelled(), replace(PING, protocol=None, tunnelled=True))
        assert not meets(Tunnelled(), replace(PING, protocol=None))

    def test_what_ipvs_sent_on_from_a_client(self) -> None:
        asked = VirtualServer(address("10.96.0.1"), Protocol.TCP, 80)
        sent_on = replace(TO_WEB, asked=asked)
        assert meets(Balanced(), sent_on)
        assert not meets(Balanced(), TO_WEB)
        assert meets(Balanced(*asked), sent_on)
        for other in (
            asked._replace(address=address("10.96.0.2")),
            asked._replace(protocol=Protocol.UDP),
            asked._replace(port=81),
        ):
            assert not meets(Balanced(*other), sent_on)


class TestSets:
    def test_hash_ip(self) -> None:
        held = ipset("S", SetType.ADDRESSES, TO_WEB.source.packed)
        assert meets(InSet("S", SOURCE), TO_WEB, held)
        assert not meets(InSet("S", DESTINATION), TO_WEB, held)
        assert meets(InSet("S", DESTINATION, negated=True), TO_WEB, held)

    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ((network("10.0.0.0/8"),), True),
            ((network("11.0.0.0/8"),), False),
            ((network("10.0.0.0/8"), network("10.0.0.0/24", nomatch=True)), False),
            ((network("10.0.0.0/8"), network("10.0.0.0/24", nomatch=True), network("10.0.0.1/32")), True),
            ((network("10.0.0.0/8", nomatch=True), network("10.0.0.0/24")), True),
            ((network("0.0.0.0/1"), network("10.0.1.0/24", nomatch=True)), True),
        ],
    )
    def test_in_hash_net_the_longest_prefix_decides(self, members: tuple[Member, ...], expected: bool) -> None:
        assert meets(InSet("S", SOURCE), TO_WEB, ipset("S", SetType.NETWORKS, *members)) is expected

    def test_hash_net_of_ipv6(self) -> None:
        held = ipset("S", SetType.NETWORKS, network("8000::/1"), network("fd00::/64", nomatch=True), family=Family.IPV6)
        assert not meets(InSet("S", SOURCE), TO_WEB_V6, held)
        assert meets(InSet("S", SOURCE), replace(TO_WEB_V6, source=address("fd01::1")), held)

    def test_hash_ip_port_wants_address_protocol_and_port(self) -> None:
        held = ipset("S", SetType.ADDRESS_PORTS, AddressPort(TO_WEB.destination.packed, Protocol.TCP, 80))
        both = DESTINATION * 2
        assert meets(InSet("S", both), TO_WEB, held)
        assert not meets(InSet("S", both), replace(TO_WEB, port=81), held)
        assert not meets(InSet("S", both), replace(TO_WEB, protocol=Protocol.UDP), held)
        assert not meets(InSet("S", SOURCE + DESTINATION), TO_WEB, held)
        assert not meets(InSet("S", both), PING, held)

    def test_hash_ip_port_can_look_at_the_source_port(self) -> None:
        held = ipset("S", SetType.ADDRESS_PORTS, AddressPort(TO_WEB.source.packed, Protocol.TCP, 40000))
        assert meets(InSet("S", SOURCE * 2), TO_WEB, held)
        assert not meets(InSet("S", SOURCE + DESTINATION), TO_WEB, held)

    def test_hash_ip_port_looks_at_no_comment(self) -> None:
        served = AddressPort(TO_WEB.destination.packed, Protocol.TCP, 80, "x/web")
        held = IpSet("S", SetType.ADDRESS_PORTS, Family.IPV4, frozenset({served}), has_comments=True)
        assert meets(InSet("S", DESTINATION * 2), TO_WEB, held)

    def test_hash_ip_port_net_wants_the_peer_in_the_network(self) -> None:
        near = parse_network("10.0.0.0/24").network_address.packed
        held = ipset(
            "S",
            SetType.ADDRESS_PORT_NETWORKS,
            AddressPortNetwork(TO_WEB.destination.packed, Protocol.TCP, 80, near, 24),
        )
        sides = (*DESTINATION, *DESTINATION, *SOURCE)
        assert meets(InSet("S", sides), TO_WEB, held)
        assert not meets(InSet("S", sides), replace(TO_WEB, source=address("10.0.1.1")), held)
        assert not meets(InSet("S", sides), replace(TO_WEB, port=81), held)
        assert not meets(InSet("S", sides), replace(TO_WEB, protocol=Protocol.UDP), held)
        assert not meets(InSet("S", sides), PING, held)

    def test_a_list_has_what_any_of_its_sets_of_the_packet_s_family_has(self) -> None:
        members = (
            ipset("4", SetType.ADDRESSES, TO_WEB.source.packed),
            ipset("6", SetType.NETWORKS, network("fd00::1/128"), family=Family.IPV6),
        )
        listed = ipset("S", SetType.SETS, SetReference("4"), SetReference("6"), family=None)
        for packet in (TO_WEB, TO_WEB_V6):
            assert meets(InSet("S", SOURCE), packet, listed, *members)
            assert not meets(InSet("S", DESTINATION), packet, listed, *members)

    def test_a_nomatch_in_one_set_of_a_list_hides_no_other_set(self) -> None:
        members = (
            ipset("A", SetType.NETWORKS, network("10.0.0.0/8"), network("10.0.0.0/24", nomatch=True)),
            ipset("B", SetType.NETWORKS, network("10.0.0.0/16")),
        )
        listed = ipset("S", SetType.SETS, SetReference("A"), SetReference("B"), family=None)
        assert meets(InSet("S", SOURCE), TO_WEB, listed, *members)

    def test_a_set_in_a_list_uses_as_many_sides_as_it_has(self) -> None:
        members = (
            ipset("A", SetType.ADDRESSES, TO_WEB.destination.packed),
            ipset("AP", SetType.ADDRESS_PORTS, AddressPort(TO_WEB.source.packed, Protocol.TCP, 80)),
        )
        listed = ipset("S", SetType.SETS, SetReference("A"), SetReference("AP"), family=None)
        assert meets(InSet("S", DESTINATION * 2), TO_WEB, listed, *members)
        assert meets(InSet("S", SOURCE + DESTINATION), TO_WEB, listed, *members)
        assert not meets(InSet("S", SOURCE), TO_WEB, listed, *members)
