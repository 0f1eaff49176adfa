"""What one service asks of this node."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import address, node
from proxy_builders import destination, draining, endpoint, endpoint_slice, server, service, unready

from netpol.compiler.ruleset import AddressPort, AddressPortAddress, AddressPortNetwork, Member
from netpol.model.networks import Family
from netpol.model.notices import Notice
from netpol.model.ports import Protocol
from netpol.model.services import Endpoint, EndpointSlice, SchedulerFlag, Service, TrafficPolicy
from netpol.settings import ProxySettings
from proxy.claims.claims import Claims, Granted
from proxy.model import Forwarding, Origin, Scheduling, ServerAddress, ServerKey, ServerMark
from proxy.services.direct_return import mark_of
from proxy.services.endpoints import NodeTopology
from proxy.services.served import HealthCheck, Served, ThisNode, node_port_addresses, serve

NODE_ADDRESSES = frozenset({address("172.16.0.1"), address("fd00:16::1")})
HERE = ThisNode(NodeTopology("n1"), tuple(Family), ProxySettings(), NODE_ADDRESSES)
LOCAL = TrafficPolicy.LOCAL


def part(number: int, *endpoints: Endpoint, ports: str = "http=8080/TCP") -> EndpointSlice:
    """One of the slices of the service."""
    return endpoint_slice(f"web/front-{number}", "front", *endpoints, ports=ports)


SLICE = part(1, endpoint("10.1.0.1", "n1"), endpoint("10.2.0.1", "n2"))
EVERYWHERE = frozenset({destination("10.1.0.1:8080"), destination("10.2.0.1:8080")})
ONLY_HERE = frozenset({destination("10.1.0.1:8080")})
FRONT = service("web/front", "10.96.0.1", ports="http=80:30080/TCP", external="192.0.2.9", load_balancer="192.0.2.1")


def served(
    asked: Service, *slices: EndpointSlice, granted: Granted | None = None, at: ThisNode = HERE, obstacle: str = ""
) -> Served:
    """What the service asks for that is granted all it claims."""
    claims = Claims(at.settings)
    claims.put((asked.namespace, asked.name), asked)
    allowed = claims.granted((asked.namespace, asked.name)) if granted is None else granted
    return serve(asked, [group for each in slices for group in each.groups], allowed, at, obstacle)


def member(text: str, port: int, protocol: Protocol = Protocol.TCP) -> AddressPort:
    return AddressPort(address(text).packed, protocol, port)


def members(found: Served, name: str) -> frozenset[Member]:
    return found.members.get(name, frozenset())


# --- servers


def test_a_service_has_a_server_for_each_address_and_port_that_it_is_granted() -> None:
    servers = served(FRONT, SLICE).servers
    assert {key: each.origin for key, each in servers.items()} == {
        server("10.96.0.1:80/TCP"): Origin.CLUSTER,
        server("192.0.2.9:80/TCP"): Origin.EXTERNAL,
        server("192.0.2.1:80/TCP"): Origin.LOAD_BALANCER,
        server("172.16.0.1:30080/TCP"): Origin.NODE_PORT,
        server("[fd00:16::1]:30080/TCP"): Origin.NODE_PORT,
    }
    assert all(each.key == key and each.title == "web/front:http" for key, each in servers.items())
    assert {each.forwarding for each in servers.values()} == {Forwarding.MASQUERADE}
    assert servers[server("10.96.0.1:80/TCP")].destinations == EVERYWHERE


def test_what_is_not_granted_is_not_served_and_said() -> None:
    refusal = Notice("Service", "web", "front", "spec.externalIPs[0]", "not yours")
    found = served(FRONT, SLICE, granted=Granted(notices=(refusal,)))
    assert found == Served(notices=(refusal,))


def test_a_port_without_a_name_is_called_by_its_number() -> None:
    found = served(
        service("web/front", "10.96.0.1", ports="53/UDP"), part(1, endpoint("10.1.0.1", "n1"), ports="53/UDP")
    )
    dns = found.servers[server("10.96.0.1:53/UDP")]
    assert dns.title == "web/front:53"
    assert dns.destinations == {destination("10.1.0.1:53")}


def test_a_port_without_endpoints_is_served_by_none_so_that_clients_are_refused() -> None:
    found = served(FRONT)
    assert len(found.servers) == 5
    assert all(not each.destinations for each in found.servers.values())
    for family in Family:
        empty = members(found, f"NETPOL-SERVICE-EMPTY-{family.value}")
        assert empty == members(found, f"NETPOL-SERVICE-SERVED-{family.value}")
    assert not members(served(FRONT, SLICE), "NETPOL-SERVICE-EMPTY-4")


def test_the_ports_of_a_service_are_empty_each_for_itself_and_for_its_protocol() -> None:
    apart = service("web/front", "10.96.0.1", ports="a=80/TCP b=80/UDP c=80/SCTP d=81/TCP")
    found = served(apart, part(1, endpoint("10.1.0.1", "n1"), ports="a=8080/TCP"))
    assert members(found, "NETPOL-SERVICE-EMPTY-4") == {
        member("10.96.0.1", 80, Protocol.UDP),
        member("10.96.0.1", 80, Protocol.SCTP),
        member("10.96.0.1", 81),
    }


def test_without_an_endpoint_here_what_a_local_policy_is_about_is_empty() -> None:
    elsewhere = part(1, endpoint("10.2.0.1", "n2"))
    inside = served(replace(FRONT, internal_policy=LOCAL), elsewhere)
    assert members(inside, "NETPOL-SERVICE-EMPTY-4") == {member("10.96.0.1", 80)}
    outside = served(replace(FRONT, external_policy=LOCAL), elsewhere)
    assert members(outside, "NETPOL-SERVICE-EMPTY-4") == {
        member("192.0.2.9", 80),
        member("192.0.2.1", 80),
        member("172.16.0.1", 30080),
    }


def test_each_family_has_endpoints_of_its_own_and_one_that_is_not_served_has_nothing() -> None:
    both = service("web/front", "10.96.0.1 fd00:96::1", ports="9/SCTP")
    slices = tuple(part(1, endpoint(each, "n1"), ports="9/SCTP") for each in ("10.1.0.1", "fd00:1::1"))
    servers = served(both, *slices).servers
    assert {str(key): sorted(map(str, each.destinations)) for key, each in servers.items()} == {
        "10.96.0.1:9/SCTP": ["10.1.0.1:9"],
        "[fd00:96::1]:9/SCTP": ["[fd00:1::1]:9"],
    }
    only_ipv6 = served(both, *slices, at=replace(HERE, families=(Family.IPV6,)))
    assert list(only_ipv6.servers) == [server("[fd00:96::1]:9/SCTP")]
    assert only_ipv6.addresses == {address("fd00:96::1")}


def test_the_policies_are_of_those_inside_and_those_outside() -> None:
    inside = served(replace(FRONT, internal_policy=LOCAL), SLICE).servers
    assert {key: each.destinations for key, each in inside.items() if each.destinations == ONLY_HERE} == {
        server("10.96.0.1:80/TCP"): ONLY_HERE
    }
    outside = served(replace(FRONT, external_policy=LOCAL), SLICE).servers
    wide = [key for key, each in outside.items() if each.destinations == EVERYWHERE]
    assert wide == [server("10.96.0.1:80/TCP")]


def test_a_headless_service_asks_for_nothing() -> None:
    assert served(service("web/front", external="192.0.2.9"), SLICE) == Served()


# --- scheduling

BY_HASH = replace(FRONT, scheduler="mh", scheduler_flags=frozenset({SchedulerFlag.SECOND}), affinity_seconds=600)


def test_the_scheduler_is_the_services_and_its_clients_stay_where_it_says() -> None:
    scheduling = served(BY_HASH).servers[server("10.96.0.1:80/TCP")].scheduling
    assert scheduling == Scheduling("mh", frozenset({SchedulerFlag.SECOND}), 600)
    assert served(FRONT).servers[server("10.96.0.1:80/TCP")].scheduling == Scheduling("rr", frozenset(), None)


def test_a_scheduler_that_the_kernel_has_not_is_round_robin_and_said() -> None:
    found = served(BY_HASH, at=replace(HERE, unavailable=frozenset({"mh"})))
    assert found.servers[server("10.96.0.1:80/TCP")].scheduling == Scheduling("rr", frozenset(), 600)
    assert list(map(str, found.notices)) == [
        (
            "Service web/front: metadata.annotations[kube-router.io/service.scheduler]: "
            "the kernel has no scheduler 'mh': rr is used instead"
        )
    ]


# --- the link and the sets


def test_what_may_end_at_the_node_itself_is_judged_before_it_is_translated() -> None:
    """X5: IPVS hands it up where it is, past OUTPUT."""
    apart = service("web/front", "10.96.0.1", ports="a=80/TCP b=81/TCP")
    both = (endpoint("10.1.0.1", "n1"), endpoint("172.16.0.1", "n1"))
    slices = part(1, *both, ports="a=80/TCP"), part(2, endpoint("10.1.0.1", "n1"), ports="b=81/TCP")
    found = served(apart, *slices, at=replace(HERE, own=frozenset({address("172.16.0.1")})))
    assert members(found, "NETPOL-SERVICE-SERVED-4") == {member("10.96.0.1", 80), member("10.96.0.1", 81)}
    assert members(found, "NETPOL-SERVICES-4") == {member("10.96.0.1", 81)}


def test_addresses_that_are_no_nodes_are_for_the_link() -> None:
    found = served(FRONT, SLICE)
    assert found.addresses == {address("10.96.0.1"), address("192.0.2.9"), address("192.0.2.1")}
    assert members(found, "NETPOL-SERVICE-ADDRESSES-4") == {each.packed for each in found.addresses}
    assert members(found, "NETPOL-SERVICES-4") == {
        member("10.96.0.1", 80),
        member("192.0.2.9", 80),
        member("192.0.2.1", 80),
        member("172.16.0.1", 30080),
    }
    assert members(found, "NETPOL-SERVICES-6") == {member("fd00:16::1", 30080)}
    assert members(found, "NETPOL-SERVICE-SERVED-4") == members(found, "NETPOL-SERVICES-4")
    assert members(found, "NETPOL-SERVICE-SERVED-6") == members(found, "NETPOL-SERVICES-6")
    assert found.members.keys() == {
        "NETPOL-SERVICES-4",
        "NETPOL-SERVICES-6",
        "NETPOL-SERVICE-SERVED-4",
        "NETPOL-SERVICE-SERVED-6",
        "NETPOL-SERVICE-EMPTY-6",
        "NETPOL-SERVICE-ADDRESSES-4",
    }


def test_source_ranges_are_of_the_load_balancers_addresses_only() -> None:
    balanced = "192.0.2.1 2001:db8::1"
    asked = service(
        "web/front", "10.96.0.1", external="192.0.2.9", load_balancer=balanced, sources="198.51.100.0/24 ::/0"
    )
    found = served(asked)
    assert members(found, "NETPOL-SERVICE-RESTRICTED-4") == {member("192.0.2.1", 80)}
    assert members(found, "NETPOL-SERVICE-RESTRICTED-6") == {member("2001:db8::1", 80)}
    v4, v6 = address("192.0.2.1").packed, address("2001:db8::1").packed
    assert members(found, "NETPOL-SERVICE-SOURCES-4") == {
        AddressPortNetwork(v4, Protocol.TCP, 80, bytes([198, 51, 100, 0]), 24)
    }
    assert members(found, "NETPOL-SERVICE-SOURCES-6") == {
        AddressPortNetwork(v6, Protocol.TCP, 80, bytes(16), 1),
        AddressPortNetwork(v6, Protocol.TCP, 80, bytes([128]) + bytes(15), 1),
    }


def test_nobody_may_where_no_source_range_could_be_read() -> None:
    found = served(replace(FRONT, source_ranges=frozenset()))
    assert members(found, "NETPOL-SERVICE-RESTRICTED-4") == {member("192.0.2.1", 80)}
    assert not members(found, "NETPOL-SERVICE-SOURCES-4")


@pytest.mark.parametrize(
    ("asked", "settings"),
    [(replace(FRONT, hairpin=True), ProxySettings()), (FRONT, ProxySettings(hairpin=True))],
    ids=["by the service", "by the flag"],
)
def test_an_endpoint_of_this_node_may_reach_itself_where_asked(asked: Service, settings: ProxySettings) -> None:
    packed = bytes([10, 1, 0, 1])
    found = served(asked, SLICE, at=replace(HERE, settings=settings))
    assert members(found, "NETPOL-SERVICE-HAIRPIN-4") == {AddressPortAddress(packed, Protocol.TCP, 8080, packed)}
    assert not members(found, "NETPOL-SERVICE-LOCAL-4")


def test_endpoints_of_this_node_see_the_clients_of_a_local_policy() -> None:
    found = served(replace(FRONT, external_policy=LOCAL), SLICE)
    assert found.keeping == {
        server("192.0.2.9:80/TCP"),
        server("192.0.2.1:80/TCP"),
        server("172.16.0.1:30080/TCP"),
        server("[fd00:16::1]:30080/TCP"),
    }
    assert members(found, "NETPOL-SERVICE-LOCAL-4") == {member("10.1.0.1", 8080)}
    inside = served(replace(FRONT, internal_policy=LOCAL), SLICE)
    assert not inside.keeping
    assert not members(inside, "NETPOL-SERVICE-LOCAL-4")


def test_load_balancers_are_told_how_many_endpoints_are_ready_here() -> None:
    slices = SLICE, part(2, unready("10.1.0.2", "n1"), draining("10.1.0.3", "n1"))
    asked = replace(FRONT, external_policy=LOCAL, health_check_node_port=32000)
    assert served(asked, *slices).health_check == HealthCheck(32000, 1)
    assert served(replace(asked, external_policy=TrafficPolicy.CLUSTER), *slices).health_check is None
    assert served(replace(asked, health_check_node_port=None), *slices).health_check is None


# --- direct return

DIRECT = replace(
    service("web/front", "10.96.0.1", ports="http=80:30080/TCP", external="192.0.2.9", load_balancer="2001:db8::1"),
    direct_return=True,
    hairpin=True,
)
DIRECT_SLICES = (
    part(1, endpoint("10.1.0.1", "n1"), endpoint("10.2.0.1", "n2"), ports="http=80/TCP"),
    part(2, endpoint("fd00:1::1", "n1"), ports="http=80/TCP"),
)


def test_packets_of_direct_return_are_known_by_their_marks_at_no_address_of_this_node() -> None:
    found = served(DIRECT, *DIRECT_SLICES)
    external, balanced = server("192.0.2.9:80/TCP"), server("[2001:db8::1]:80/TCP")
    assert found.marks == {mark_of(external): external, mark_of(balanced): balanced}
    tunnelled = {key: each for key, each in found.servers.items() if each.forwarding is Forwarding.TUNNEL}
    assert {key: (each.origin, set(map(str, each.destinations))) for key, each in tunnelled.items()} == {
        mark_of(external): (Origin.EXTERNAL, {"10.1.0.1:80", "10.2.0.1:80"}),
        mark_of(balanced): (Origin.LOAD_BALANCER, {"[fd00:1::1]:80"}),
    }
    assert found.addresses == {address("10.96.0.1")}
    assert members(found, "NETPOL-SERVICE-ADDRESSES-4") == {address("10.96.0.1").packed}
    assert members(found, "NETPOL-SERVICES-4") == {member("10.96.0.1", 80), member("172.16.0.1", 30080)}
    assert members(found, "NETPOL-SERVICES-6") == {member("fd00:16::1", 30080)}
    assert not found.notices


def test_what_would_be_answered_directly_is_empty_too_where_clients_ask_for_it() -> None:
    found = served(DIRECT, DIRECT_SLICES[1])
    assert members(found, "NETPOL-SERVICE-EMPTY-4") == {
        member("10.96.0.1", 80),
        member("192.0.2.9", 80),
        member("172.16.0.1", 30080),
    }
    assert not members(found, "NETPOL-SERVICE-EMPTY-6")


def test_pods_of_this_node_unpack_what_they_answer_for() -> None:
    assert served(DIRECT, *DIRECT_SLICES).tunnels == {
        address("10.1.0.1"): {address("192.0.2.9")},
        address("fd00:1::1"): {address("2001:db8::1")},
    }


def test_node_ports_and_cluster_addresses_are_translated_all_the_same() -> None:
    servers = served(DIRECT, *DIRECT_SLICES).servers
    translated = {key for key, each in servers.items() if each.forwarding is Forwarding.MASQUERADE}
    assert translated == {server("10.96.0.1:80/TCP"), server("172.16.0.1:30080/TCP"), server("[fd00:16::1]:30080/TCP")}


def test_source_ranges_hold_for_what_is_answered_directly() -> None:
    found = served(replace(DIRECT, source_ranges=frozenset()), *DIRECT_SLICES)
    assert members(found, "NETPOL-SERVICE-RESTRICTED-6") == {member("2001:db8::1", 80)}


def test_what_cannot_be_answered_directly_is_translated_and_said() -> None:
    found = served(DIRECT, *DIRECT_SLICES, obstacle="web/other has its mark")
    as_ever = served(replace(DIRECT, direct_return=False), *DIRECT_SLICES)
    assert replace(found, notices=()) == as_ever
    assert not any(isinstance(key, ServerMark) for key in found.servers)
    assert list(map(str, found.notices)) == [
        (
            "Service web/front: metadata.annotations[kube-router.io/service.dsr]: "
            "web/other has its mark: it is served by translation instead"
        )
    ]


# --- where node ports are served

OWN = frozenset(map(address, ["10.0.0.2", "10.0.0.3", "127.0.0.1", "169.254.1.1", "fe80::1", "fd00::2"]))


@pytest.mark.parametrize(
    ("stated", "served_on"),
    [
        (["10.0.0.9", "10.0.0.3", "10.0.0.2", "fd00::2"], ["10.0.0.3", "fd00::2"]),
        (["10.0.0.9", "10.0.0.8"], ["10.0.0.9"]),
        ([], []),
    ],
    ids=["the first that is here", "the first of all where none is", "none that nobody is told"],
)
def test_node_ports_are_on_the_address_that_others_are_told(stated: list[str], served_on: list[str]) -> None:
    found = node_port_addresses(node("n1", *stated), OWN, tuple(Family), ProxySettings())
    assert found == set(map(address, served_on))


def test_before_the_node_is_known_it_has_no_node_ports() -> None:
    assert node_port_addresses(None, OWN, tuple(Family), ProxySettings()) == frozenset()


def test_node_ports_are_on_every_address_that_others_can_reach_where_asked() -> None:
    settings = ProxySettings(node_ports_on_all_addresses=True)
    found = node_port_addresses(node("n1", "10.0.0.9"), OWN, tuple(Family), settings)
    assert found == set(map(address, ["10.0.0.2", "10.0.0.3", "fd00::2"]))


def test_a_family_that_is_not_served_has_no_node_ports() -> None:
    found = node_port_addresses(node("n1", "10.0.0.9", "fd00::2"), OWN, (Family.IPV6,), ProxySettings())
    keys: list[ServerKey] = [ServerAddress(each, Protocol.TCP, 30080) for each in found]
    assert keys == [server("[fd00::2]:30080/TCP")]
