"""What a node's proxy should hold while the cluster changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import address, node, pod
from proxy_builders import endpoint, endpoint_slice, server, service
from proxy_facts import gone, put

from netpol.compiler.ruleset import InNetwork, TableName
from netpol.model.facts import Fact, Key, Kind
from netpol.model.networks import Family, parse_network
from netpol.model.services import EndpointSlice, TrafficPolicy
from netpol.settings import ProxySettings
from proxy import names
from proxy.model import Origin, ServerKey
from proxy.services.direct_return import mark_of
from proxy.services.engine import ProxyEngine, Touched
from proxy.services.served import HealthCheck

V4, V6 = Family.IPV4, Family.IPV6
FRONT, NAME = service("web/front", "10.96.0.1", ports="http=80:30080/TCP"), ("web", "front")
CLUSTER, NODE_PORT = server("10.96.0.1:80/TCP"), server("172.16.0.1:30080/TCP")
OWN = node("n1", "172.16.0.1", pod_cidrs=["10.1.0.0/24"], zone="a")


def pods(*texts: str, part: int = 1, of: str = "front") -> EndpointSlice:
    """Endpoints, as address@node."""
    places = (text.partition("@") for text in texts)
    found = (endpoint(where, on) for where, _, on in places)
    return endpoint_slice(f"web/{of}-{part}", of, *found, ports="http=8080/TCP")


PODS = pods("10.1.0.1@n1", "10.2.0.1@n2")


def engine(*facts: list[Fact], settings: ProxySettings | None = None) -> ProxyEngine:
    """The engine of n1 after these facts."""
    made = ProxyEngine("n1", (V4, V6), settings or ProxySettings())
    for each in facts:
        made.apply(each)
    return made


def destinations(known: ProxyEngine, key: ServerKey = CLUSTER) -> set[str]:
    return {str(each) for each in known.servers[key].destinations}


# --- services and endpoints


def test_a_service_is_served_whatever_comes_first() -> None:
    facts = [put(FRONT), put(PODS), put(OWN)]
    one, other = engine(*facts), engine(*reversed(facts))
    assert one.servers == other.servers
    assert {key: each.origin for key, each in one.servers.items()} == {
        CLUSTER: Origin.CLUSTER,
        NODE_PORT: Origin.NODE_PORT,
    }
    assert destinations(one) == destinations(one, NODE_PORT) == {"10.1.0.1:8080", "10.2.0.1:8080"}
    assert one.addresses == {address("10.96.0.1")}
    assert one.service(NAME) == FRONT
    assert one.served.keys() == {NAME}


def test_endpoints_of_several_slices_serve_together() -> None:
    known = engine(put(FRONT, PODS, pods("10.3.0.1@n3", part=2)))
    assert destinations(known) == {"10.1.0.1:8080", "10.2.0.1:8080", "10.3.0.1:8080"}
    known.apply(gone(PODS))
    assert destinations(known) == {"10.3.0.1:8080"}
    known.apply(gone(pods(part=2)))
    assert destinations(known) == set()


def test_an_endpoint_that_comes_touches_a_server_for_each_address_and_port() -> None:
    known = engine(put(OWN, FRONT, PODS))
    touched = known.apply(put(pods("10.1.0.1@n1", "10.2.0.1@n2", "10.3.0.1@n3")))
    assert touched == Touched(services=frozenset({NAME}), servers=frozenset({CLUSTER, NODE_PORT}))


def test_only_the_first_and_the_last_endpoint_touch_a_set() -> None:
    known, empty = engine(put(OWN, FRONT)), names.empty_set(V4)
    assert len(known.sets()[empty].members) == 2
    assert known.apply(put(pods("10.1.0.1@n1"))).sets == {empty}
    assert not known.sets()[empty].members
    assert known.apply(put(PODS)).sets == frozenset()
    assert known.apply(put(pods("10.2.0.1@n2"))).sets == frozenset()
    assert known.apply(gone(PODS)).sets == {empty}
    assert len(known.sets()[empty].members) == 2


def test_a_slice_may_become_anothers() -> None:
    other = service("web/other", "10.96.0.2", ports="http=80/TCP")
    known = engine(put(FRONT, other, PODS))
    known.apply(put(replace(PODS, service="other")))
    assert destinations(known) == set()
    assert destinations(known, server("10.96.0.2:80/TCP")) == {"10.1.0.1:8080", "10.2.0.1:8080"}


def test_endpoints_of_no_service_touch_nothing_until_it_comes() -> None:
    known = engine()
    assert not known.apply(put(PODS))
    known.apply(put(FRONT))
    assert destinations(known) == {"10.1.0.1:8080", "10.2.0.1:8080"}


def test_a_service_that_goes_leaves_nothing() -> None:
    known = engine(put(OWN, FRONT, PODS))
    touched = known.apply(gone(FRONT))
    assert touched.services == {NAME}
    assert touched.servers == {CLUSTER, NODE_PORT}
    assert touched.addresses == {address("10.96.0.1")}
    assert touched.sets == {
        names.owned_set(V4),
        "NETPOL-SERVICES-4",
        names.served_set(V4),
        names.addresses_set(V4),
    }
    assert (known.servers, known.addresses, known.service(NAME)) == ({}, frozenset(), None)
    assert not any(each.members for each in known.sets().values())


def test_what_is_known_already_touches_nothing() -> None:
    facts = put(OWN, FRONT, PODS)
    known = engine(facts)
    assert not known.apply(facts)
    assert not known.apply(gone(service("web/nobody"), pods(of="nobody"), node("n9")))


def test_of_several_facts_about_one_object_the_last_is_true() -> None:
    known = engine([*put(FRONT), *gone(FRONT), *put(replace(FRONT, ports=(replace(FRONT.ports[0], number=81),)))])
    assert known.servers.keys() == {server("10.96.0.1:81/TCP")}


def test_headless_services_and_other_kinds_are_passed_over() -> None:
    headless = service("web/headless")
    pod_fact = Fact(Key(Kind.POD, "web", "front-x"), pod("web/front-x", "10.1.0.1"))
    known = engine()
    assert not known.apply([*put(headless), pod_fact])
    assert known.service(("web", "headless")) == headless
    assert known.served == {}


@pytest.mark.parametrize("kind", [Kind.SERVICE, Kind.ENDPOINT_SLICE, Kind.NODE])
def test_a_value_of_another_kind_changes_nothing(kind: Kind) -> None:
    known = engine()
    wrong = Fact(Key(kind, "web", "other"), pod("web/other"))
    with pytest.raises(TypeError, match=f"{kind.value} web/other is no Pod"):
        known.apply([*put(FRONT), wrong])
    assert known.servers == {}
    assert known.service(NAME) is None


# --- the node


def test_node_ports_follow_the_nodes_addresses() -> None:
    known = engine(put(OWN, FRONT, PODS))
    touched = known.apply(put(replace(OWN, addresses=(address("172.16.0.2"),))))
    moved = server("172.16.0.2:30080/TCP")
    assert touched.servers == {NODE_PORT, moved}
    assert touched.sets == {names.owned_set(V4), "NETPOL-SERVICES-4", names.served_set(V4)}
    assert touched.addresses == frozenset()
    assert known.servers.keys() == {CLUSTER, moved}


def test_node_ports_are_on_an_address_that_is_here() -> None:
    elsewhere = replace(OWN, addresses=(address("203.0.113.1"), address("172.16.0.1")))
    known = engine(put(elsewhere, FRONT))
    assert server("203.0.113.1:30080/TCP") in known.servers
    touched = known.set_node_addresses(frozenset({address("172.16.0.1"), address("10.1.0.254")}))
    assert touched.servers == {server("203.0.113.1:30080/TCP"), NODE_PORT}
    assert known.servers.keys() == {CLUSTER, NODE_PORT}
    assert not known.set_node_addresses(frozenset({address("172.16.0.1"), address("10.1.0.254")}))


def test_node_ports_are_on_all_addresses_where_asked() -> None:
    known = engine(put(OWN, FRONT), settings=ProxySettings(node_ports_on_all_addresses=True))
    assert known.servers.keys() == {CLUSTER}
    known.set_node_addresses(frozenset({address("172.16.0.1"), address("fd00:16::1")}))
    assert known.servers.keys() == {CLUSTER, NODE_PORT, server("[fd00:16::1]:30080/TCP")}


def test_the_zone_decides_whose_hints_count() -> None:
    hinted = endpoint_slice(
        "web/front-1", "front", endpoint("10.1.0.1", zones="a"), endpoint("10.2.0.1", zones="b"), ports="http=80/TCP"
    )
    known = engine(put(OWN, FRONT, hinted))
    assert destinations(known) == {"10.1.0.1:80"}
    assert known.apply(put(replace(OWN, zone="b"))).servers == {CLUSTER, NODE_PORT}
    assert destinations(known) == {"10.2.0.1:80"}
    known.apply(put(replace(OWN, zone="")))
    assert destinations(known) == {"10.1.0.1:80", "10.2.0.1:80"}


def test_this_node_is_what_it_was_while_it_has_no_object() -> None:
    asked = service("web/outside", "10.96.0.2", external="172.16.0.1")
    known = engine(put(OWN, FRONT, PODS, asked))
    servers, tables = dict(known.servers), dict(known.tables())
    assert known.apply(gone(OWN)) == Touched()
    assert (known.servers, known.tables()) == (servers, tables)
    assert "an address of node n1" in str(known.notices["web", "outside"])
    assert known.apply(put(OWN)) == Touched()
    moved = known.apply(put(replace(OWN, addresses=(address("172.16.0.2"),))))
    assert moved.servers >= {NODE_PORT, server("172.16.0.2:30080/TCP")}


def test_before_this_node_has_an_object_there_is_nothing_to_keep() -> None:
    assert engine(put(FRONT)).apply(gone(OWN)) == Touched()


def test_the_nodes_pods_are_not_masqueraded() -> None:
    def ranges() -> list[object]:
        rules = known.tables()[TableName.NAT][V4].chains["NETPOL-SERVICE-POSTROUTING"]
        return [match.network for rule in rules for match in rule.matches if isinstance(match, InNetwork)]

    known = engine(put(FRONT))
    assert known.apply(put(OWN)).tables == {TableName.NAT}
    assert ranges() == [parse_network("10.1.0.0/24")]
    assert known.apply(put(node("n2", "172.16.0.2", pod_cidrs=["10.2.0.0/24"]))) == Touched()
    assert known.apply(put(replace(OWN, pod_cidrs=()))).tables == {TableName.NAT}
    assert ranges() == []


# --- what services may have


def test_an_address_that_is_a_nodes_is_no_services() -> None:
    asked = service("web/front", "10.96.0.1", external="172.16.0.9")
    known = engine(put(asked))
    outside = server("172.16.0.9:80/TCP")
    assert outside in known.servers
    touched = known.apply(put(node("n9", "172.16.0.9")))
    assert touched.servers == {outside}
    assert touched.noticed == {NAME}
    assert [each.field for each in known.notices[NAME]] == ["spec.externalIPs[0]"]
    assert known.apply(gone(node("n9"))).noticed == {NAME}
    assert known.notices == {}
    known.set_node_addresses(frozenset({address("172.16.0.9")}))
    assert known.servers.keys() == {server("10.96.0.1:80/TCP")}


def test_what_one_gives_up_the_next_gets() -> None:
    first = service("web/first", "10.96.0.1", ports="80:30080/TCP", created="2024-01-01T00:00:00.000000Z")
    second = service("web/second", "10.96.0.2", ports="80:30080/TCP", created="2024-01-02T00:00:00.000000Z")
    known = engine(put(OWN, first, second))
    assert known.servers[NODE_PORT].title == "web/first:80"
    touched = known.apply(gone(first))
    assert touched.services == {("web", "first"), ("web", "second")}
    assert known.servers[NODE_PORT].title == "web/second:80"
    comments = {getattr(each, "comment", "") for each in known.sets()[names.owned_set(V4)].members}
    assert comments == {"web/second:80 cluster", "web/second:80 node port"}


def test_a_scheduler_that_is_not_there_is_told_until_it_is() -> None:
    known = engine(put(replace(FRONT, scheduler="mh"), service("web/other", "10.96.0.2")))
    touched = known.set_unavailable(frozenset({"mh", "lblc"}))
    assert touched == Touched(services=frozenset({NAME}), servers=frozenset({CLUSTER}), noticed=frozenset({NAME}))
    assert known.servers[CLUSTER].scheduling.scheduler == "rr"
    assert not known.set_unavailable(frozenset({"mh"}))
    assert known.set_unavailable(frozenset()).noticed == {NAME}
    assert known.servers[CLUSTER].scheduling.scheduler == "mh"


# --- what else services ask for


def test_endpoints_here_of_a_local_policy_are_in_a_set_and_counted() -> None:
    local = replace(FRONT, external_policy=TrafficPolicy.LOCAL, health_check_node_port=32000)
    known = engine(put(OWN, local, PODS))
    assert known.health_checks == {NAME: HealthCheck(32000, 1)}
    touched = known.apply(put(pods("10.1.0.1@n1", "10.1.0.2@n1")))
    assert touched.health_checks
    assert touched.sets == {names.local_set(V4)}
    assert touched.tables == frozenset()
    assert known.health_checks == {NAME: HealthCheck(32000, 2)}
    assert not known.apply(put(pods("10.1.0.1@n1", "10.1.0.2@n1", "10.2.0.2@n2"))).health_checks


DIRECT = replace(service("web/front", "10.96.0.1", ports="http=80/TCP", load_balancer="192.0.2.1"), direct_return=True)
BALANCED = server("192.0.2.1:80/TCP")
SAME_PORT = endpoint_slice("web/front-1", "front", endpoint("10.1.0.1", "n1"), ports="http=80/TCP")


def test_direct_return_ends_with_an_endpoint_that_listens_elsewhere() -> None:
    known = engine(put(DIRECT, SAME_PORT))
    assert known.servers.keys() == {CLUSTER, mark_of(BALANCED)}
    assert known.tunnels == {address("10.1.0.1"): {address("192.0.2.1")}}
    touched = known.apply(put(PODS))
    assert touched.servers == {CLUSTER, mark_of(BALANCED), BALANCED}
    assert touched.addresses == {address("192.0.2.1")}
    assert touched.tables == {TableName.MANGLE}
    assert touched.tunnels
    assert touched.noticed == {NAME}
    assert known.servers.keys() == {CLUSTER, BALANCED}
    assert known.tunnels == {}


def test_direct_return_ends_where_another_has_the_address_translated() -> None:
    other = service("shop/other", "10.96.0.2", ports="443/TCP", load_balancer="192.0.2.1")
    known = engine(put(DIRECT, SAME_PORT))
    touched = known.apply(put(other))
    assert touched.services == {NAME, ("shop", "other")}
    assert BALANCED in known.servers
    assert [str(each).partition(": ")[2] for each in known.notices[NAME]] == [
        (
            "metadata.annotations[kube-router.io/service.dsr]: shop/other, which shares addresses with it, "
            "is not answered directly: it is served by translation instead"
        )
    ]
    known.apply(gone(other))
    assert mark_of(BALANCED) in known.servers
    assert known.notices == {}


def test_who_loses_its_mark_to_another_is_translated() -> None:
    """TCP to port 1080 of the one address and to port 1251 of the other has the same mark."""
    one, other = (
        replace(service(f"web/{name}", cluster, ports=port, load_balancer=outside), direct_return=True)
        for name, cluster, port, outside in (
            ("b", "10.96.0.1", "1080/TCP", "192.0.2.1"),
            ("a", "10.96.0.2", "1251/TCP", "192.0.2.2"),
        )
    )
    known = engine(put(one))
    mark = mark_of(server("192.0.2.1:1080/TCP"))
    assert known.servers[mark].title == "web/b:1080"
    touched = known.apply(put(other))
    assert touched.services == {("web", "a"), ("web", "b")}
    assert touched.noticed == {("web", "b")}
    assert known.servers[mark].title == "web/a:1251"
    assert known.servers[server("192.0.2.1:1080/TCP")].title == "web/b:1080"
