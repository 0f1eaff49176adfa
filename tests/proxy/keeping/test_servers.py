"""Which virtual servers there are, whose they are, and what becomes of those that the kernel does not take."""

from __future__ import annotations

import pytest
from live_proxy import FAMILIES
from proxy_builders import addresses, destination, endpoint, endpoint_slice, server, service
from proxy_facts import gone, put

from netpol.dataplane.memory.journal import Journal
from netpol.errors import KernelRefusal
from netpol.settings import ConnectionTimeouts, ProxySettings
from proxy.keeping.servers import KeptServers
from proxy.kernel.memory import MemoryServers
from proxy.model import AddDestination, AddServer, HeldDestination, RemoveServer, Scheduling, ServerDestination
from proxy.services.engine import ProxyEngine

WEB, FAR = service("shop/web", "10.96.0.10"), service("shop/far", "10.96.0.20", external="198.51.100.1")
WEB_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"), endpoint("10.0.0.2", "n1"))
LESS = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"))
HTTP, OUTSIDE = server("10.96.0.10:80/TCP"), server("198.51.100.1:80/TCP")
ONE, TWO = destination("10.0.0.1:80"), destination("10.0.0.2:80")


@pytest.fixture
def kernel() -> MemoryServers:
    return MemoryServers(Journal())


@pytest.fixture
def engine() -> ProxyEngine:
    engine = ProxyEngine("n1", FAMILIES, ProxySettings())
    engine.apply(put(WEB, WEB_SLICE))
    return engine


@pytest.fixture
def kept(kernel: MemoryServers, engine: ProxyEngine) -> KeptServers:
    return KeptServers(kernel, engine, addresses("10.96.0.66"), ProxySettings(timeouts=ConnectionTimeouts(udp=7)))


def bring(kept: KeptServers, engine: ProxyEngine, now: float = 0.0) -> None:
    """All servers become what services ask for."""
    keys = {*engine.servers, *kept.keys}
    plan = kept.plan(keys, kept.ended(now))
    kept.serve(keys, plan.steps)
    kept.follow(keys, plan.draining, now)
    kept.record(keys)


def test_what_is_served_is_known_without_asking(kernel: MemoryServers, kept: KeptServers, engine: ProxyEngine) -> None:
    bring(kept, engine)
    assert set(kept.keys) == kernel.read().keys() == {HTTP}
    kernel.apply([RemoveServer(HTTP)])
    assert set(kept.keys) == {HTTP}
    kept.read()
    assert set(kept.keys) == {HTTP}, "it is remembered to be ours"
    bring(kept, engine)
    assert kernel.read().keys() == {HTTP}


def test_what_nobody_asks_for_goes_where_it_is_ours(
    kernel: MemoryServers, kept: KeptServers, engine: ProxyEngine
) -> None:
    """Recorded; what else is at an address of the link, somebody made beside ours."""
    recorded, on_link, foreign = map(server, ("10.96.0.5:80/TCP", "10.96.0.66:80/TCP", "10.96.0.7:80/TCP"))
    kernel.apply(AddServer(each, Scheduling()) for each in (recorded, on_link, foreign))
    kept.recall([recorded])
    kept.read()
    bring(kept, engine)
    assert kernel.read().keys() == {HTTP, on_link, foreign}
    engine.apply(gone(WEB))
    bring(kept, engine)
    assert kernel.read().keys() == {on_link, foreign}


def test_where_nothing_is_recorded_what_is_at_addresses_of_the_link_is_ours(
    kernel: MemoryServers, kept: KeptServers, engine: ProxyEngine
) -> None:
    """As kube-router left it."""
    on_link, foreign = server("10.96.0.66:80/TCP"), server("10.96.0.7:80/TCP")
    kernel.apply(AddServer(each, Scheduling()) for each in (on_link, foreign))
    kept.recall([])
    kept.read()
    bring(kept, engine)
    assert kernel.read().keys() == {HTTP, foreign}


def test_an_address_where_others_have_a_server_is_theirs_at_every_port(
    kernel: MemoryServers, kept: KeptServers, engine: ProxyEngine
) -> None:
    beside = OUTSIDE._replace(port=OUTSIDE.port + 1)
    kernel.apply([AddServer(beside, Scheduling("wlc"))])
    engine.apply(put(FAR))
    kept.recall([HTTP])
    kept.read()
    bring(kept, engine)
    assert kept.conflicts == {OUTSIDE}
    assert OUTSIDE not in kernel.read()
    assert kernel.read()[beside].scheduling == Scheduling("wlc")
    kernel.apply([RemoveServer(beside)])
    kept.read()
    bring(kept, engine)
    assert kept.conflicts == frozenset()


def test_what_was_refused_and_is_asked_for_no_more_is_forgotten(
    kernel: MemoryServers, kept: KeptServers, engine: ProxyEngine
) -> None:
    kernel.schedulers.discard("rr")
    bring(kept, engine)
    assert kept.refused.keys() == {HTTP}
    engine.apply(gone(WEB))
    kept.read()
    bring(kept, engine)
    assert kept.refused == {}


def test_what_others_had_first_is_theirs_for_as_long_as_they_have_it(
    kernel: MemoryServers, kept: KeptServers, engine: ProxyEngine
) -> None:
    kernel.apply([AddServer(OUTSIDE, Scheduling("wlc"))])
    engine.apply(put(FAR))
    kept.look_for_others([OUTSIDE])
    bring(kept, engine)
    assert kept.conflicts == {OUTSIDE}
    assert kernel.read()[OUTSIDE].scheduling == Scheduling("wlc")
    kernel.apply([RemoveServer(OUTSIDE)])
    kept.look_for_others([OUTSIDE])
    bring(kept, engine)
    assert kept.conflicts == frozenset()
    assert kernel.read()[OUTSIDE].scheduling == Scheduling("rr")


def test_who_made_a_cluster_ip_is_not_asked(kernel: MemoryServers, kept: KeptServers, engine: ProxyEngine) -> None:
    kernel.apply([AddServer(HTTP, Scheduling("wlc"))])
    kept.look_for_others([HTTP])
    assert set(kept.keys) == set()


def test_one_that_is_refused_keeps_no_other_from_being_served(
    kernel: MemoryServers, kept: KeptServers, engine: ProxyEngine
) -> None:
    kernel.schedulers.discard("rr")
    steps = (AddServer(HTTP, Scheduling()), AddServer(OUTSIDE, Scheduling("lc")), AddDestination(OUTSIDE, ONE))
    kept.serve([HTTP, OUTSIDE], steps)
    assert kept.refused.keys() == {HTTP}
    assert "the kernel has no scheduler rr" in kept.refused[HTTP]
    assert kernel.read().keys() == {OUTSIDE}
    kernel.schedulers.add("rr")
    bring(kept, engine)
    assert kept.refused == {}
    assert kernel.read()[HTTP].destinations.keys() == {ONE, TWO}


def test_one_that_cannot_be_removed_is_ours_still(
    kernel: MemoryServers, kept: KeptServers, engine: ProxyEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(kept, engine)
    engine.apply(gone(WEB))

    def refuse(steps: object) -> None:
        raise KernelRefusal(f"not {steps}")

    with monkeypatch.context() as patch:
        patch.setattr(kernel, "apply", refuse)
        bring(kept, engine)
    assert kept.refused.keys() == {HTTP}
    assert set(kept.keys) == {HTTP}
    bring(kept, engine)
    assert (kept.refused, kernel.read()) == ({}, {})


def test_an_endpoint_drains_until_its_connections_end(
    kernel: MemoryServers, kept: KeptServers, engine: ProxyEngine
) -> None:
    bring(kept, engine)
    kernel.connect(HTTP, TWO, active=1)
    engine.apply(put(LESS))
    bring(kept, engine, 10.0)
    assert (kept.draining, kept.with_draining, kept.next_look(10.0)) == (1, frozenset({HTTP}), 1.0)
    assert kernel.read()[HTTP].destinations == {ONE: HeldDestination(), TWO: HeldDestination(weight=0)}
    assert kept.ended(11.0) == frozenset()
    kernel.connect(HTTP, TWO)
    assert kept.ended(12.0) == {ServerDestination(HTTP, TWO)}
    bring(kept, engine, 12.0)
    assert (kept.draining, kept.next_look(12.0)) == (0, None)
    assert kernel.read()[HTTP].destinations.keys() == {ONE}


def test_time_outs_are_set_once_and_then_left_to_whoever_sets_them(kernel: MemoryServers, kept: KeptServers) -> None:
    kept.set_timeouts()
    assert kernel.timeouts == ConnectionTimeouts(udp=7)
    kernel.set_timeouts(ConnectionTimeouts(udp=9))
    kept.set_timeouts()
    assert kernel.timeouts == ConnectionTimeouts(udp=9)


def test_the_kernel_is_asked_for_schedulers(kept: KeptServers) -> None:
    assert (kept.offers("rr"), kept.offers("nonsense")) == (True, False)
