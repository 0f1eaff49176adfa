"""The node's own addresses are those that others reach it by, and what changes of them is told."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from netpol.model.networks import Address
from proxy.kernel.links import DummyLink
from proxy.kernel.node_addresses import AddressChanges, LinkNews, NetlinkAddresses
from proxy.names import LINK

pytestmark = pytest.mark.vm

FOUR, SIX = ip_address("192.0.2.1"), ip_address("2001:db8::1")


def ip(*arguments: str) -> str:
    return subprocess.run(("ip", *arguments), check=True, capture_output=True, text=True).stdout


@pytest.fixture
def addresses(private_network: None) -> Iterator[NetlinkAddresses]:
    with NetlinkAddresses() as addresses:
        yield addresses


@pytest.fixture
def changes(private_network: None) -> Iterator[AddressChanges]:
    with AddressChanges() as changes:
        yield changes


@pytest.fixture
def uplink(private_network: None) -> None:
    ip("link", "add", "uplink", "type", "dummy")
    ip("link", "set", "uplink", "up")


def test_of_every_link_but_the_loopback_and_the_service_link(addresses: NetlinkAddresses, uplink: None) -> None:
    assert addresses.read() == frozenset()
    ip("addr", "add", f"{FOUR}/24", "dev", "uplink")
    ip("addr", "add", f"{SIX}/64", "dev", "uplink")
    ip("addr", "add", "203.0.113.9/32", "dev", "lo")
    ip("addr", "add", "169.254.7.7/16", "dev", "uplink")
    ip("link", "add", "docker0", "type", "dummy")
    ip("addr", "add", "172.17.0.1/16", "dev", "docker0")
    with DummyLink() as link:
        link.ensure()
        link.bind([ip_address("10.96.0.1"), ip_address("fd00:96::1")])
    assert addresses.read() == {FOUR, SIX, ip_address("172.17.0.1")}


@pytest.mark.usefixtures("uplink")
def test_this_end_of_a_link_to_one_peer_is_the_nodes(addresses: NetlinkAddresses) -> None:
    ip("addr", "add", f"{FOUR}", "peer", "192.0.2.2", "dev", "uplink")
    assert addresses.read() == {FOUR}


@pytest.mark.usefixtures("uplink")
@pytest.mark.parametrize("address", [f"{FOUR}/24", f"{SIX}/64"])
def test_an_address_that_comes_or_goes_is_told(changes: AddressChanges, address: str) -> None:
    ip("addr", "add", address, "dev", "uplink")
    assert changes.wait(10) == LinkNews(has_moved=True)
    # Whether nobody else has an IPv6 address is found out after it was told.
    while changes.wait(2):
        pass
    ip("addr", "del", address, "dev", "uplink")
    assert changes.wait(10)
    assert not changes.wait(0)


@pytest.mark.usefixtures("uplink")
def test_what_is_no_address_of_the_nodes_is_not_told(changes: AddressChanges) -> None:
    with DummyLink() as link:
        link.ensure()
        link.bind(ip_address("10.96.0.1") + number for number in range(500))
        link.bind(ip_address("fd00:96::1") + number for number in range(500))
        link.ensure()
    ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
    for name in ("veth0", "veth1"):
        ip("link", "set", name, "up")
    ip("addr", "add", "203.0.113.9/32", "dev", "lo")
    assert not changes.wait(1)
    ip("addr", "add", f"{FOUR}/24", "dev", "uplink")
    assert changes.wait(10)


SERVICE_FOUR, SERVICE_SIX = ip_address("10.96.0.1"), ip_address("fd00:96::1")


@pytest.fixture
def link(changes: AddressChanges) -> Iterator[DummyLink]:
    """The service link, with an address of either family, of which everything was told that is."""
    with DummyLink() as link:
        link.ensure()
        link.bind([SERVICE_FOUR, SERVICE_SIX])
        assert changes.wait(0) == LinkNews()
        yield link


@pytest.mark.usefixtures("link")
def test_what_the_service_link_loses_is_told(changes: AddressChanges) -> None:
    ip("addr", "del", f"{SERVICE_FOUR}/32", "dev", LINK)
    assert changes.wait(10) == LinkNews(unbound=frozenset({SERVICE_FOUR}))
    ip("addr", "del", f"{SERVICE_SIX}/128", "dev", LINK)
    assert changes.wait(10) == LinkNews(unbound=frozenset({SERVICE_SIX}))


@pytest.mark.parametrize(
    ("command", "lost"),
    [
        (f"link del {LINK}", {SERVICE_FOUR, SERVICE_SIX}),
        (f"link set {LINK} down", {SERVICE_SIX}),
        (f"link set {LINK} arp on", set()),
    ],
)
def test_a_service_link_that_is_not_as_it_should_be_is_told(
    changes: AddressChanges, link: DummyLink, command: str, lost: set[Address]
) -> None:
    ip(*command.split())
    assert changes.wait(10) == LinkNews(unbound=frozenset(lost), is_link_down=True)
    link.ensure()
    assert changes.wait(1) == LinkNews()


def test_what_the_kernel_could_not_tell_may_have_been_a_change(changes: AddressChanges) -> None:
    changes._socket.setsockopt(1, 33, 0)
    with DummyLink() as link:
        link.ensure()
        link.bind(ip_address("10.96.0.1") + number for number in range(500))
    assert changes.wait(10) == LinkNews(has_moved=True, is_link_down=True)


def test_whoever_waits_is_let_go(changes: AddressChanges) -> None:
    began = time.monotonic()
    threading.Timer(0.2, changes.stop).start()
    assert not changes.wait(60)
    assert not changes.wait(60)
    assert time.monotonic() - began < 30


def test_the_service_links_name_is_the_proxys() -> None:
    assert LINK == "kube-dummy-if"
