"""The order in which services come to the kernel, and what is read of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from builders import address
from live_proxy import FAMILIES, LiveProxy, ProxyNode
from proxy_breaches import breaches, ports
from proxy_builders import addresses, destination, endpoint, endpoint_slice, server, service
from proxy_facts import Told, put

from netpol.dataplane.kernel import Flow
from netpol.dataplane.memory.tables import MemoryTables
from netpol.errors import KernelRefusal
from netpol.model.facts import PROXY_KINDS
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from netpol.settings import ConnectionTimeouts, ProxySettings
from proxy.model import AddDestination, AddServer, RemoveServer, Scheduling, ServerStep
from proxy.programming import Programming
from proxy.services.engine import ProxyEngine, Touched

WEB = service("shop/web", "10.96.0.10", ports="80:30080/TCP")
WEB_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"), endpoint("10.0.1.2", "n2"))
LESS = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"))
DNS = service("kube-system/dns", "10.96.0.2", ports="53:30053/UDP")
DNS_SLICE = endpoint_slice("kube-system/dns-1", "dns", endpoint("10.0.0.53", "n1"), ports="53/UDP")
SOME = service("shop/web", "10.96.0.10", ports="80:30081/TCP", load_balancer="198.51.100.2", sources="203.0.113.0/24")
FOR_ALL = replace(SOME, source_ranges=None)
DIRECT = replace(service("shop/far", external="198.51.100.9", cluster="10.96.0.20"), direct_return=True)
DIRECT_SLICE = endpoint_slice("shop/far-1", "far", endpoint("10.0.0.7", "n1"))


def test_it_goes_behind_a_firewall_that_came_meanwhile_before_anything_is_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """X5: what is let in there is judged by the firewall first, or not at all."""
    node = ProxyNode()
    live = LiveProxy(node)
    firewall = MemoryTables.write
    hooked = "-I INPUT 1 -m comment --comment firewall -j NETPOL-INPUT"
    orders: list[tuple[str, ...]] = []

    def write(tables: MemoryTables, family: Family, lines: Sequence[str]) -> None:
        if not orders:
            firewall(node.memory.tables, family, [":NETPOL-INPUT - [0:0]", hooked])
        firewall(tables, family, lines)
        orders.append(tuple(rule.rpartition(" ")[2] for rule in node.memory.tables.rules(family, "INPUT")))

    monkeypatch.setattr(MemoryTables, "write", write)
    live.announce(PROXY_KINDS, WEB, WEB_SLICE)
    live.step()
    assert orders[0] == ("NETPOL-SERVICE-INPUT", "NETPOL-INPUT")
    assert orders[1] == ("NETPOL-INPUT", "NETPOL-SERVICE-INPUT")
    assert live.programming.is_certain
    added = [number for number, each in enumerate(live.operations) if "NETPOL-SERVICE-SERVED-4" in each]
    written = [number for number, each in enumerate(live.operations) if each.startswith("write") and "nat" not in each]
    assert written[2] < added[-1]


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
def test_what_is_older_than_a_server_is_forgotten_before_that_is_there(protocol: Protocol) -> None:
    """X5: conntrack takes it for judged, and a crash in between would leave it so."""
    live = LiveProxy().started()
    key = server(f"10.96.0.2:53/{protocol.value}")
    older = Flow(address("10.0.0.9"), key.address, protocol, 53, b"older")
    live.kernel.memory.flows.open(Family.IPV4, older)
    before = live.operations
    live.put(service("x/dns", "10.96.0.2", ports=f"53/{protocol.value}"))
    done = live.since(before)
    assert done.index("bind 10.96.0.2") < done.index("delete flow 10.0.0.9 to 10.96.0.2") < done.index(f"add {key} rr")
    assert live.metric("netpol_proxy_flows_forgotten_total") == 1


def test_who_may_not_come_in_is_kept_out_before_others_are_let_in() -> None:
    live = LiveProxy().started(FOR_ALL, WEB_SLICE)
    before = live.operations
    live.put(SOME)
    assert live.since(before) == [
        "add 198.51.100.2,tcp:80 to NETPOL-SERVICE-RESTRICTED-4",
        "add 198.51.100.2,tcp:80,203.0.113.0/24 to NETPOL-SERVICE-SOURCES-4",
    ]


PHASES = {
    "OWNED": "recorded",
    "ADDRESSES": "recorded",
    "EMPTY": "refused",
    "SERVED": "let in",
    "NETPOL-SERVICES": "let in",
    "unbind": "unbound",
    "bind": "bound",
    "->": "endpoint",
    "TCP rr": "server",
    "remove": "server gone",
}


def phases(operations: Iterable[str]) -> list[str]:
    """What kinds of operations there were, in the order in which the first of each came."""
    return list(dict.fromkeys(next(PHASES[each] for each in PHASES if each in word) for word in operations))


def test_a_service_comes_in_this_order() -> None:
    live = LiveProxy().started(LESS)
    before = live.operations
    live.put(WEB)
    assert phases(live.since(before)) == ["recorded", "bound", "server", "endpoint", "let in"]


def test_a_service_goes_in_this_order() -> None:
    live = LiveProxy().started(WEB, LESS)
    before = live.operations
    live.drop(WEB)
    assert phases(live.since(before)) == ["let in", "server gone", "unbound", "recorded"]


def test_the_last_endpoint_goes_where_new_clients_are_refused_already() -> None:
    live = LiveProxy().started(WEB, LESS)
    before = live.operations
    live.drop(LESS)
    grown, gone = live.since(before)[:2], live.since(before)[2:]
    assert sorted(grown) == [
        "add 10.96.0.10,tcp:80 to NETPOL-SERVICE-EMPTY-4",
        "add 192.0.2.1,tcp:30080 to NETPOL-SERVICE-EMPTY-4",
    ]
    assert gone == [
        "edit 10.96.0.10:80/TCP -> 10.0.0.1:80 0",
        "edit 192.0.2.1:30080/TCP -> 10.0.0.1:80 0",
    ]


def test_the_first_endpoint_is_there_before_clients_are_refused_no_more() -> None:
    live = LiveProxy().started(WEB)
    before = live.operations
    live.put(LESS)
    come, shrunk = live.since(before)[:2], live.since(before)[2:]
    assert come == ["add 10.96.0.10:80/TCP -> 10.0.0.1:80 1", "add 192.0.2.1:30080/TCP -> 10.0.0.1:80 1"]
    assert sorted(shrunk) == [
        "remove 10.96.0.10,tcp:80 from NETPOL-SERVICE-EMPTY-4",
        "remove 192.0.2.1,tcp:30080 from NETPOL-SERVICE-EMPTY-4",
    ]


def test_clients_wait_while_a_scheduler_is_switched() -> None:
    live = LiveProxy().started(WEB, WEB_SLICE)
    before = live.operations
    live.put(replace(WEB, scheduler="lc"))
    done = live.since(before)
    assert sorted(done[:2]) == [
        "add 10.96.0.10,tcp:80 to NETPOL-SERVICE-SWITCHING-4",
        "add 192.0.2.1,tcp:30080 to NETPOL-SERVICE-SWITCHING-4",
    ]
    assert [each.split()[0] for each in done[2:]] == ["edit", "edit", "remove", "remove"]
    assert not live.kernel.seen.sets.read()["NETPOL-SERVICE-SWITCHING-4"].members


def test_a_service_without_endpoints_refuses_before_it_is_there_and_until_it_is_gone() -> None:
    live = LiveProxy().started()
    before = live.operations
    live.put(WEB)
    assert phases(live.since(before)) == ["recorded", "refused", "bound", "server", "let in"]
    before = live.operations
    live.drop(WEB)
    assert phases(live.since(before)) == ["let in", "server gone", "unbound", "recorded", "refused"]


def test_what_others_serve_is_not_refused() -> None:
    node, asked = ProxyNode(), service("shop/web", "10.96.0.10", external="198.51.100.2")
    node.servers.apply([AddServer(server("198.51.100.2:80/TCP"), Scheduling())])
    LiveProxy(node).started(asked)
    empty = node.seen.sets.read()["NETPOL-SERVICE-EMPTY-4"].members
    assert {(each.packed, each.port) for each in ports(empty)} == {(address("10.96.0.10").packed, 80)}


def test_a_first_endpoint_that_the_kernel_refuses_leaves_the_service_refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveProxy().started(WEB)
    before = live.kernel.seen.sets.read()["NETPOL-SERVICE-EMPTY-4"].members
    assert len(before) == 2

    def refuse(_steps: Sequence[ServerStep]) -> None:
        raise KernelRefusal("no room")

    with monkeypatch.context() as patch:
        patch.setattr(live.kernel.servers, "apply", refuse)
        live.put(LESS)
        assert live.kernel.seen.sets.read()["NETPOL-SERVICE-EMPTY-4"].members == before
    live.retry()
    assert live.kernel.seen.sets.read()["NETPOL-SERVICE-EMPTY-4"].members == frozenset()


# --- direct return


# --- by itself


def programming(
    node: ProxyNode, settings: ProxySettings, *objects: Told, families: tuple[Family, ...] = FAMILIES
) -> tuple[ProxyEngine, Programming]:
    engine = ProxyEngine("n1", families, settings)
    engine.apply(put(*objects))
    return engine, Programming(engine, node.writers(), settings)


def test_what_is_not_certain_cannot_be_changed_or_looked_at() -> None:
    _, unsure = programming(ProxyNode(), ProxySettings(), WEB)
    assert not unsure.is_certain
    with pytest.raises(RuntimeError, match="it is not known what the kernel holds"):
        unsure.change(Touched(), 0.0)
    with pytest.raises(RuntimeError, match="it is not known what the kernel holds"):
        unsure.look(0.0)


def test_what_is_doubted_is_compared_as_a_whole() -> None:
    node = ProxyNode()
    _, sure = programming(node, ProxySettings(), WEB, LESS)
    sure.converge(0.0)
    assert node.seen.tables.read(Family.IPV4).chains
    node.seen.nat.write(Family.IPV4, [":NETPOL-SERVICE-KEEP - [0:0]", ":NETPOL-SERVICE-POSTROUTING - [0:0]"])
    assert sure.set_out(1.0).steps == 0
    sure.doubt()
    assert sure.converge(2.0).chains == 1


def test_sets_of_a_family_that_is_no_longer_served_go() -> None:
    node = ProxyNode()
    _, both = programming(node, ProxySettings(), WEB, LESS, families=tuple(Family))
    both.converge(0.0)
    _, one = programming(node, ProxySettings(), WEB, LESS)
    one.converge(1.0)
    assert {each.family for each in node.seen.sets.read().values()} == {Family.IPV4}
    assert node.seen.tables.read(Family.IPV6).chains == {}


def test_timeouts_are_set_once_where_any_is_asked_for() -> None:
    node = ProxyNode()
    _, sure = programming(node, ProxySettings(timeouts=ConnectionTimeouts(tcp=60)), WEB)
    sure.converge(0.0)
    assert node.servers.timeouts.tcp == 60
    before = list(node.journal.operations)
    sure.converge(1.0)
    assert node.journal.operations == before


def test_an_outcome_says_what_was_done() -> None:
    _, sure = programming(ProxyNode(), ProxySettings(), WEB, LESS)
    words = str(sure.converge(0.0))
    assert words.startswith("1 servers added, 1 endpoints added,")
    assert "1 addresses bound, 1 links set up, 3 kernel settings mended" in words


def test_servers_of_others_in_between_are_seen_at_the_event() -> None:
    node = ProxyNode()
    engine, sure = programming(node, ProxySettings())
    sure.converge(0.0)
    taken = server("198.51.100.1:80/TCP")
    node.servers.apply([AddServer(taken, Scheduling("wlc")), AddDestination(taken, destination("10.0.9.9:80"))])
    touched = engine.apply(put(replace(WEB, external_addresses=addresses("198.51.100.1")), LESS))
    sure.change(touched, 1.0)
    assert sure.conflicts == {taken}
    assert node.servers.read()[taken].scheduling == Scheduling("wlc")
    assert taken.address not in (node.link.read() or ())
    node.servers.apply([RemoveServer(taken)])
    sure.change(engine.apply(put(WEB_SLICE)), 2.0)
    assert sure.conflicts == frozenset()
    both = {destination("10.0.0.1:80"), destination("10.0.1.2:80")}
    assert node.servers.read()[taken].destinations.keys() == both
    assert taken.address in (node.link.read() or ())
    assert breaches(node) == []
    before = list(node.journal.operations)
    assert sure.converge(3.0).steps == 0
    assert node.journal.operations == before
