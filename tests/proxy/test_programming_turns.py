"""Servers are compared by turns: a change waits for a few of them, not for all."""

from __future__ import annotations

import pytest
from live_proxy import SERVERS_PERIOD_SECONDS, LiveProxy
from proxy_builders import destination, endpoint, endpoint_slice, server, service
from proxy_facts import Told

from netpol.errors import KernelRefusal
from proxy.controller import Extent
from proxy.kernel.memory import MemoryServers
from proxy.model import AddServer, EditDestination, RemoveServer, Scheduling, ServerKey

MANY = 100


def _services(count: int = MANY) -> list[Told]:
    """So many services, with an endpoint each."""
    return [
        each
        for number in range(count)
        for each in (
            service(f"shop/web-{number}", f"10.96.0.{number}"),
            endpoint_slice(f"shop/web-{number}", f"web-{number}", endpoint(f"10.0.0.{number}", "n1")),
        )
    ]


FIRST, LAST = server("10.96.0.0:80/TCP"), server("10.96.0.99:80/TCP")
ONE_MORE = endpoint_slice("shop/web-0", "web-0", endpoint("10.0.0.0", "n1"), endpoint("10.0.1.1", "n2"))


@pytest.fixture(name="live")
def _live() -> LiveProxy:
    return LiveProxy().started(*_services())


def finish(live: LiveProxy) -> int:
    """How many steps it took until nothing is under way any more."""
    steps = 0
    while live.programming.is_comparing:
        live.step()
        steps += 1
    return steps


def test_no_turn_reads_more_than_a_few_and_all_read_each_server_once(
    live: LiveProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[ServerKey] = []
    one = MemoryServers.read_one

    def read_one(servers: MemoryServers, key: ServerKey) -> object:
        read.append(key)
        return one(servers, key)

    monkeypatch.setattr(MemoryServers, "read_one", read_one)
    live.step(SERVERS_PERIOD_SECONDS)
    assert len(read) == 16
    assert finish(live) == 6
    assert len(read) == len(set(read)) == MANY
    assert live.metric("netpol_proxy_drift_mended_total") == 0


def test_a_change_is_in_the_kernel_before_all_are_compared(live: LiveProxy) -> None:
    live.step(SERVERS_PERIOD_SECONDS)
    live.put(ONE_MORE)
    assert live.programming.is_comparing
    held = live.kernel.servers.read()[FIRST]
    assert set(held.destinations) == {destination("10.0.0.0:80"), destination("10.0.1.1:80")}
    finish(live)
    assert live.kernel.servers.read()[FIRST] == held


def test_it_does_not_wait_while_there_are_some_left(live: LiveProxy) -> None:
    live.step(SERVERS_PERIOD_SECONDS)
    assert live.run(True) == [0.0]
    finish(live)
    (wait,) = live.run(True)
    assert wait > 0.0


def test_what_others_did_to_any_of_them_is_mended_told_and_counted_once(
    live: LiveProxy, caplog: pytest.LogCaptureFixture
) -> None:
    live.kernel.servers.apply([RemoveServer(LAST), EditDestination(FIRST, destination("10.0.0.0:80"), 5)])
    before = live.kernel.servers.read()
    live.step(SERVERS_PERIOD_SECONDS)
    finish(live)
    held = live.kernel.servers.read()
    assert before[FIRST].destinations[destination("10.0.0.0:80")].weight == 5
    assert held[FIRST].destinations[destination("10.0.0.0:80")].weight == 1
    assert set(held[LAST].destinations) == {destination("10.0.0.99:80")}
    (said,) = (each for each in caplog.records if "somebody else" in each.message)
    expected = "1 servers added, 1 endpoints added, 1 endpoints weighted anew"
    assert sorted(str(vars(said)["netpol_fields"]["mended"]).split(", ")) == sorted(expected.split(", "))
    assert live.metric("netpol_proxy_drift_mended_total") == 3


def test_a_server_of_others_that_came_meanwhile_stays(live: LiveProxy) -> None:
    other = server("192.0.2.77:80/TCP")
    live.kernel.servers.apply([AddServer(other, Scheduling("lc"))])
    live.step(SERVERS_PERIOD_SECONDS)
    finish(live)
    assert live.kernel.servers.read()[other].scheduling == Scheduling("lc")


def test_a_service_that_goes_between_two_turns_stays_gone(live: LiveProxy) -> None:
    live.step(SERVERS_PERIOD_SECONDS)
    live.drop(service("shop/web-99", "10.96.0.99"))
    finish(live)
    assert LAST not in live.kernel.servers.read()
    assert len(live.kernel.servers.read()) == MANY - 1
    assert live.metric("netpol_proxy_drift_mended_total") == 0


def test_an_alarm_between_two_turns_is_heard_when_they_are_done(live: LiveProxy) -> None:
    live.step(SERVERS_PERIOD_SECONDS)
    live.kernel.servers.apply([RemoveServer(FIRST)])
    live.proxy.alarm(Extent.SERVERS)
    finish(live)
    live.step()
    assert live.wait_seconds() == pytest.approx(1.0)
    live.step(after_seconds=1.0)
    finish(live)
    assert FIRST in live.kernel.servers.read()


def test_after_a_refusal_between_two_turns_everything_is_compared(
    live: LiveProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.step(SERVERS_PERIOD_SECONDS)
    live.kernel.servers.apply([RemoveServer(FIRST), RemoveServer(LAST)])

    def refuse(_servers: MemoryServers, key: ServerKey) -> None:
        raise KernelRefusal(f"{key} cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryServers, "read_one", refuse)
        live.step()
    assert not live.programming.is_certain
    live.retry()
    assert {FIRST, LAST} <= live.kernel.servers.read().keys()
    assert not live.programming.is_comparing
    assert live.metric("netpol_proxy_in_sync") == 1


def test_there_is_no_turn_where_it_is_not_certain_what_the_kernel_holds(live: LiveProxy) -> None:
    live.step(SERVERS_PERIOD_SECONDS)
    live.programming.doubt()
    with pytest.raises(RuntimeError, match="it is not known what the kernel holds"):
        live.programming.go_on(0.0)
    with pytest.raises(RuntimeError, match="it is not known what the kernel holds"):
        live.programming.set_out(0.0)
