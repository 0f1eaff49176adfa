"""The chains before any pod's: what each kind of packet meets there, walked by the tracer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import address
from tracer import Outcome, Packet, State, Trace, trace

from netpol.compiler import names
from netpol.compiler.base_chains import DISCOVERY_TYPES, base_chains, hooks
from netpol.compiler.ruleset import (
    FILTER_HOOKS,
    Action,
    AddressPort,
    AddressPortAddress,
    AddToSet,
    Hook,
    IpSet,
    Log,
    NetworkMember,
    Rule,
    Ruleset,
    SetType,
    Side,
    Table,
)
from netpol.model.networks import Address, Family, family_of
from netpol.model.policies import Direction
from netpol.model.ports import Protocol

OPEN = {Family.IPV4: address("10.0.0.1"), Family.IPV6: address("fd00::1")}
SENDER = {Family.IPV4: address("10.0.0.2"), Family.IPV6: address("fd00::2")}
RECEIVER = {Family.IPV4: address("10.0.0.3"), Family.IPV6: address("fd00::3")}
AUDITED = {Family.IPV4: address("10.0.0.4"), Family.IPV6: address("fd00::4")}
STRANGER = {Family.IPV4: address("10.0.0.9"), Family.IPV6: address("fd00::9")}
NODE = {Family.IPV4: address("192.0.2.1"), Family.IPV6: address("2001:db8::1")}
LOCAL = frozenset(NODE.values())
"""Pods: isolated by nothing, for egress, for ingress, for both under audit, and one that is not known; and the node."""

CUT_FLOWS = [(OPEN, SENDER), (NODE, SENDER), (RECEIVER, NODE)]
"""Who answered UDP flows that were cut, from port 53, and whom."""

SERVICE = {Family.IPV4: address("10.96.0.1"), Family.IPV6: address("fd00:96::1")}
"""An address that the service proxy serves TCP on port 80 of; it is on the node."""

IN, OUT = Direction.INGRESS, Direction.EGRESS


def ruleset(family: Family) -> Ruleset:
    """The base chains, with judging chains that drop everything."""
    holding = {
        names.isolated_set(OUT, family): (SENDER, AUDITED),
        names.isolated_set(IN, family): (RECEIVER, AUDITED),
        names.enforced_set(family): (SENDER, RECEIVER),
    }
    sets = [
        *(
            IpSet(name, SetType.ADDRESSES, family, frozenset(each[family].packed for each in held))
            for name, held in holding.items()
        ),
        IpSet(
            names.unknown_set(family),
            SetType.NETWORKS,
            family,
            frozenset({NetworkMember(STRANGER[family].packed, family.bits)}),
        ),
        IpSet(
            names.cut_set(family),
            SetType.ADDRESS_PORT_ADDRESSES,
            family,
            frozenset(
                AddressPortAddress(server[family].packed, Protocol.UDP, 53, client[family].packed)
                for server, client in CUT_FLOWS
            ),
        ),
    ]
    served = frozenset({AddressPort(SERVICE[family].packed, Protocol.TCP, 80)})
    sets.append(IpSet(names.services_set(family), SetType.ADDRESS_PORTS, family, served, filled_by_others=True))
    drop = {names.judging_chain(each): (Rule((), Action.DROP),) for each in Direction}
    return Ruleset({each.name: each for each in sets}, {family: Table(hooks(), base_chains(family, 7) | drop)})


def packet(source: Address, destination: Address) -> Packet:
    """An opening, on the node."""
    return Packet(source, destination, Protocol.TCP, 80, local=LOCAL)


def way(hook: Hook, walked: Packet) -> Trace:
    family = family_of(walked.source)
    return trace(ruleset(family), family, hook, walked)


def dropped_in(found: Trace) -> str | None:
    """The chain that dropped the packet."""
    return found.path[-1].chain if found.verdict is Outcome.DROPPED else None


JUDGED_OUT, JUDGED_IN = names.judging_chain(OUT), names.judging_chain(IN)

OPENINGS = [
    (Hook.FORWARD, SENDER, OPEN, JUDGED_OUT),
    (Hook.FORWARD, OPEN, RECEIVER, JUDGED_IN),
    (Hook.FORWARD, SENDER, RECEIVER, JUDGED_OUT),
    (Hook.FORWARD, RECEIVER, SENDER, None),
    (Hook.FORWARD, STRANGER, OPEN, names.UNKNOWN),
    (Hook.FORWARD, OPEN, STRANGER, names.UNKNOWN),
    (Hook.INPUT, SENDER, NODE, JUDGED_OUT),
    (Hook.INPUT, OPEN, NODE, None),
    (Hook.INPUT, STRANGER, NODE, names.UNKNOWN),
    (Hook.OUTPUT, NODE, RECEIVER, None),
    (Hook.OUTPUT, NODE, STRANGER, None),
    (Hook.OUTPUT, OPEN, RECEIVER, JUDGED_IN),
    (Hook.OUTPUT, SENDER, OPEN, JUDGED_OUT),
    (Hook.OUTPUT, OPEN, STRANGER, names.UNKNOWN),
]


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize(("hook", "source", "destination", "chain"), OPENINGS)
def test_an_opening_is_judged_where_an_end_is_isolated_or_unknown(
    family: Family, hook: Hook, source: dict[Family, Address], destination: dict[Family, Address], chain: str | None
) -> None:
    """G8: the node itself passes. X5: what it sends on for others does not. G12."""
    for protocol, port in ((Protocol.TCP, 80), (Protocol.UDP, 53), (Protocol.SCTP, 80), (Protocol.ICMP, None)):
        found = way(hook, replace(packet(source[family], destination[family]), protocol=protocol, port=port))
        assert dropped_in(found) == chain, str(found)


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("hook", FILTER_HOOKS)
@pytest.mark.parametrize("state", [State.ESTABLISHED, State.RELATED])
def test_a_living_connection_meets_one_rule(family: Family, hook: Hook, state: State) -> None:
    """G2."""
    found = way(hook, replace(packet(SENDER[family], RECEIVER[family]), state=state, opening=False))
    assert (found.verdict, found.rules_met) == (Outcome.ACCEPTED, 1)


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("hook", FILTER_HOOKS)
@pytest.mark.parametrize("end", [SENDER, RECEIVER])
@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.SCTP])
def test_nothing_picks_up_a_connection_of_an_isolated_pod(
    family: Family, hook: Hook, end: dict[Family, Address], protocol: Protocol
) -> None:
    """G11: whichever side speaks next, and the node too."""
    for source, destination in ((end, OPEN), (OPEN, end), (end, NODE), (NODE, end)):
        picked_up = replace(packet(source[family], destination[family]), protocol=protocol, opening=False)
        found = way(hook, picked_up)
        assert dropped_in(found) == names.INVALID, str(found)
        assert found.logs == (Log(7, f"1:{names.INVALID}"),)


@pytest.mark.parametrize("family", Family)
def test_connections_of_open_pods_may_be_picked_up(family: Family) -> None:
    picked_up = replace(packet(OPEN[family], NODE[family]), opening=False)
    assert way(Hook.FORWARD, picked_up).verdict is Outcome.ACCEPTED


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.SCTP])
def test_what_picks_up_a_connection_of_a_pod_under_audit_is_judged_as_an_opening(
    family: Family, protocol: Protocol
) -> None:
    """X16: its chain refuses nothing."""
    for source, destination, chain in ((AUDITED, OPEN, JUDGED_OUT), (OPEN, AUDITED, JUDGED_IN)):
        picked_up = replace(packet(source[family], destination[family]), protocol=protocol, opening=False)
        assert dropped_in(way(Hook.FORWARD, picked_up)) == chain


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("hook", FILTER_HOOKS)
@pytest.mark.parametrize(("server", "client"), CUT_FLOWS)
def test_who_answered_what_was_cut_does_not_open_it_again(
    family: Family, hook: Hook, server: dict[Family, Address], client: dict[Family, Address]
) -> None:
    """G11: even where the node answered, and for as long as it goes on."""
    answer = replace(packet(server[family], client[family]), protocol=Protocol.UDP, port=40000, source_port=53)
    found = way(hook, answer)
    assert dropped_in(found) == names.CUT, str(found)
    assert found.logs == (Log(7, f"1:{names.CUT}"),)
    sides = (Side.SOURCE, Side.SOURCE, Side.DESTINATION)
    remembered = [step.rule.target for step in found.path if isinstance(step.rule.target, AddToSet)]
    assert remembered == [AddToSet(names.cut_set(family), sides)]


@pytest.mark.parametrize("family", Family)
def test_only_what_answers_is_of_a_flow_that_was_cut(family: Family) -> None:
    answer = replace(packet(OPEN[family], SENDER[family]), protocol=Protocol.UDP, port=40000, source_port=53)
    others = [
        replace(answer, state=State.ESTABLISHED),
        replace(answer, source_port=54),
        replace(answer, destination=RECEIVER[family]),
        replace(answer, source=RECEIVER[family]),
        replace(answer, source=SENDER[family], destination=OPEN[family], port=53, source_port=40000),
        replace(answer, protocol=Protocol.TCP),
        replace(answer, protocol=Protocol.SCTP),
    ]
    assert [
        dropped_in(way(Hook.FORWARD, other)) for other in others if dropped_in(way(Hook.FORWARD, other)) == names.CUT
    ] == []


@pytest.mark.parametrize("hook", FILTER_HOOKS)
@pytest.mark.parametrize("kind", DISCOVERY_TYPES)
def test_discovery_passes_whoever_sends_it(hook: Hook, kind: int) -> None:
    """G10: even an unknown pod's."""
    for source, destination in ((SENDER, RECEIVER), (STRANGER, RECEIVER)):
        opening = packet(source[Family.IPV6], destination[Family.IPV6])
        found = way(hook, replace(opening, protocol=Protocol.ICMP, port=None, icmpv6_type=kind))
        assert found.verdict is Outcome.ACCEPTED, str(found)


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("source", [SENDER, OPEN, STRANGER, RECEIVER])
def test_what_comes_in_for_a_service_is_judged_where_it_leaves(family: Family, source: dict[Family, Address]) -> None:
    """X5: even in mid-stream; other ports and protocols of the address are the node's."""
    opening = packet(source[family], SERVICE[family])
    for asked in (opening, replace(opening, opening=False)):
        found = way(Hook.INPUT, asked)
        assert (found.verdict, found.rules_met) == (Outcome.ACCEPTED, 2), str(found)
    refused = names.UNKNOWN if source is STRANGER else JUDGED_OUT if source is SENDER else None
    for other in (replace(opening, port=81), replace(opening, protocol=Protocol.UDP)):
        assert dropped_in(way(Hook.INPUT, other)) == refused


def test_nobody_asks_a_service_under_the_nodes_own_address() -> None:
    """G8: it would be the node where it leaves; IPv4's kernel refuses such packets by itself."""
    spoofed = packet(NODE[Family.IPV6], SERVICE[Family.IPV6])
    assert dropped_in(way(Hook.INPUT, spoofed)) == "NETPOL-INPUT"
    assert dropped_in(way(Hook.INPUT, replace(spoofed, port=81))) is None


@pytest.mark.parametrize("family", Family)
def test_a_service_address_is_no_way_past_what_leaves_or_is_forwarded(family: Family) -> None:
    """X5: only INPUT leaves anything to another hook."""
    for hook in (Hook.FORWARD, Hook.OUTPUT):
        assert dropped_in(way(hook, packet(SENDER[family], SERVICE[family]))) == JUDGED_OUT


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize(
    ("destination", "chain"),
    [(RECEIVER, names.TUNNELLED), (SENDER, None), (AUDITED, None), (OPEN, None), (STRANGER, None), (NODE, None)],
)
def test_what_the_node_sends_inside_another_packet_reaches_no_isolated_pod(
    family: Family, destination: dict[Family, Address], chain: str | None
) -> None:
    """X5: nobody sees the client. X16: under audit nothing is refused."""
    carrier = Packet(NODE[family], destination[family], None, tunnelled=True, local=LOCAL)
    found = way(Hook.OUTPUT, carrier)
    assert dropped_in(found) == chain, str(found)
    assert found.logs == (() if chain is None else (Log(7, f"1:{chain}"),))
    assert dropped_in(way(Hook.OUTPUT, replace(carrier, tunnelled=False))) is None


def test_an_unknown_address_is_logged() -> None:
    found = way(Hook.FORWARD, packet(STRANGER[Family.IPV4], OPEN[Family.IPV4]))
    assert found.logs == (Log(7, f"1:{names.UNKNOWN}"),)


def test_ipv4_has_no_discovery() -> None:
    assert set(base_chains(Family.IPV6, 7)) - set(base_chains(Family.IPV4, 7)) == {"NETPOL-ICMPV6"}


def test_every_base_chain_is_ours() -> None:
    chains = {*base_chains(Family.IPV6, 7), *map(names.judging_chain, Direction)}
    assert chains == set(names.BASE_CHAINS)
    assert {names.hook_chain(hook) for hook in FILTER_HOOKS} <= chains
