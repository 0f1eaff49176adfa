"""The kernel's service link does what the one in memory does; and what only a kernel can show."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from service_link_cases import ONE, SIX, TWO, ServiceLinkCases

from netpol.errors import KernelRefusal
from netpol.model.networks import Address
from proxy.keeping.link_addresses import LinkAddresses
from proxy.kernel.links import DummyLink
from proxy.names import LINK

pytestmark = pytest.mark.vm


@pytest.fixture
def link(private_network: None) -> Iterator[DummyLink]:
    with DummyLink() as link:
        yield link


def ip(*arguments: str) -> str:
    return subprocess.run(("ip", *arguments), check=True, capture_output=True, text=True).stdout


class TestInTheKernel(ServiceLinkCases):
    """Every case, in the kernel."""


def test_it_is_up_and_answers_no_arp(link: DummyLink) -> None:
    link.ensure()
    (found,) = json.loads(ip("-j", "-d", "link", "show", "dev", LINK))
    assert found["linkinfo"]["info_kind"] == "dummy"
    assert {"NOARP", "UP"} <= set(found["flags"])


@pytest.mark.parametrize("change", ["down", "arp on"])
def test_one_that_was_changed_is_mended_and_that_is_told(link: DummyLink, change: str) -> None:
    link.ensure()
    ip("link", "set", LINK, *change.split())
    assert (link.ensure(), link.ensure()) == (True, False)
    (found,) = json.loads(ip("-j", "link", "show", "dev", LINK))
    assert {"NOARP", "UP"} <= set(found["flags"])


def test_one_of_somebody_else_is_taken_over(link: DummyLink) -> None:
    ip("link", "add", LINK, "type", "dummy")
    ip("addr", "add", f"{ONE}/32", "dev", LINK)
    ip("addr", "add", f"{SIX}/128", "dev", LINK)
    link.ensure()
    (found,) = json.loads(ip("-j", "link", "show", "dev", LINK))
    assert {"NOARP", "UP"} <= set(found["flags"])
    link.bind([ONE, TWO, SIX])
    assert link.read() == frozenset({ONE, TWO, SIX})


def test_an_address_is_taken_away_whatever_its_prefix(link: DummyLink) -> None:
    link.ensure()
    ip("addr", "add", f"{ONE}/16", "dev", LINK)
    link.unbind([ONE])
    assert link.read() == frozenset()


def test_addresses_of_its_own_accord_are_none_of_it(link: DummyLink) -> None:
    link.ensure()
    assert "fe80::" in ip("-6", "addr", "show", "dev", LINK)
    assert link.read() == frozenset()


def test_no_connection_is_made_from_a_service_address(link: DummyLink) -> None:
    link.ensure()
    link.bind([ONE, SIX])
    ip("link", "add", "uplink", "type", "dummy")
    ip("link", "set", "uplink", "up")
    ip("link", "add", "elsewhere", "type", "dummy")
    ip("addr", "add", "192.0.2.1/24", "dev", "elsewhere")
    ip("addr", "add", "2001:db8::1/64", "dev", "elsewhere", "nodad")
    ip("link", "set", "elsewhere", "up")
    ip("route", "add", "default", "dev", "uplink")
    ip("-6", "route", "add", "default", "dev", "uplink")
    assert json.loads(ip("-j", "route", "get", "198.51.100.1"))[0]["prefsrc"] == "192.0.2.1"
    assert json.loads(ip("-j", "-6", "route", "get", "2001:db8:1::1"))[0]["prefsrc"] == "2001:db8::1"


def test_an_address_is_there_at_once(link: DummyLink) -> None:
    link.ensure()
    link.bind([ONE, SIX])
    shown = json.loads(ip("-j", "addr", "show", "dev", LINK))[0]["addr_info"]
    lengths = {each["local"]: each["prefixlen"] for each in shown}
    assert (lengths[str(ONE)], lengths[str(SIX)]) == (32, 128)
    assert not any(each.get("tentative") for each in shown)
    assert ip("-6", "route", "show", "dev", LINK, str(SIX)) == ""


def test_a_thousand_addresses_go_hundreds_at_once(link: DummyLink, datagrams: list[int]) -> None:
    addresses: list[Address] = [ip_address("10.97.0.1") + number for number in range(1000)]
    link.ensure()
    datagrams.clear()
    link.bind(addresses)
    assert (sum(datagrams), len(datagrams)) == (1001, 5)
    assert link.read() == frozenset(addresses)


def test_without_ipv6_the_others_are_bound(link: DummyLink) -> None:
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1", encoding="ascii")
    link.ensure()
    with pytest.raises(KernelRefusal, match=rf"^address {SIX} cannot be bound to {LINK}: IPv6 is disabled there"):
        link.bind([SIX, ONE, TWO])
    assert link.read() == frozenset({ONE, TWO})


def test_an_address_that_the_kernel_does_not_take_keeps_no_other_away(link: DummyLink) -> None:
    link.ensure()
    Path(f"/proc/sys/net/ipv6/conf/{LINK}/disable_ipv6").write_text("1")
    bound = LinkAddresses(link)
    bound.read()
    bound.bind([SIX, ONE])
    assert frozenset(bound) == link.read() == frozenset({ONE})
    assert bound.refused.keys() == {SIX}
    assert str(bound.refused[SIX]).startswith(f"address {SIX} cannot be bound to {LINK}: ")
