"""The service controller, step by step: what it writes and when, and what it tells of it."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from builders import address
from live_proxy import NODE, RULES_PERIOD_SECONDS, SERVERS_PERIOD_SECONDS, LiveProxy, ProxyNode
from proxy_builders import addresses, destination, endpoint, endpoint_slice, server, service

from netpol.dataplane.kernel import Flow
from netpol.model.facts import PROXY_KINDS, Kind
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from netpol.model.services import TrafficPolicy
from netpol.settings import ProxySettings
from proxy.controller import Extent
from proxy.healthcheck import RETRY_SECONDS
from proxy.kernel.node_addresses import LinkNews
from proxy.model import AddDestination, AddServer, HeldDestination, RemoveServer, Scheduling, ServerStep

WEB = service("shop/web", "10.96.0.10", ports="80:30080/TCP")
WEB_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"), endpoint("10.0.1.2", "n2"))
ONE_LESS = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"))
DNS = service("kube-system/dns", "10.96.0.2", ports="53/UDP")
DNS_SLICE = endpoint_slice("kube-system/dns-1", "dns", endpoint("10.0.0.53", "n1"), ports="53/UDP")
VIP, NODE_PORT, DNS_VIP = server("10.96.0.10:80/TCP"), server("192.0.2.1:30080/TCP"), server("10.96.0.2:53/UDP")
ONE, TWO = destination("10.0.0.1:80"), destination("10.0.1.2:80")


@pytest.fixture(name="live")
def _live() -> LiveProxy:
    return LiveProxy().started(WEB, WEB_SLICE)


def held(live: LiveProxy) -> dict[str, dict[str, int]]:
    """The weights of the destinations of every server."""
    return {
        str(key): {str(each): found.weight for each, found in sorted(one.destinations.items(), key=str)}
        for key, one in live.kernel.servers.read().items()
    }


# --- before everything is known


@pytest.mark.parametrize("last", PROXY_KINDS, ids=lambda kind: kind.value)
def test_nothing_is_written_before_every_kind_was_listed(last: Kind) -> None:
    live = LiveProxy()
    live.announce([kind for kind in PROXY_KINDS if kind is not last], WEB, WEB_SLICE)
    live.step()
    live.step(after_seconds=1_000)
    assert live.operations == []
    assert (live.first_times, live.health.is_ready()) == (0, False)
    live.announce([last], WEB, WEB_SLICE)
    live.step()
    assert held(live) == {
        "10.96.0.10:80/TCP": {"10.0.0.1:80": 1, "10.0.1.2:80": 1},
        "192.0.2.1:30080/TCP": {"10.0.0.1:80": 1, "10.0.1.2:80": 1},
    }
    assert live.kernel.link.read() == frozenset(addresses("10.96.0.10"))
    assert (live.first_times, live.health.is_ready()) == (1, True)


def test_a_restart_with_nothing_changed_writes_nothing(live: LiveProxy) -> None:
    before = live.operations
    again = LiveProxy(live.kernel).started(WEB, WEB_SLICE)
    again.step(SERVERS_PERIOD_SECONDS)
    again.step(RULES_PERIOD_SECONDS)
    assert again.operations == before
    assert again.first_times == 1
    assert again.metric("netpol_proxy_drift_mended_total") == 0


# --- facts


def test_an_endpoint_that_comes_is_one_message_for_each_server_and_nothing_else() -> None:
    live = LiveProxy().started(WEB, ONE_LESS)
    before = live.operations
    live.put(WEB_SLICE)
    assert live.since(before) == [
        "add 10.96.0.10:80/TCP -> 10.0.1.2:80 1",
        "add 192.0.2.1:30080/TCP -> 10.0.1.2:80 1",
    ]


def test_only_endpoints_here_that_may_reach_themselves_get_back_what_they_send(live: LiveProxy) -> None:
    assert live.kernel.bridges.returning == set()
    live.put(replace(WEB, hairpin=True))
    assert live.kernel.bridges.returning == {address("10.0.0.1")}
    before = live.operations
    live.step(SERVERS_PERIOD_SECONDS)
    assert live.since(before) == []


def test_a_scheduler_is_switched_while_it_runs(live: LiveProxy) -> None:
    before = live.operations
    live.put(replace(WEB, scheduler="lc"))
    done = [each for each in live.since(before) if "SWITCHING" not in each]
    assert done == ["edit 10.96.0.10:80/TCP lc", "edit 192.0.2.1:30080/TCP lc"]


def test_facts_that_were_known_write_nothing(live: LiveProxy) -> None:
    before = live.operations
    live.put(WEB, WEB_SLICE, NODE)
    assert live.operations == before


def test_a_service_that_goes_takes_all_that_it_had(live: LiveProxy) -> None:
    live.put(DNS, DNS_SLICE)
    live.drop(WEB)
    assert held(live) == {"10.96.0.2:53/UDP": {"10.0.0.53:53": 1}}
    assert live.kernel.link.read() == frozenset(addresses("10.96.0.2"))


# --- connections


def test_an_endpoint_that_goes_keeps_its_connections_until_they_end(live: LiveProxy) -> None:
    live.kernel.servers.connect(VIP, TWO, active=1)
    before = live.operations
    live.put(ONE_LESS)
    assert live.since(before) == [
        "edit 10.96.0.10:80/TCP -> 10.0.1.2:80 0",
        "edit 192.0.2.1:30080/TCP -> 10.0.1.2:80 0",
    ]
    assert live.metric("netpol_proxy_draining") == 2
    live.step(after_seconds=0.5)
    assert held(live)["192.0.2.1:30080/TCP"] == {"10.0.0.1:80": 1, "10.0.1.2:80": 0}
    live.step(after_seconds=0.5)
    assert held(live) == {
        "10.96.0.10:80/TCP": {"10.0.0.1:80": 1, "10.0.1.2:80": 0},
        "192.0.2.1:30080/TCP": {"10.0.0.1:80": 1},
    }
    live.kernel.servers.connect(VIP, TWO, active=0)
    live.step(after_seconds=1)
    assert held(live)["10.96.0.10:80/TCP"] == {"10.0.0.1:80": 1}
    assert live.metric("netpol_proxy_draining") == 0
    assert live.metric("netpol_proxy_drift_mended_total") == 0


def test_connections_that_do_not_end_are_waited_for_no_longer_than_they_may_be(live: LiveProxy) -> None:
    live.kernel.servers.connect(VIP, TWO, active=1)
    live.put(ONE_LESS)
    for _ in range(29):
        live.step(after_seconds=1)
    assert held(live)["10.96.0.10:80/TCP"] == {"10.0.0.1:80": 1, "10.0.1.2:80": 0}
    live.step(after_seconds=1)
    assert held(live)["10.96.0.10:80/TCP"] == {"10.0.0.1:80": 1}


def test_an_endpoint_that_comes_back_goes_on(live: LiveProxy) -> None:
    live.put(ONE_LESS)
    before = live.operations
    live.put(WEB_SLICE)
    live.step(after_seconds=60)
    assert live.since(before) == [
        "edit 10.96.0.10:80/TCP -> 10.0.1.2:80 1",
        "edit 192.0.2.1:30080/TCP -> 10.0.1.2:80 1",
    ]


def test_what_drained_when_the_agent_ended_drains_anew(live: LiveProxy) -> None:
    live.kernel.servers.connect(VIP, TWO, active=1)
    live.put(ONE_LESS)
    live.step(after_seconds=20)
    before = live.operations
    again = LiveProxy(live.kernel).started(WEB, ONE_LESS)
    again.step(after_seconds=29.5)
    assert again.since(before) == []
    again.step(after_seconds=0.5)
    assert held(again)["10.96.0.10:80/TCP"] == {"10.0.0.1:80": 1}


def test_nothing_drains_where_no_time_is_given() -> None:
    live = LiveProxy(settings=ProxySettings(graceful_seconds=0)).started(WEB, WEB_SLICE)
    live.kernel.servers.connect(VIP, TWO, active=1)
    live.put(ONE_LESS)
    assert held(live)["10.96.0.10:80/TCP"] == {"10.0.0.1:80": 1}


def flow(source: str, to: str, port: int, protocol: Protocol = Protocol.UDP, handle: bytes = b"1") -> Flow:
    return Flow(address(source), address(to), protocol, port, handle)


def test_datagrams_to_an_endpoint_that_is_gone_are_sent_anew() -> None:
    two = endpoint_slice("kube-system/dns-1", "dns", endpoint("10.0.0.53"), endpoint("10.0.0.54"), ports="53/UDP")
    live = LiveProxy().started(DNS, two)
    flows = live.kernel.memory.flows
    stays = [
        flow("10.0.0.9", "10.0.0.53", 53, handle=b"to the endpoint that stays"),
        flow("10.0.0.9", "10.0.0.54", 53, Protocol.TCP, b"a connection"),
    ]
    for each in (*stays, flow("10.0.0.9", "10.0.0.54", 53, handle=b"to the one that goes")):
        flows.open(Family.IPV4, each, opened_to=DNS_VIP.address)
    past_the_service = flow("10.0.0.9", "10.0.0.54", 53, handle=b"past the service")
    flows.open(Family.IPV4, past_the_service)
    live.put(DNS_SLICE)
    assert held(live) == {"10.96.0.2:53/UDP": {"10.0.0.53:53": 1}}
    assert set(flows.read(Family.IPV4)) == {*stays, past_the_service}
    live.drop(DNS)
    assert set(flows.read(Family.IPV4)) == {stays[1], past_the_service}
    assert live.metric("netpol_proxy_flows_forgotten_total") == 2


def test_datagrams_that_the_node_took_for_its_own_are_served_once_there_is_a_server() -> None:
    live = LiveProxy().started()
    flows = live.kernel.memory.flows
    flows.open(Family.IPV4, flow("198.51.100.7", "10.96.0.2", 53))
    live.put(DNS, DNS_SLICE)
    assert flows.read(Family.IPV4) == ()


# --- what others do


def test_what_others_changed_is_mended_counted_and_told(live: LiveProxy, caplog: pytest.LogCaptureFixture) -> None:
    live.kernel.servers.apply([RemoveServer(VIP)])
    live.kernel.link.unbind(addresses("10.96.0.10"))
    live.step(SERVERS_PERIOD_SECONDS)
    assert held(live)["10.96.0.10:80/TCP"] == {"10.0.0.1:80": 1, "10.0.1.2:80": 1}
    assert live.kernel.link.read() == frozenset(addresses("10.96.0.10"))
    assert live.metric("netpol_proxy_drift_mended_total") == 4
    assert "somebody else had changed what services need in the kernel" in caplog.text


def test_a_weight_that_others_changed_is_mended(live: LiveProxy) -> None:
    live.kernel.servers.apply([AddDestination(VIP, ONE, weight=7)])
    live.step(SERVERS_PERIOD_SECONDS)
    assert live.kernel.servers.read()[VIP].destinations[ONE] == HeldDestination(1)


def test_kernel_settings_that_others_changed_are_mended(live: LiveProxy) -> None:
    live.kernel.sysctls.values["net.ipv4.vs.conntrack"] = "0"
    live.step(SERVERS_PERIOD_SECONDS)
    assert live.kernel.sysctls.values["net.ipv4.vs.conntrack"] == "1"


def test_rules_are_compared_at_their_own_period_or_at_an_alarm(live: LiveProxy) -> None:
    nat, name = live.kernel.seen.nat, "NETPOL-SERVICE-POSTROUTING"

    def spoil() -> None:
        nat.write(Family.IPV4, [f":{name} - [0:0]"])

    def chain() -> tuple[str, ...]:
        return nat.read(Family.IPV4).chains[name]

    rules = chain()
    spoil()
    live.step(SERVERS_PERIOD_SECONDS)
    assert chain() == ()
    live.step(RULES_PERIOD_SECONDS)
    assert chain() == rules
    spoil()
    live.proxy.alarm(Extent.RULES)
    live.step(after_seconds=1.5)
    assert chain() == rules


def test_servers_of_others_are_never_touched() -> None:
    node = ProxyNode()
    foreign = server("198.51.100.1:443/TCP")
    node.servers.apply([AddServer(foreign, Scheduling("wlc")), AddDestination(foreign, ONE)])
    live = LiveProxy(node).started(WEB, WEB_SLICE)
    live.step(SERVERS_PERIOD_SECONDS)
    live.drop(WEB)
    assert held(live) == {"198.51.100.1:443/TCP": {"10.0.0.1:80": 1}}


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_external_address_that_others_serve_is_left_to_them_and_told(when: str) -> None:
    node = ProxyNode()
    foreign = server("198.51.100.1:80/TCP")
    theirs: list[ServerStep] = [AddServer(foreign, Scheduling("wlc")), AddDestination(foreign, TWO)]
    wanted = replace(WEB, external_addresses=addresses("198.51.100.1"))
    live = LiveProxy(node)
    if when == "before":
        node.servers.apply(theirs)
        live.started(wanted, ONE_LESS)
    else:
        live.started()
        node.servers.apply(theirs)
        live.put(wanted, ONE_LESS)
    assert held(live)["198.51.100.1:80/TCP"] == {"10.0.1.2:80": 1}
    assert held(live)["10.96.0.10:80/TCP"] == {"10.0.0.1:80": 1}
    assert live.kernel.link.read() == frozenset(addresses("10.96.0.10"))
    message = "198.51.100.1:80/TCP is a virtual server of somebody else on this node"
    assert live.told == [(("shop", "web"), "spec.externalIPs", message)]
    assert live.metric("netpol_proxy_conflicts") == 1
    LiveProxy(node).started(wanted, ONE_LESS)
    assert held(live)["198.51.100.1:80/TCP"] == {"10.0.1.2:80": 1}
    node.servers.apply([RemoveServer(foreign)])
    live.step(SERVERS_PERIOD_SECONDS)
    assert held(live)["198.51.100.1:80/TCP"] == {"10.0.0.1:80": 1}
    assert live.kernel.link.read() == frozenset(addresses("10.96.0.10 198.51.100.1"))
    assert live.metric("netpol_notices", kind="Service") == 0


def test_what_another_proxy_left_is_taken_over() -> None:
    node = ProxyNode()
    node.link.ensure()
    node.link.bind(addresses("10.96.0.10 10.96.0.99"))
    node.servers.apply(
        [AddServer(server(each), Scheduling("wlc")) for each in ("10.96.0.10:80/TCP", "10.96.0.99:1/TCP")]
    )
    node.servers.apply([AddServer(NODE_PORT, Scheduling())])
    live = LiveProxy(node).started(WEB, ONE_LESS)
    assert held(live) == {"10.96.0.10:80/TCP": {"10.0.0.1:80": 1}, "192.0.2.1:30080/TCP": {"10.0.0.1:80": 1}}
    assert live.kernel.servers.read()[VIP].scheduling == Scheduling()
    assert live.kernel.link.read() == frozenset(addresses("10.96.0.10"))


# --- the node


def test_node_ports_follow_the_nodes_addresses(live: LiveProxy) -> None:
    live.put(replace(NODE, addresses=addresses("192.0.2.7")))
    assert "192.0.2.1:30080/TCP" not in held(live)
    assert held(live)["192.0.2.7:30080/TCP"] == {"10.0.0.1:80": 1, "10.0.1.2:80": 1}


def test_where_all_addresses_have_node_ports_a_new_one_has_them_too() -> None:
    live = LiveProxy(settings=ProxySettings(node_ports_on_all_addresses=True)).started(WEB, ONE_LESS)
    live.kernel.node_addresses.addresses = frozenset(addresses("192.0.2.1 203.0.113.5"))
    live.step()
    assert "203.0.113.5:30080/TCP" not in held(live)
    live.proxy.tell(LinkNews(has_moved=True))
    live.step()
    assert held(live)["203.0.113.5:30080/TCP"] == {"10.0.0.1:80": 1}
    live.kernel.node_addresses.addresses = frozenset(addresses("192.0.2.1"))
    live.step(SERVERS_PERIOD_SECONDS)
    assert "203.0.113.5:30080/TCP" not in held(live)
    assert live.metric("netpol_proxy_drift_mended_total") == 0


def test_a_scheduler_that_the_kernel_lacks_is_told_and_another_balances(live: LiveProxy) -> None:
    live.kernel.servers.schedulers.discard("mh")
    live.put(replace(WEB, scheduler="mh"))
    assert live.kernel.servers.read()[VIP].scheduling == Scheduling()
    assert [field for _, field, _ in live.told] == ["metadata.annotations[kube-router.io/service.scheduler]"]
    assert live.health.is_ready()
    live.kernel.servers.schedulers.add("mh")
    live.step(SERVERS_PERIOD_SECONDS)
    assert live.kernel.servers.read()[VIP].scheduling == Scheduling("mh")
    assert live.metric("netpol_notices", kind="Service") == 0


def test_it_is_known_whose_each_server_is(live: LiveProxy) -> None:
    assert live.proxy.services == {VIP: ("shop", "web"), NODE_PORT: ("shop", "web")}
    live.put(replace(WEB, ports=(replace(WEB.ports[0], node_port=None),)))
    assert live.proxy.services == {VIP: ("shop", "web")}
    live.drop(WEB)
    assert live.proxy.services == {}


def test_load_balancers_are_answered_and_a_port_that_is_taken_fails_nothing_else() -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))  # noqa: S104  whichever address, it is taken
        other.listen()
        port = other.getsockname()[1]
        live = LiveProxy()
        checked = replace(WEB, external_policy=TrafficPolicy.LOCAL, health_check_node_port=port)
        live.started(replace(checked, load_balancer_addresses=addresses("198.51.100.1")), WEB_SLICE)
        assert live.health.is_ready()
        assert live.health_checks.retry_wait_seconds() == RETRY_SECONDS
    live.step(after_seconds=RETRY_SECONDS)
    assert live.health_checks.retry_wait_seconds() is None
    with socket.create_connection(("127.0.0.1", port), timeout=5) as asking:
        asking.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b" 200 " in asking.recv(100)
    live.run(True)


# --- pauses


def test_it_wakes_for_what_drains_and_for_the_next_comparison(live: LiveProxy) -> None:
    assert live.run(False, False, False) == [1.0, 1.0, 1.0]
    live.kernel.servers.connect(VIP, TWO, active=1)
    live.put(ONE_LESS)
    assert live.run(False, True) == [1.0, 1.0]
