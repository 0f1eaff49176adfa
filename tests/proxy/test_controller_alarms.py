"""What others do to what services need is mended when it is heard of, and what is our own alarms nobody."""

from __future__ import annotations

import pytest
from live_proxy import RULES_PERIOD_SECONDS, SERVERS_PERIOD_SECONDS, LiveProxy
from proxy_builders import addresses, endpoint, endpoint_slice, server, service

from netpol.model.networks import Family
from netpol.schedule import QUIET_SECONDS
from proxy.controller import SURVEY_SECONDS, Extent
from proxy.kernel.node_addresses import LinkNews
from proxy.model import RemoveServer

WEB = service("shop/web", "10.96.0.10", ports="80/TCP")
WEB_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"))
DNS = service("kube-system/dns", "10.96.0.2", ports="53/UDP")
VIP = server("10.96.0.10:80/TCP")
ON_LINK = frozenset(addresses("10.96.0.10"))
CHAIN, SERVED = "NETPOL-SERVICE-POSTROUTING", "NETPOL-SERVICE-SERVED-4"


@pytest.fixture(name="live")
def _live(caplog: pytest.LogCaptureFixture) -> LiveProxy:
    """Services are programmed, and so long ago that an alarm is followed at once."""
    caplog.set_level("INFO", "netpol.proxy")
    live = LiveProxy().started(WEB, WEB_SLICE)
    live.step(after_seconds=2)
    return live


def spoil(live: LiveProxy) -> None:
    """There is neither the server nor a rule of the chain."""
    live.kernel.servers.apply([RemoveServer(VIP)])
    live.kernel.seen.nat.write(Family.IPV4, [f":{CHAIN} - [0:0]"])


def rules(live: LiveProxy) -> tuple[str, ...]:
    return live.kernel.seen.nat.read(Family.IPV4).chains[CHAIN]


def compared(live: LiveProxy) -> float:
    """How often something was compared."""
    return live.metric("kube_router_controller_ipvs_services_sync_time_count")


def test_an_alarm_compares_what_it_is_about(live: LiveProxy) -> None:
    right = rules(live)
    spoil(live)
    live.proxy.alarm(Extent.RULES)
    live.step()
    assert rules(live) == right
    assert live.kernel.servers.read() == {}
    live.proxy.alarm(Extent.SERVERS)
    live.step()
    assert live.kernel.servers.read().keys() == {VIP}
    assert live.metric("netpol_proxy_foreign_changes_total") == 2


def test_alarms_by_the_hundred_cause_a_comparison_a_second(live: LiveProxy) -> None:
    before = compared(live)
    for _ in range(300):
        live.proxy.alarm(Extent.RULES)
        live.step(after_seconds=0.01)
    assert 2 <= compared(live) - before <= 4


# --- the link


def test_an_address_that_the_link_lost_is_bound_again(live: LiveProxy, caplog: pytest.LogCaptureFixture) -> None:
    live.kernel.link.unbind(ON_LINK)
    live.proxy.tell(LinkNews(unbound=ON_LINK))
    live.step()
    assert live.kernel.link.read() == ON_LINK
    assert live.metric("netpol_proxy_foreign_changes_total") == 1
    assert live.metric("netpol_proxy_drift_mended_total") == 1
    assert "somebody else changed the service link" in caplog.text
    assert "somebody else had changed what services need in the kernel" in caplog.text


def test_a_link_that_is_gone_is_there_again(live: LiveProxy) -> None:
    live.kernel.link.remove()
    live.proxy.tell(LinkNews(is_link_down=True))
    live.step()
    assert live.kernel.link.read() == ON_LINK
    assert live.metric("netpol_proxy_foreign_changes_total") == 1


def test_what_we_took_off_the_link_ourselves_alarms_nobody(live: LiveProxy) -> None:
    before = compared(live)
    live.drop(WEB)
    assert live.kernel.link.read() == frozenset()
    live.proxy.tell(LinkNews(unbound=ON_LINK))
    live.step(after_seconds=2)
    assert compared(live) == before
    assert live.metric("netpol_proxy_foreign_changes_total") == 0


def test_addresses_of_the_node_that_changed_are_no_alarm(live: LiveProxy) -> None:
    before = compared(live)
    live.proxy.tell(LinkNews(has_moved=True))
    live.step()
    assert (compared(live), live.metric("netpol_proxy_foreign_changes_total")) == (before, 0)


# --- sets


def empty(live: LiveProxy) -> None:
    sets = live.kernel.seen.sets
    sets.remove(sets.read()[SERVED], sets.read()[SERVED].members)


def test_a_set_that_others_emptied_is_found_by_a_survey(live: LiveProxy, caplog: pytest.LogCaptureFixture) -> None:
    right = live.kernel.seen.sets.read()
    empty(live)
    live.step(after_seconds=SURVEY_SECONDS)
    assert live.kernel.seen.sets.read() == right
    assert live.metric("netpol_proxy_foreign_changes_total") == 1
    assert "somebody else changed sets" in caplog.text
    live.step(after_seconds=SURVEY_SECONDS)
    assert live.metric("netpol_proxy_foreign_changes_total") == 1


def test_sets_are_surveyed_once_it_is_quiet(live: LiveProxy) -> None:
    empty(live)
    for number in range(2):
        live.put(service(f"shop/new-{number}", f"10.96.1.{number}"))
        live.clock.now += 0.9 * QUIET_SECONDS
    live.put(DNS)
    assert live.metric("netpol_proxy_foreign_changes_total") == 0
    live.step(after_seconds=QUIET_SECONDS)
    assert live.metric("netpol_proxy_foreign_changes_total") == 1


def test_where_nothing_happens_nothing_is_compared_before_its_period(live: LiveProxy) -> None:
    before, operations = compared(live), live.operations
    for _ in range(2):
        live.step(after_seconds=1)
    assert compared(live) == before
    for _ in range(int(RULES_PERIOD_SECONDS)):
        live.step(after_seconds=1)
    periods = RULES_PERIOD_SECONDS // SERVERS_PERIOD_SECONDS
    assert periods <= compared(live) - before <= periods + 1
    assert live.operations == operations
    assert live.metric("netpol_proxy_foreign_changes_total") == 0
