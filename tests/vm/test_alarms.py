"""What others change of what services need is mended when they do it, however seldom everything is compared."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from proxy_builders import endpoint, endpoint_slice, service
from vm.kernel_lines import kernel_lines, make_tables
from vm.service_lab import PORT, ServiceLab
from vm.service_node import ServiceNode
from waiting import wait_until

from netpol.settings import ProxySettings

pytestmark = pytest.mark.vm

PERIOD_SECONDS = 600.0
SOON_SECONDS = 20.0
"""One to hear of it, and the rest for a guest that has one slow processor to compare by."""
REST_SECONDS = 2.0
"""After its own writes a legacy table is let rest, and alarms are a second apart."""
WEB = service("x/web", "10.96.0.10 fd00:96::10", ports="80:30080/TCP", external="203.0.113.10")
THREADS = {"service proxy", "changes of the node's addresses", "changes by others to services' tables"}


@pytest.fixture(scope="module")
def lab() -> Iterator[ServiceLab]:
    with ServiceLab() as built:
        yield built


@pytest.fixture(scope="module")
def node(lab: ServiceLab) -> Iterator[ServiceNode]:
    ends = (endpoint(str(place.address), "one") for name in lab.web for place in lab.lab.endpoints(name))
    told = WEB, endpoint_slice("x/web-1", "web", *ends, ports=f"{PORT}/TCP")
    settings = ProxySettings(sync_period_seconds=PERIOD_SECONDS)
    with ServiceNode(lab, *told, settings=settings, sync_seconds=PERIOD_SECONDS) as kept:
        make_tables(lab)
        yield kept


@pytest.fixture
def at_rest(node: ServiceNode) -> ServiceNode:
    """It has long done what there was to do, and alarms are followed at once."""
    time.sleep(REST_SECONDS)
    return node


DAMAGE = {
    "a chain of nat": "iptables -t nat -F NETPOL-SERVICE-POSTROUTING",
    "a chain of nat for IPv6": "ip6tables -t nat -F NETPOL-SERVICE-POSTROUTING",
    "a chain of filter": "iptables -F NETPOL-SERVICE-INPUT",
    "a hook of filter": "ip6tables -F INPUT",
    "a hook of nat": "iptables -t nat -F POSTROUTING",
    "a member of a set": "ipset del NETPOL-SERVICE-SERVED-4 203.0.113.10,tcp:80",
    "all members": "ipset flush NETPOL-SERVICE-ADDRESSES-6",
    "an address": "ip addr del 10.96.0.10/32 dev kube-dummy-if",
    "an address of IPv6": "ip addr del fd00:96::10/128 dev kube-dummy-if",
    "a link set down": "ip link set kube-dummy-if down",
    "a link that answers ARP": "ip link set kube-dummy-if arp on",
    "the link": "ip link del kube-dummy-if",
}


@pytest.mark.parametrize("command", DAMAGE.values(), ids=DAMAGE)
def test_it_is_mended_at_once(lab: ServiceLab, at_rest: ServiceNode, command: str) -> None:
    alarms, mended = (at_rest.metric(f"netpol_proxy_{name}_total") for name in ("foreign_changes", "drift_mended"))
    right = _held(lab)
    lab.run(*command.split())
    began = time.monotonic()
    wait_until(lambda: at_rest.metric("netpol_proxy_drift_mended_total") > mended, "it is mended", SOON_SECONDS)
    print(f"{command}: mended after {time.monotonic() - began:.1f} s")
    assert at_rest.metric("netpol_proxy_foreign_changes_total") > alarms
    assert _held(lab) ^ right == frozenset()


def test_nobody_is_alarmed_by_what_is_our_own(lab: ServiceLab, at_rest: ServiceNode) -> None:
    """Neither by a thousand addresses that come and go."""
    many = service(
        "x/many", "10.96.0.20", external=" ".join(f"198.18.{each // 250}.{each % 250}" for each in range(999))
    )
    watching = _spent("changes of the node's addresses")
    alarms, compared = _alarms(at_rest), _comparisons(at_rest)
    at_rest.put(many)
    at_rest.until(lambda: _is_bound(lab, "198.18.3.248"), "the addresses are bound")
    bound = watching()
    at_rest.drop(many)
    at_rest.until(lambda: not _is_bound(lab, "198.18.3.248"), "they are bound no more")
    time.sleep(REST_SECONDS)
    print(f"to hear of 1,000 addresses: {bound:.3f} s of a processor, and of their end {watching() - bound:.3f} s")
    assert (_alarms(at_rest), _comparisons(at_rest)) == (alarms, compared)
    assert watching() < 2.0


def test_where_nothing_happens_hardly_anything_is_done(at_rest: ServiceNode) -> None:
    spent = {name: _spent(name) for name in sorted(THREADS)}
    alarms, compared = _alarms(at_rest), _comparisons(at_rest)
    time.sleep(10)
    shares = {name: each() / 10 for name, each in spent.items()}
    print("shares of a processor:", shares)
    assert (_alarms(at_rest), _comparisons(at_rest)) == (alarms, compared)
    assert sum(shares.values()) < 0.05


def _alarms(node: ServiceNode) -> float:
    return node.metric("netpol_proxy_foreign_changes_total")


def _comparisons(node: ServiceNode) -> float:
    return node.metric("kube_router_controller_ipvs_services_sync_time_count")


def _is_bound(lab: ServiceLab, address: str) -> bool:
    return f" {address}/32 " in lab.run("ip", "-o", "addr", "show", "dev", "kube-dummy-if")


def _held(lab: ServiceLab) -> frozenset[str]:
    """What the kernel holds, but for what a link that is made anew has of its own: its number and a local address."""
    lines = (re.sub(r"\d+: kube-dummy-if", "kube-dummy-if", line) for line in kernel_lines(lab))
    return frozenset(line.partition(" link/ether ")[0] for line in lines if "fe80::" not in line)


def _spent(name: str) -> Callable[[], float]:
    """For how many seconds of a processor the thread of this name has worked since."""
    (thread,) = (each for each in threading.enumerate() if each.name == name)
    assert thread.ident is not None
    clock = time.pthread_getcpuclockid(thread.ident)
    began = time.clock_gettime(clock)
    return lambda: time.clock_gettime(clock) - began
