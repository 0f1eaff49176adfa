"""Which claims of services are granted, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import node
from proxy_builders import DAYS, addresses, server, service, service_port

from netpol.model.networks import parse_network
from netpol.model.objects import Node
from netpol.model.ports import PortRange
from netpol.model.services import Service
from netpol.model.snapshot import ObjectName
from netpol.settings import AddressRanges, ProxySettings
from proxy.claims.claims import Claims, Grant, Granted
from proxy.model import Origin

FRONT: ObjectName = ("web", "front")
ONE = node("n1", "192.0.2.1", pod_cidrs=["10.1.0.0/24"])


def name_of(each: Service) -> ObjectName:
    return each.namespace, each.name


def claims(*services: Service, settings: ProxySettings | None = None, nodes: tuple[Node, ...] = ()) -> Claims:
    found = Claims(settings or ProxySettings())
    for each in services:
        found.put(name_of(each), each)
    for each_node in nodes:
        found.place_node(each_node.name, each_node)
    return found


def ranges(*, external: str = "", load_balancer: str = "", strict: bool = True) -> ProxySettings:
    networks = [tuple(map(parse_network, text.split())) for text in (external, load_balancer)]
    return ProxySettings(ranges=AddressRanges(external=networks[0], load_balancer=networks[1], strict=strict))


def servers(granted: Granted) -> list[str]:
    """What is granted, each with the initials of its origin."""
    initials = {Origin.CLUSTER: "C", Origin.EXTERNAL: "E", Origin.LOAD_BALANCER: "L"}
    return [f"{initials[grant.origin]} {key}" for key, grant in granted.servers.items()]


def told(granted: Granted) -> list[str]:
    """The notices, all of which end alike."""
    assert all(each.message.endswith("; it is not served") for each in granted.notices)
    return [f"{each.field}: {each.message.removesuffix('; it is not served')}" for each in granted.notices]


# --- one service


def test_a_service_has_what_nobody_else_claims() -> None:
    front = service(
        "web/front",
        "10.96.0.1 fd00::1",
        ports="http=80:30080/TCP dns=53/UDP",
        external="198.51.100.1",
        load_balancer="203.0.113.1",
    )
    granted = claims(front, nodes=(ONE,)).granted(FRONT)
    http, dns = front.ports
    assert granted == Granted(
        {
            server("10.96.0.1:80/TCP"): Grant(Origin.CLUSTER, http),
            server("10.96.0.1:53/UDP"): Grant(Origin.CLUSTER, dns),
            server("[fd00::1]:80/TCP"): Grant(Origin.CLUSTER, http),
            server("[fd00::1]:53/UDP"): Grant(Origin.CLUSTER, dns),
            server("203.0.113.1:80/TCP"): Grant(Origin.LOAD_BALANCER, http),
            server("203.0.113.1:53/UDP"): Grant(Origin.LOAD_BALANCER, dns),
            server("198.51.100.1:80/TCP"): Grant(Origin.EXTERNAL, http),
            server("198.51.100.1:53/UDP"): Grant(Origin.EXTERNAL, dns),
        },
        (http,),
    )


def test_a_service_that_is_not_known_or_has_no_cluster_address_has_nothing() -> None:
    headless = service("web/front", ports="80:30080/TCP", external="198.51.100.1", load_balancer="203.0.113.1")
    known = claims(headless)
    assert known.granted(FRONT) == Granted()
    assert known.granted(("web", "other")) == Granted()


def test_a_cluster_address_is_granted_whatever_it_is() -> None:
    front = service("web/front", "198.51.100.9 127.0.0.1 192.0.2.1 10.1.0.1")
    assert servers(claims(front, nodes=(ONE,)).granted(FRONT)) == [
        "C 198.51.100.9:80/TCP",
        "C 127.0.0.1:80/TCP",
        "C 192.0.2.1:80/TCP",
        "C 10.1.0.1:80/TCP",
    ]


def test_what_a_service_claims_twice_it_has_once() -> None:
    """Its own cluster address goes before its load balancer's, which goes before an external one."""
    twice = service(
        "web/front",
        "10.96.0.1",
        ports="80/TCP",
        external="198.51.100.1 10.96.0.1 203.0.113.1 198.51.100.1",
        load_balancer="203.0.113.1 10.96.0.1 203.0.113.1",
    )
    granted = claims(twice).granted(FRONT)
    assert servers(granted) == ["C 10.96.0.1:80/TCP", "L 203.0.113.1:80/TCP", "E 198.51.100.1:80/TCP"]
    assert granted.notices == ()


def test_of_equal_ports_the_first_counts() -> None:
    """An API server refuses them; a directory of manifests may have them."""
    front = service("web/front", "10.96.0.1", ports="a=80:30080/TCP b=80:30080/TCP")
    assert claims(front).granted(FRONT) == Granted(
        {server("10.96.0.1:80/TCP"): Grant(Origin.CLUSTER, front.ports[0])}, (front.ports[0],)
    )


# --- addresses that are no service's to have

TAKEN = [
    ("127.0.0.1", "127.0.0.1 is a loopback address"),
    ("0.0.0.1", "0.0.0.1 is an unspecified address"),
    ("169.254.1.1", "169.254.1.1 is a link-local address"),
    ("224.0.0.1", "224.0.0.1 is a multicast address"),
    ("255.255.255.255", "255.255.255.255 is the broadcast address"),
    ("fe80::1", "fe80::1 is a link-local address"),
    ("10.96.0.7", "10.96.0.7 is the cluster address of service db/main"),
    ("fd00::7", "fd00::7 is the cluster address of service db/main"),
    ("10.97.0.1", "10.97.0.1 is in 10.96.0.0/12, where cluster addresses are"),
    ("192.0.2.1", "192.0.2.1 is an address of node n1"),
    ("192.0.2.2", "192.0.2.2 is an address of this node"),
    ("10.1.0.1", "10.1.0.1 is in 10.1.0.0/24, which is for the pods of node n1"),
    ("10.5.0.1", "10.5.0.1 is in 10.5.0.0/16, which is for pods"),
]


@pytest.mark.parametrize(("address", "message"), TAKEN)
def test_an_address_that_is_somebodys_is_refused(address: str, message: str) -> None:
    settings = ProxySettings(cluster_cidrs=(parse_network("10.5.0.0/16"),))
    external = service("web/front", "10.96.0.1", external=f"198.51.100.1 {address}")
    balanced = service("web/back", "10.96.0.2", load_balancer=f"203.0.113.1 {address}")
    other = service("db/main", "10.96.0.7 fd00::7")
    known = claims(external, balanced, other, settings=settings, nodes=(ONE,))
    known.set_own_addresses(frozenset(addresses("192.0.2.2")))
    assert servers(known.granted(FRONT)) == ["C 10.96.0.1:80/TCP", "E 198.51.100.1:80/TCP"]
    assert told(known.granted(FRONT)) == [f"spec.externalIPs[1]: {message}"]
    assert servers(known.granted(("web", "back"))) == ["C 10.96.0.2:80/TCP", "L 203.0.113.1:80/TCP"]
    assert told(known.granted(("web", "back"))) == [f"status.loadBalancer.ingress: {message}"]


def test_a_notice_is_of_its_service() -> None:
    (notice,) = claims(service("web/front", "10.96.0.1", external="127.0.0.1")).granted(FRONT).notices
    assert str(notice) == "Service web/front: spec.externalIPs[0]: 127.0.0.1 is a loopback address; it is not served"


def test_an_address_is_in_one_of_the_ranges_of_its_kind_where_there_are_any() -> None:
    front = service("web/front", "10.96.0.1", external="198.51.100.1 fd01::1", load_balancer="203.0.113.1 fd02::1")
    known = claims(front, settings=ranges(external="198.51.100.0/24 192.0.2.0/24", load_balancer="fd02::/64"))
    assert servers(known.granted(FRONT)) == ["C 10.96.0.1:80/TCP", "L [fd02::1]:80/TCP", "E 198.51.100.1:80/TCP"]
    assert told(known.granted(FRONT)) == [
        "status.loadBalancer.ingress: 203.0.113.1 is outside fd02::/64, where load balancers' addresses are",
        "spec.externalIPs[1]: fd01::1 is outside 198.51.100.0/24 and 192.0.2.0/24, where external addresses are",
    ]


def test_a_notice_says_whose_an_address_is_rather_than_where_it_is_not() -> None:
    front = service("web/front", "10.96.0.1", external="192.0.2.1")
    known = claims(front, settings=ranges(external="198.51.100.0/24"), nodes=(ONE,))
    assert told(known.granted(FRONT)) == ["spec.externalIPs[0]: 192.0.2.1 is an address of node n1"]


def test_ranges_are_not_asked_where_nobody_is_strict_but_whose_an_address_is() -> None:
    front = service(
        "web/front",
        "10.96.0.1",
        ports="80:80/TCP",
        external="10.97.0.1 192.0.2.1 10.96.0.2",
        load_balancer="203.0.113.1",
    )
    settings = ranges(external="198.51.100.0/24", load_balancer="198.51.100.0/24", strict=False)
    known = claims(front, service("web/back", "10.96.0.2"), settings=settings, nodes=(ONE,))
    granted = known.granted(FRONT)
    assert servers(granted) == ["C 10.96.0.1:80/TCP", "L 203.0.113.1:80/TCP", "E 10.97.0.1:80/TCP"]
    assert granted.node_ports == front.ports
    assert told(granted) == [
        "spec.externalIPs[1]: 192.0.2.1 is an address of node n1",
        "spec.externalIPs[2]: 10.96.0.2 is the cluster address of service web/back",
    ]


# --- several services


def test_what_is_a_load_balancers_is_no_other_services_external_address() -> None:
    """CVE-2020-8554: whoever may write a service could take the traffic otherwise, also of another port."""
    thief = service("evil/thief", "10.96.0.6", ports="443/TCP", external="203.0.113.1", created=DAYS[0])
    front = service("web/front", "10.96.0.1", load_balancer="203.0.113.1", created=DAYS[1])
    known = claims(thief, front)
    assert servers(known.granted(("evil", "thief"))) == ["C 10.96.0.6:443/TCP"]
    assert told(known.granted(("evil", "thief"))) == [
        "spec.externalIPs[0]: 203.0.113.1 is the load balancer's address of service web/front"
    ]
    assert servers(known.granted(FRONT)) == ["C 10.96.0.1:80/TCP", "L 203.0.113.1:80/TCP"]
    assert known.put(FRONT, None) == {FRONT, ("evil", "thief")}
    assert servers(known.granted(("evil", "thief"))) == ["C 10.96.0.6:443/TCP", "E 203.0.113.1:443/TCP"]


def test_an_external_address_is_one_namespaces() -> None:
    old = service("web/front", "10.96.0.1", ports="80/TCP", external="198.51.100.1", created=DAYS[0])
    same = service("web/back", "10.96.0.2", ports="81/TCP", external="198.51.100.1", created=DAYS[2])
    other = service("db/main", "10.96.0.3", ports="82/TCP", external="198.51.100.1", created=DAYS[1])
    known = claims(other, same, old)
    assert servers(known.granted(FRONT)) == ["C 10.96.0.1:80/TCP", "E 198.51.100.1:80/TCP"]
    assert servers(known.granted(("web", "back"))) == ["C 10.96.0.2:81/TCP", "E 198.51.100.1:81/TCP"]
    assert told(known.granted(("db", "main"))) == [
        "spec.externalIPs[0]: 198.51.100.1 is an external address of service web/front, which comes first"
    ]
    assert known.put(FRONT, None) == {FRONT, ("web", "back"), ("db", "main")}
    assert servers(known.granted(("db", "main"))) == ["C 10.96.0.3:82/TCP", "E 198.51.100.1:82/TCP"]
    assert told(known.granted(("web", "back"))) == [
        "spec.externalIPs[0]: 198.51.100.1 is an external address of service db/main, which comes first"
    ]


def test_who_is_refused_an_address_keeps_nobody_from_its_ports() -> None:
    old = service("web/front", "10.96.0.1", ports="80/TCP", external="198.51.100.1", created=DAYS[0])
    refused = service("db/main", "10.96.0.2", ports="81/TCP", external="198.51.100.1", created=DAYS[1])
    young = service("web/back", "10.96.0.3", ports="81/TCP", external="198.51.100.1", created=DAYS[2])
    known = claims(old, refused, young)
    assert servers(known.granted(("db", "main"))) == ["C 10.96.0.2:81/TCP"]
    assert servers(known.granted(("web", "back"))) == ["C 10.96.0.3:81/TCP", "E 198.51.100.1:81/TCP"]


@pytest.mark.parametrize("kind", ["external", "load_balancer"])
def test_of_services_with_the_same_address_and_port_the_oldest_has_it(kind: str) -> None:
    address = "203.0.113.1"

    def sharing(name: str, cluster: str, ports: str, created: str) -> Service:
        external, balanced = (address, "") if kind == "external" else ("", address)
        return service(name, cluster, ports=ports, external=external, load_balancer=balanced, created=created)

    old = sharing("web/old", "10.96.0.1", "80/TCP 81/TCP", DAYS[0])
    new = sharing("web/new", "10.96.0.2", "81/TCP 81/UDP", DAYS[1])
    known = claims(new, old)
    letter = {"external": "E", "load_balancer": "L"}[kind]
    at = {"external": "spec.externalIPs[0]", "load_balancer": "status.loadBalancer.ingress"}[kind]
    granted = known.granted(("web", "new"))
    assert servers(granted)[2:] == [f"{letter} {address}:81/UDP"]
    assert told(granted) == [f"{at}: port 81/TCP of {address} is service web/old's, which comes first"]
    assert known.granted(("web", "old")).notices == ()
    assert known.put(name_of(old), replace(old, ports=old.ports[:1])) == {("web", "old"), ("web", "new")}
    assert sorted(servers(known.granted(("web", "new")))[2:]) == [
        f"{letter} {address}:81/TCP",
        f"{letter} {address}:81/UDP",
    ]


def test_load_balancers_of_several_namespaces_share_an_address() -> None:
    front = service("web/front", "10.96.0.1", ports="80/TCP", load_balancer="203.0.113.1", created=DAYS[0])
    main = service("db/main", "10.96.0.2", ports="81/TCP", load_balancer="203.0.113.1", created=DAYS[1])
    known = claims(front, main)
    assert servers(known.granted(("db", "main"))) == ["C 10.96.0.2:81/TCP", "L 203.0.113.1:81/TCP"]


def test_of_services_with_the_same_cluster_address_the_oldest_has_all_of_it() -> None:
    """No API server gives one to two; a directory of manifests may."""
    old = service("web/front", "10.96.0.1", ports="80/TCP", created=DAYS[0])
    new = service("web/back", "fd00::1 10.96.0.1", ports="81/TCP", external="10.96.0.1")
    known = claims(new, old)
    assert servers(known.granted(FRONT)) == ["C 10.96.0.1:80/TCP"]
    assert servers(known.granted(("web", "back"))) == ["C [fd00::1]:81/TCP"]
    assert told(known.granted(("web", "back"))) == [
        "spec.clusterIPs[1]: 10.96.0.1 is the cluster address of service web/front, which comes first"
    ]
    assert known.put(FRONT, None) == {FRONT, ("web", "back")}
    assert servers(known.granted(("web", "back"))) == ["C [fd00::1]:81/TCP", "C 10.96.0.1:81/TCP"]


def test_a_service_that_was_made_anew_is_as_young_as_it_is_now() -> None:
    old = service("web/a", "10.96.0.1", external="198.51.100.1", created=DAYS[0])
    new = service("web/b", "10.96.0.2", external="198.51.100.1", created=DAYS[1])
    known = claims(old, new)
    assert known.put(("web", "a"), replace(old, created=DAYS[2])) == {("web", "a"), ("web", "b")}
    assert servers(known.granted(("web", "b"))) == ["C 10.96.0.2:80/TCP", "E 198.51.100.1:80/TCP"]
    assert servers(known.granted(("web", "a"))) == ["C 10.96.0.1:80/TCP"]


# --- node ports


def test_a_node_port_is_the_oldest_services_by_protocol() -> None:
    old = service("web/front", "10.96.0.1", ports="80:30080/TCP", created=DAYS[0])
    new = service("db/main", "10.96.0.2", ports="a=80:30080/UDP b=81:30080/TCP", created=DAYS[1])
    known = claims(new, old)
    granted = known.granted(("db", "main"))
    assert granted.node_ports == (service_port("a=80:30080/UDP"),)
    assert told(granted) == [
        "spec.ports[1].nodePort: 30080/TCP is the node port of service web/front, which comes first"
    ]
    assert known.granted(FRONT).node_ports == old.ports
    assert known.put(FRONT, None) == {FRONT, ("db", "main")}
    assert known.granted(("db", "main")).node_ports == new.ports


def test_a_node_port_is_in_the_range_of_those() -> None:
    settings = ProxySettings(ranges=AddressRanges(node_ports=PortRange(30000, 30010)))
    front = service("web/front", "10.96.0.1", ports="a=80:29999/TCP b=81:30000/TCP c=82:30010/TCP d=83:30011/TCP")
    granted = claims(front, settings=settings).granted(FRONT)
    assert granted.node_ports == front.ports[1:3]
    assert told(granted) == [
        "spec.ports[0].nodePort: 29999/TCP is outside 30000-30010, where node ports are",
        "spec.ports[3].nodePort: 30011/TCP is outside 30000-30010, where node ports are",
    ]


# --- what changes


def test_only_those_whom_a_change_may_concern_are_told() -> None:
    front = service("web/front", "10.96.0.1", external="198.51.100.1", created=DAYS[0])
    back = service("web/back", "10.96.0.2", ports="80:30080/TCP", external="198.51.100.2", created=DAYS[0])
    known = claims(front, back)
    assert known.put(FRONT, front) == frozenset()
    assert known.put(("db", "main"), None) == frozenset()
    assert known.put(FRONT, replace(front, hairpin=True)) == {FRONT}
    young = service("web/young", "10.96.0.3", ports="81:30081/TCP", external="198.51.100.1", created=DAYS[1])
    assert known.put(("web", "young"), young) == {("web", "young")}
    assert known.put(("web", "young"), None) == {("web", "young")}
    taken = service("db/main", "198.51.100.2", created=DAYS[2])
    assert known.put(("db", "main"), taken) == {("db", "main"), ("web", "back")}
    assert told(known.granted(("web", "back"))) == [
        "spec.externalIPs[0]: 198.51.100.2 is the cluster address of service db/main"
    ]


def test_a_node_that_comes_or_goes_concerns_who_claims_its_addresses() -> None:
    front = service("web/front", "10.96.0.1", external="192.0.2.1", created=DAYS[0])
    back = service("web/back", "10.96.0.2", load_balancer="10.1.0.9", created=DAYS[0])
    known = claims(front, back, service("db/main", "10.1.0.1"))
    assert known.place_node("n1", ONE) == {FRONT, ("web", "back")}
    assert known.place_node("n1", ONE) == frozenset()
    assert servers(known.granted(("web", "back"))) == ["C 10.96.0.2:80/TCP"]
    assert known.place_node("n1", replace(ONE, pod_cidrs=())) == {("web", "back")}
    assert known.place_node("n1", None) == {FRONT}
    assert known.put(("web", "back"), replace(back, load_balancer_addresses=())) == {("web", "back")}
    assert known.place_node("n1", ONE) == {FRONT}


def test_own_addresses_concern_who_claims_them() -> None:
    known = claims(service("web/front", "10.96.0.1", external="192.0.2.2"))
    assert known.set_own_addresses(frozenset(addresses("192.0.2.2 10.96.0.1"))) == {FRONT}
    assert told(known.granted(FRONT)) == ["spec.externalIPs[0]: 192.0.2.2 is an address of this node"]
    assert known.set_own_addresses(frozenset()) == {FRONT}
    assert known.granted(FRONT).notices == ()
