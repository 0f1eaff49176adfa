"""Services whose endpoints answer directly: marks, routes and tunnels, and the order they come in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from live_proxy import LiveProxy
from proxy_builders import addresses, endpoint, endpoint_slice, service

from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from proxy.model import ServerMark

WEB = service("shop/web", "10.96.0.10", ports="80:30080/TCP")
WEB_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"), endpoint("10.0.1.2", "n2"))
DIRECT = replace(service("shop/far", external="198.51.100.9", cluster="10.96.0.20"), direct_return=True)
DIRECT_SLICE = endpoint_slice("shop/far-1", "far", endpoint("10.0.0.7", "n1"))


def test_marks_and_tunnels_that_others_took_away_are_there_again() -> None:
    live = LiveProxy().started(DIRECT, DIRECT_SLICE)
    before = live.kernel.tunnels.marks, dict(live.kernel.tunnels.opened)
    live.kernel.tunnels.remove()
    live.step(after_seconds=5)
    assert (live.kernel.tunnels.marks, live.kernel.tunnels.opened) == before


def test_direct_return_has_marks_routes_and_tunnels() -> None:
    live = LiveProxy().started(DIRECT, DIRECT_SLICE)
    (mark,) = live.kernel.tunnels.marks
    assert [str(key) for key in live.kernel.servers.read()] == ["10.96.0.20:80/TCP", f"mark {mark:#x} of IPv4"]
    assert live.kernel.tunnels.opened == {addresses("10.0.0.7")[0]: frozenset(addresses("198.51.100.9"))}
    assert live.kernel.seen.mangle.read(Family.IPV4).chains["NETPOL-SERVICE-PREROUTING"]
    live.drop(DIRECT)
    assert (live.kernel.tunnels.marks, live.kernel.tunnels.opened) == (frozenset(), {})
    assert live.kernel.seen.mangle.read(Family.IPV4).chains["NETPOL-SERVICE-PREROUTING"] == ()


def test_no_packet_gets_a_mark_before_ipvs_serves_it_nor_after() -> None:
    """It would come to the node itself, and to whatever listens there."""
    live = LiveProxy().started(WEB, WEB_SLICE)
    before = live.operations
    live.put(DIRECT, DIRECT_SLICE)
    done = live.since(before)
    (served,) = (number for number, each in enumerate(done) if each.startswith("add mark") and "->" in each)
    (marked,) = (number for number, each in enumerate(done) if each.startswith("write") and "mangle" in each)
    assert served < marked
    before = live.operations
    live.drop(DIRECT)
    done = live.since(before)
    (marked,) = (number for number, each in enumerate(done) if each.startswith("write") and "mangle" in each)
    (removed,) = (number for number, each in enumerate(done) if each.startswith("remove mark"))
    assert marked < removed


def test_what_ipvs_refuses_gets_no_mark_until_it_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveProxy().started(WEB, WEB_SLICE)
    enter = live.kernel.journal.enter

    def refuse(operation: str) -> None:
        if operation.startswith("add mark"):
            raise KernelRefusal(f"{operation}: no memory")
        enter(operation)

    with monkeypatch.context() as patch:
        patch.setattr(live.kernel.journal, "enter", refuse)
        live.put(DIRECT, DIRECT_SLICE)
    (mark,) = (key for key in live.engine.servers if isinstance(key, ServerMark))
    assert live.kernel.seen.mangle.read(Family.IPV4).chains["NETPOL-SERVICE-PREROUTING"] == ()
    assert list(live.programming.refused) == [mark]
    live.retry()
    assert len(live.kernel.seen.mangle.read(Family.IPV4).chains["NETPOL-SERVICE-PREROUTING"]) == 1


def test_a_pod_that_cannot_answer_directly_is_told_and_tried_again() -> None:
    live = LiveProxy()
    live.kernel.tunnels.reachable = lambda _: False
    live.started(DIRECT, DIRECT_SLICE)
    assert [(name, field) for name, field, _ in live.told] == [
        (("shop", "far"), "metadata.annotations[kube-router.io/service.dsr]")
    ]
    assert "no tunnel can be opened in pod 10.0.0.7" in live.told[0][2]
    assert live.metric("netpol_proxy_unreachable") == 1
    assert live.health.is_ready()
    live.kernel.tunnels.reachable = lambda _: True
    live.step(after_seconds=5)
    assert live.kernel.tunnels.opened
    assert live.metric("netpol_notices", kind="Service") == 0
