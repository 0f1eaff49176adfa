"""What is said where changes of addresses cannot be followed; tests/vm has links that have addresses."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from ipaddress import ip_address

import pytest

from netpol.errors import KernelRefusal
from netpol.model.networks import Address
from proxy.kernel.link_messages import Link, LinkFlag
from proxy.kernel.links import NetlinkLinks
from proxy.kernel.node_addresses import AddressChanges, NetlinkAddresses


@pytest.mark.kernel
def test_a_namespace_of_its_own_has_none_but_its_loopbacks(private_network: None) -> None:
    with NetlinkAddresses() as addresses:
        assert addresses.read() == frozenset()


class Remade:
    """Links of which the service link is made anew, with its next number, each time that they are about to be read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
        self._numbers = list(numbers)
        monkeypatch.setattr(NetlinkLinks, "find", self.find)
        monkeypatch.setattr(NetlinkLinks, "addresses", self.addresses)

    def find(self, name: str) -> Link:
        """The service link as it is now."""
        return Link(self._numbers[0], name, LinkFlag.UP)

    def addresses(self, *, other_than: Iterable[int]) -> frozenset[Address]:
        """Those of the node, and of the service link, save where that number is passed over."""
        if len(self._numbers) > 1:
            self._numbers.pop(0)
        every = {2: ip_address("192.0.2.1"), self._numbers[0]: ip_address("10.96.0.10")}
        return frozenset(address for number, address in every.items() if number not in other_than)


def test_a_service_link_made_anew_meanwhile_makes_its_addresses_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    Remade(monkeypatch, 5, 6, 7)
    with NetlinkAddresses() as addresses:
        assert addresses.read() == {ip_address("192.0.2.1")}


def test_a_service_link_that_is_made_anew_all_the_time_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    Remade(monkeypatch, *range(5, 50))
    with NetlinkAddresses() as addresses, pytest.raises(KernelRefusal, match="makes kube-dummy-if anew all the time"):
        addresses.read()


def test_no_socket_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(KernelRefusal, match=r"^changes of the node's addresses are not told: Operation not permitted"):
        AddressChanges()


def test_without_changes_the_time_runs_out() -> None:
    with AddressChanges() as changes:
        assert not changes.wait(0)
        changes.stop()
        assert not changes.wait(60)
