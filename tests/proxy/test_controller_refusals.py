"""The service controller of a kernel that refuses: what is there goes on serving, and it recovers by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from live_proxy import LiveProxy, ProxyNode
from proxy_builders import addresses, endpoint, endpoint_slice, server, service
from proxy_facts import Told

from netpol.compiler.ruleset import AddressPort, IpSet
from netpol.dataplane.kernel import KernelTable
from netpol.errors import KernelRefusal
from netpol.model.networks import Address, Family
from netpol.model.services import TrafficPolicy
from netpol.schedule import LONGEST_RETRY_SECONDS
from proxy.controller import PART
from proxy.kernel.node_addresses import LinkNews
from proxy.model import AddDestination, HeldServer, ServerKey, ServerStep

WEB = service("shop/web", "10.96.0.10", ports="80:30080/TCP", external="198.51.100.1")
WEB_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"), endpoint("10.0.1.2", "n2"))
MOVED_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"), endpoint("10.0.1.3", "n2"))
ONE_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"))
DNS = service("kube-system/dns", "10.96.0.2", ports="53/UDP")
DNS_SLICE = endpoint_slice("kube-system/dns-1", "dns", endpoint("10.0.0.53", "n1"), ports="53/UDP")
WORLD = (WEB, WEB_SLICE, DNS, DNS_SLICE)
NARROW = replace(WEB, external_addresses=(), load_balancer_addresses=addresses("198.51.100.2"))

CHANGES: dict[str, tuple[Told, ...]] = {
    "endpoints": (MOVED_SLICE,),
    "addresses and a scheduler": (replace(NARROW, scheduler="lc"),),
    "who may come in": (replace(NARROW, source_ranges=frozenset()),),
    "whose address is kept": (replace(WEB, external_policy=TrafficPolicy.LOCAL),),
    "another service": (
        service("shop/new", "10.96.0.11", ports="80:30081/TCP"),
        endpoint_slice("shop/new-1", "new", endpoint("10.0.0.9", "n1")),
    ),
}


@pytest.fixture(name="live")
def _live() -> LiveProxy:
    return LiveProxy().started(*WORLD)


Everything = tuple[
    dict[ServerKey, HeldServer], frozenset[Address] | None, dict[str, IpSet], list[KernelTable], dict[str, str]
]


def everything(node: ProxyNode) -> Everything:
    """All that the kernel holds, but for what has no place in it."""
    tables = [table.read(Family.IPV4) for table in (node.seen.tables, node.seen.nat, node.seen.mangle)]
    return (dict(node.servers.read()), node.link.read(), dict(node.seen.sets.read()), tables, node.sysctls.values)


def settled(live: LiveProxy) -> Everything:
    """What the kernel holds once nothing drains any more."""
    live.step(after_seconds=60)
    live.step(after_seconds=1)
    assert live.metric("netpol_proxy_draining") == 0
    return everything(live.kernel)


@pytest.mark.parametrize("change", CHANGES)
def test_a_refusal_of_any_operation_leaves_the_kernel_right_in_the_end(change: str) -> None:
    live = LiveProxy().started(*WORLD)
    before = len(live.operations)
    live.put(*CHANGES[change])
    count, wanted = len(live.operations) - before, settled(live)
    assert count
    for number in range(count):
        live = LiveProxy().started(*WORLD)
        live.kernel.journal.refuse(after=number)
        live.put(*CHANGES[change])
        live.retry()
        assert live.metric("netpol_proxy_in_sync") == 1
        assert live.health.is_ready()
        assert settled(live) == wanted


def test_the_first_programming_is_retried_as_well() -> None:
    whole = LiveProxy().started(*WORLD)
    wanted = everything(whole.kernel)
    for number in range(len(whole.operations)):
        live = LiveProxy()
        live.kernel.journal.refuse(after=number)
        live.started(*WORLD)
        live.retry()
        assert everything(live.kernel) == wanted
        assert live.first_times == 1


@contextmanager
def locked(live: LiveProxy) -> Iterator[None]:
    """Inside, the kernel refuses every write."""

    def refuse(operation: str) -> None:
        raise KernelRefusal(f"{operation}: no memory")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live.kernel.journal, "enter", refuse)
        yield


def test_pauses_grow_while_it_fails_and_nothing_is_tried_in_between(live: LiveProxy) -> None:
    pauses = []
    with locked(live):
        live.put(NARROW)
        for failures in range(1, 13):
            pauses.append(live.wait_seconds())
            live.step(after_seconds=pauses[-1] * 0.9)
            assert live.metric("netpol_proxy_sync_failures_total") == failures
            live.step(after_seconds=pauses[-1] * 0.11)
            assert live.metric("netpol_proxy_sync_failures_total") == failures + 1
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_RETRY_SECONDS
    live.retry(most=1)


def test_what_is_there_goes_on_while_it_fails_and_facts_are_not_lost(live: LiveProxy) -> None:
    held = everything(live.kernel)
    with locked(live):
        live.drop(WEB, DNS)
        live.put(WEB, MOVED_SLICE)
        for _ in range(5):
            live.step(after_seconds=10)
        assert everything(live.kernel) == held
    live.retry(most=1)
    assert {str(key) for key in live.kernel.servers.read()} == {
        "10.96.0.10:80/TCP",
        "192.0.2.1:30080/TCP",
        "198.51.100.1:80/TCP",
    }
    assert {str(each) for each in live.kernel.servers.read()[server("10.96.0.10:80/TCP")].destinations} == {
        "10.0.0.1:80",
        "10.0.1.2:80",
        "10.0.1.3:80",
    }


def test_a_failure_degrades_health_and_a_success_mends_it(live: LiveProxy) -> None:
    with locked(live):
        live.put(NARROW)
        assert live.health.is_ready(), "for a moment that is no news"
        assert f"{PART}: failing" in live.health.readiness().text
        assert live.metric("netpol_proxy_in_sync") == 0
        for _ in range(10):
            live.step(after_seconds=live.wait_seconds())
        assert not live.health.is_ready()
        assert live.health.is_alive(), "a restart would not mend it"
    live.retry(most=1)
    assert live.health.is_ready()
    assert "failing" not in live.health.readiness().text


# --- one server that the kernel does not take


@contextmanager
def without(live: LiveProxy, text: str) -> Iterator[None]:
    """Inside, the kernel refuses whatever is done to this server."""
    apply = live.kernel.servers.apply

    def refuse(steps: list[ServerStep]) -> None:
        apply(step for step in steps if str(step.key) != text)
        if any(str(step.key) == text for step in steps):
            raise KernelRefusal(f"virtual server {text} cannot be added: the kernel does not know SCTP")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live.kernel.servers, "apply", refuse)
        yield


def members(live: LiveProxy, name: str) -> set[int]:
    """The ports that the set names."""
    return {getattr(each, "port", 0) for each in live.kernel.seen.sets.read()[name].members}


def test_a_server_that_the_kernel_does_not_take_keeps_no_other_from_being_served(live: LiveProxy) -> None:
    odd = service("shop/odd", "10.96.0.77", ports="77/SCTP")
    with without(live, "10.96.0.77:77/SCTP"):
        live.put(odd)
        assert live.metric("netpol_proxy_refused") == 1
        assert f"{PART}: failing for 0 s: virtual server 10.96.0.77:77/SCTP" in live.health.readiness().text
        assert 77 in members(live, "NETPOL-SERVICE-OWNED-4"), "it may have been made all the same"
        assert 77 not in members(live, "NETPOL-SERVICES-4"), "nobody is let in to what is not served"
        new = service("shop/new", "10.96.0.11", ports="81/TCP")
        live.put(new)
        assert server("10.96.0.11:81/TCP") in live.kernel.servers.read()
        assert 81 in members(live, "NETPOL-SERVICES-4")
        assert live.metric("netpol_proxy_in_sync") == 0
        assert f"{PART}: failing" in live.health.readiness().text, "that another is served mends nothing"
        live.step(live.wait_seconds())
        assert live.metric("netpol_proxy_sync_failures_total") == 2
        assert live.metric("netpol_proxy_drift_mended_total") == 0
    live.retry(most=1)
    assert 77 in members(live, "NETPOL-SERVICES-4")
    assert live.metric("netpol_proxy_refused") == 0
    assert live.metric("netpol_proxy_in_sync") == 1


def test_an_address_that_the_kernel_does_not_take_keeps_no_other_from_being_served(live: LiveProxy) -> None:
    (refused,) = addresses("10.96.0.11")
    live.kernel.link.refusing.add(refused)
    live.put(*CHANGES["another service"], service("shop/more", "10.96.0.12"))
    assert live.kernel.link.read() == frozenset(addresses("10.96.0.2 10.96.0.10 10.96.0.12 198.51.100.1"))
    served = live.kernel.seen.sets.read()["NETPOL-SERVICE-SERVED-4"].members
    let_in = {each.packed for each in served if isinstance(each, AddressPort)}
    assert refused.packed not in let_in
    assert addresses("10.96.0.12")[0].packed in let_in
    assert {str(key): why for key, why in live.programming.refused.items()} == {
        "10.96.0.11:80/TCP": "address 10.96.0.11 cannot be bound to kube-dummy-if: Permission denied"
    }
    assert (live.metric("netpol_proxy_refused"), live.metric("netpol_proxy_in_sync")) == (1, 0)
    live.put(MOVED_SLICE)
    assert live.programming.refused
    live.kernel.link.refusing.clear()
    live.retry()
    world = WEB, MOVED_SLICE, DNS, DNS_SLICE, *CHANGES["another service"], service("shop/more", "10.96.0.12")
    assert settled(live) == everything(LiveProxy().started(*world).kernel)
    assert (live.metric("netpol_proxy_refused"), live.metric("netpol_proxy_in_sync")) == (0, 1)


def test_a_service_whose_address_was_refused_goes_without_a_trace(live: LiveProxy) -> None:
    live.kernel.link.refusing.update(addresses("10.96.0.11"))
    wanted = everything(live.kernel)
    live.put(*CHANGES["another service"])
    live.drop(*CHANGES["another service"])
    assert live.programming.refused == {}
    assert settled(live) == wanted


def test_a_server_that_cannot_be_removed_is_still_recorded_and_goes_later(live: LiveProxy) -> None:
    with without(live, "192.0.2.1:30080/TCP"):
        live.drop(WEB)
        assert server("192.0.2.1:30080/TCP") in live.kernel.servers.read()
        assert 30080 in members(live, "NETPOL-SERVICE-OWNED-4")
        assert 30080 not in members(live, "NETPOL-SERVICES-4")
    again = LiveProxy(live.kernel).started(DNS, DNS_SLICE)
    assert {str(key) for key in again.kernel.servers.read()} == {"10.96.0.2:53/UDP"}
    assert 30080 not in members(again, "NETPOL-SERVICE-OWNED-4")


def test_of_a_server_that_was_refused_in_part_it_is_known_which_part(live: LiveProxy) -> None:
    apply = live.kernel.servers.apply

    def refuse(steps: list[ServerStep]) -> None:
        apply(step for step in steps if not isinstance(step, AddDestination))
        if any(isinstance(step, AddDestination) for step in steps):
            raise KernelRefusal("no memory")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live.kernel.servers, "apply", refuse)
        live.put(MOVED_SLICE)
    before = live.operations
    live.put(ONE_SLICE)
    assert live.since(before) == []
    assert live.metric("netpol_proxy_in_sync") == 1


def test_what_was_taken_while_the_nodes_addresses_could_not_be_read_is_not_lost(live: LiveProxy) -> None:
    def refuse() -> frozenset[Address]:
        raise KernelRefusal("addresses cannot be read: the kernel did not answer")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live.kernel.node_addresses, "read", refuse)
        live.proxy.tell(LinkNews(has_moved=True))
        live.put(NARROW)
        assert live.metric("netpol_proxy_sync_failures_total") == 1
        assert "198.51.100.2" not in {str(each) for each in live.kernel.link.read() or ()}
    live.retry(most=1)
    assert "198.51.100.2" in {str(each) for each in live.kernel.link.read() or ()}
    assert live.metric("netpol_proxy_drift_mended_total") == 0
