"""The sets and chains beside IPVS."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import address

from netpol.compiler.ruleset import (
    Action,
    AddressPort,
    AddressPortAddress,
    AddressPortNetwork,
    Balanced,
    ConnectionState,
    EchoRequest,
    Goto,
    Hook,
    InNetwork,
    InSet,
    InState,
    Jump,
    Match,
    NotInit,
    NotSyn,
    OfProtocol,
    Reject,
    Rule,
    SetMark,
    SetType,
    Side,
    Table,
    Target,
    ToPorts,
)
from netpol.model.networks import Family, parse_network
from netpol.model.ports import PortRange, Protocol
from netpol.settings import ProxySettings
from proxy import names
from proxy.model import Destination, Origin, ServerAddress, ServerMark, VirtualServer
from proxy.ownership import Marking, Record
from proxy.services.rules import (
    admitted,
    empty_sets,
    endpoint_of,
    filter_table,
    mangle_table,
    nat_table,
    owned,
    port_of,
    to_itself,
)

SETTINGS = ProxySettings()
FRONT = ServerAddress(address("192.0.2.1"), Protocol.TCP, 80)
RECORD = Record("web/front:http", "external")
FRONT_UDP = FRONT._replace(protocol=Protocol.UDP)
FRONT_6 = ServerAddress(address("2001:db8::1"), Protocol.SCTP, 9)
SOURCE, DESTINATION = Side.SOURCE, Side.DESTINATION

Essence = tuple[tuple[Match, ...], Target]


def essence(rules: tuple[Rule, ...]) -> list[Essence]:
    """The rules without what is for people."""
    return [(rule.matches, rule.target) for rule in rules]


def postrouting(table: Table) -> list[Essence]:
    return essence(table.chains["NETPOL-SERVICE-POSTROUTING"])


# --- members


def test_a_record_names_the_service_and_why_it_has_the_server() -> None:
    server = VirtualServer(FRONT, Origin.NODE_PORT, title="web/front:http")
    assert owned(server, FRONT) == AddressPort(bytes([192, 0, 2, 1]), Protocol.TCP, 80, "web/front:http node port")


def test_members_say_what_packets_carry_before_and_after_the_translation() -> None:
    endpoint = Destination(address("10.1.0.1"), 8080)
    packed = bytes([10, 1, 0, 1])
    assert port_of(FRONT) == AddressPort(bytes([192, 0, 2, 1]), Protocol.TCP, 80)
    assert endpoint_of(endpoint, Protocol.UDP) == AddressPort(packed, Protocol.UDP, 8080)
    assert to_itself(endpoint, Protocol.TCP) == AddressPortAddress(packed, Protocol.TCP, 8080, packed)


@pytest.mark.parametrize(
    ("clients", "parts"),
    [
        ("198.51.100.0/24", ["198.51.100.0/24"]),
        ("198.51.100.7/32", ["198.51.100.7/32"]),
        ("0.0.0.0/0", ["0.0.0.0/1", "128.0.0.0/1"]),
        ("::/0", []),
    ],
)
def test_a_source_range_is_as_the_kernel_holds_it(clients: str, parts: list[str]) -> None:
    server, networks = bytes([192, 0, 2, 1]), map(parse_network, parts)
    assert list(admitted(FRONT, parse_network(clients))) == [
        AddressPortNetwork(server, Protocol.TCP, 80, each.network_address.packed, each.prefixlen) for each in networks
    ]


def test_everybody_of_ipv6_is_two_halves_too() -> None:
    halves = [(each.network, each.prefix) for each in admitted(FRONT_6, parse_network("::/0"))]
    assert halves == [(bytes(16), 1), (bytes([0x80]) + bytes(15), 1)]


# --- sets


@pytest.mark.parametrize("family", Family)
def test_every_set_is_there_and_empty(family: Family) -> None:
    sets = empty_sets(family)
    assert {name: each.type for name, each in sets.items()} == {
        f"NETPOL-SERVICE-OWNED-{family.value}": SetType.ADDRESS_PORTS,
        f"NETPOL-SERVICE-SERVED-{family.value}": SetType.ADDRESS_PORTS,
        f"NETPOL-SERVICE-EMPTY-{family.value}": SetType.ADDRESS_PORTS,
        f"NETPOL-SERVICE-SWITCHING-{family.value}": SetType.ADDRESS_PORTS,
        f"NETPOL-SERVICES-{family.value}": SetType.ADDRESS_PORTS,
        f"NETPOL-SERVICE-ADDRESSES-{family.value}": SetType.ADDRESSES,
        f"NETPOL-SERVICE-RESTRICTED-{family.value}": SetType.ADDRESS_PORTS,
        f"NETPOL-SERVICE-SOURCES-{family.value}": SetType.ADDRESS_PORT_NETWORKS,
        f"NETPOL-SERVICE-HAIRPIN-{family.value}": SetType.ADDRESS_PORT_ADDRESSES,
        f"NETPOL-SERVICE-LOCAL-{family.value}": SetType.ADDRESS_PORTS,
    }
    assert all(each.name == name and each.family is family and not each.members for name, each in sets.items())
    assert [name for name, each in sets.items() if each.has_comments] == [names.owned_set(family)]
    assert all(map(names.is_ours, sets))


# --- filter


def test_who_may_not_use_a_server_is_dropped_before_anything_is_let_in() -> None:
    chain = essence(filter_table(Family.IPV4, SETTINGS).chains["NETPOL-SERVICE-INPUT"])
    server = (DESTINATION, DESTINATION)
    assert chain == [
        (
            (
                InSet("NETPOL-SERVICE-RESTRICTED-4", server),
                InSet("NETPOL-SERVICE-SOURCES-4", (*server, SOURCE), negated=True),
            ),
            Action.DROP,
        ),
        ((InSet("NETPOL-SERVICE-EMPTY-4", server),), Jump("NETPOL-SERVICE-EMPTY")),
        ((InSet("NETPOL-SERVICE-SWITCHING-4", server),), Jump("NETPOL-SERVICE-SWITCHING")),
        ((InSet("NETPOL-SERVICE-SERVED-4", server),), Action.ACCEPT),
        ((InSet("NETPOL-SERVICE-ADDRESSES-4", (DESTINATION,)),), Goto("NETPOL-SERVICE-ADDRESSES")),
    ]


def test_what_no_service_serves_at_its_address_is_refused_at_once() -> None:
    chain = essence(filter_table(Family.IPV6, SETTINGS).chains["NETPOL-SERVICE-ADDRESSES"])
    assert chain == [
        ((InState(frozenset({ConnectionState.ESTABLISHED, ConnectionState.RELATED})),), Action.RETURN),
        ((OfProtocol(Protocol.ICMP), EchoRequest()), Action.ACCEPT),
        ((OfProtocol(Protocol.ICMP),), Action.RETURN),
        ((OfProtocol(Protocol.TCP),), Reject.RESET),
        ((), Reject.UNREACHABLE),
    ]


def test_what_opens_a_connection_waits_while_a_scheduler_is_switched() -> None:
    assert essence(filter_table(Family.IPV6, SETTINGS).chains["NETPOL-SERVICE-SWITCHING"]) == [
        ((OfProtocol(Protocol.TCP), NotSyn()), Action.RETURN),
        ((OfProtocol(Protocol.SCTP), NotInit()), Action.RETURN),
        ((), Action.DROP),
    ]


def test_what_opens_a_connection_to_a_server_without_endpoints_is_refused_at_once() -> None:
    """The rest goes on to IPVS, which knows the connections that an endpoint still has."""
    chain = essence(filter_table(Family.IPV4, SETTINGS).chains["NETPOL-SERVICE-EMPTY"])
    assert chain == [
        ((OfProtocol(Protocol.TCP), NotSyn()), Action.RETURN),
        ((OfProtocol(Protocol.SCTP), NotInit()), Action.RETURN),
        ((OfProtocol(Protocol.TCP),), Reject.RESET),
        ((), Reject.UNREACHABLE),
    ]


def test_whoever_does_not_permit_all_decides_by_rules_of_their_own() -> None:
    table = filter_table(Family.IPV4, replace(SETTINGS, permit_all=False))
    assert Action.ACCEPT not in [rule.target for chain in table.chains.values() for rule in chain]
    assert [rule.target for rule in table.chains["NETPOL-SERVICE-INPUT"]] == [
        Action.DROP,
        Jump("NETPOL-SERVICE-EMPTY"),
        Jump("NETPOL-SERVICE-SWITCHING"),
        Action.RETURN,
        Goto("NETPOL-SERVICE-ADDRESSES"),
    ]
    for name in ("NETPOL-SERVICE-ADDRESSES", "NETPOL-SERVICE-EMPTY"):
        assert [rule.target for rule in table.chains[name]][-2:] == [Reject.RESET, Reject.UNREACHABLE]


def test_everything_that_comes_in_meets_the_filter() -> None:
    hooks = filter_table(Family.IPV4, SETTINGS).hooks
    assert {hook: (rule.matches, rule.target) for hook, rule in hooks.items()} == {
        Hook.INPUT: ((), Jump("NETPOL-SERVICE-INPUT"))
    }


# --- nat

TO_ITSELF: Essence = (
    (InSet("NETPOL-SERVICE-HAIRPIN-4", (DESTINATION, DESTINATION, SOURCE)),),
    Action.MASQUERADE,
)
TO_LOCAL: Essence = ((InSet("NETPOL-SERVICE-LOCAL-4", (DESTINATION, DESTINATION)),), Jump("NETPOL-SERVICE-KEEP"))
EVERYTHING: Essence = ((), Action.MASQUERADE)


def test_only_what_ipvs_sends_on_meets_the_masquerade() -> None:
    hooks = nat_table(Family.IPV4, SETTINGS, (), ()).hooks
    assert {hook: (rule.matches, rule.target) for hook, rule in hooks.items()} == {
        Hook.POSTROUTING: ((Balanced(),), Jump("NETPOL-SERVICE-POSTROUTING"))
    }


def test_of_no_known_pod_range_everybody_is_masqueraded() -> None:
    table = nat_table(Family.IPV4, SETTINGS, [parse_network("fd00::/64")], ())
    assert postrouting(table) == [TO_ITSELF, TO_LOCAL, EVERYTHING]


def test_pods_of_this_node_keep_their_addresses_where_no_wider_range_is_told() -> None:
    stated = [parse_network("10.1.0.0/24"), parse_network("fd00::/64")]
    own = ((InNetwork(SOURCE, parse_network("10.1.0.0/24")),), Action.RETURN)
    assert postrouting(nat_table(Family.IPV4, SETTINGS, stated, ())) == [TO_ITSELF, TO_LOCAL, own, EVERYTHING]


def test_the_ranges_that_are_told_go_before_this_nodes_family_by_family() -> None:
    settings = replace(SETTINGS, cluster_cidrs=(parse_network("10.1.0.0/16"), parse_network("10.2.0.0/16")))
    stated = [parse_network("10.1.0.0/24"), parse_network("fd00::/64")]

    def pods(family: Family) -> list[object]:
        rules = nat_table(family, settings, stated, ()).chains["NETPOL-SERVICE-POSTROUTING"]
        return [rule.matches[0] for rule in rules if rule.target is Action.RETURN]

    assert pods(Family.IPV4) == [
        InNetwork(SOURCE, parse_network("10.1.0.0/16")),
        InNetwork(SOURCE, parse_network("10.2.0.0/16")),
    ]
    assert pods(Family.IPV6) == [InNetwork(SOURCE, parse_network("fd00::/64"))]


def test_all_is_masqueraded_where_that_is_asked_but_what_keeps_the_clients_address() -> None:
    settings = replace(SETTINGS, cluster_cidrs=(parse_network("10.1.0.0/16"),), masquerade_all=True)
    assert postrouting(nat_table(Family.IPV4, settings, (), [FRONT])) == [TO_ITSELF, TO_LOCAL, EVERYTHING]


def test_servers_that_keep_the_clients_address_are_told_in_an_order_of_their_own() -> None:
    keeping = [FRONT_UDP, FRONT_6, FRONT]
    chains = [nat_table(family, SETTINGS, (), keeping).chains["NETPOL-SERVICE-KEEP"] for family in Family]
    assert [essence(each) for each in chains] == [
        [
            ((Balanced(address("192.0.2.1"), Protocol.TCP, 80),), Action.ACCEPT),
            ((Balanced(address("192.0.2.1"), Protocol.UDP, 80),), Action.ACCEPT),
        ],
        [((Balanced(address("2001:db8::1"), Protocol.SCTP, 9),), Action.ACCEPT)],
    ]


# --- mangle


def test_nothing_is_marked_and_nothing_hooked_without_direct_return() -> None:
    assert mangle_table(Family.IPV4, {}) == Table({}, {"NETPOL-SERVICE-PREROUTING": ()})
    of_the_other = {ServerMark(Family.IPV6, 0x4E000002): Marking(FRONT_6, RECORD)}
    assert mangle_table(Family.IPV4, of_the_other) == Table({}, {"NETPOL-SERVICE-PREROUTING": ()})


def test_packets_to_what_is_answered_directly_are_marked() -> None:
    marks = {
        ServerMark(Family.IPV4, 0x4E000001): Marking(FRONT_UDP, RECORD),
        ServerMark(Family.IPV4, 0x4E000003): Marking(FRONT, RECORD),
        ServerMark(Family.IPV6, 0x4E000002): Marking(FRONT_6, RECORD),
    }
    table = mangle_table(Family.IPV4, marks)
    assert table.hooks[Hook.PREROUTING].target == Jump("NETPOL-SERVICE-PREROUTING")
    to, port = InNetwork(DESTINATION, parse_network("192.0.2.1/32")), ToPorts((PortRange(80, 80),))
    assert essence(table.chains["NETPOL-SERVICE-PREROUTING"]) == [
        ((to, OfProtocol(Protocol.TCP), port), SetMark(0x4E000003)),
        ((to, OfProtocol(Protocol.UDP), port), SetMark(0x4E000001)),
    ]
    assert {rule.comment for rule in table.chains["NETPOL-SERVICE-PREROUTING"]} == {"web/front:http external"}
