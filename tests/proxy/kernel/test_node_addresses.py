"""What is said where changes of addresses cannot be followed; tests/vm has links that have addresses."""

from __future__ import annotations

import errno
import socket

import pytest

from netpol.errors import KernelRefusal
from proxy.kernel.node_addresses import AddressChanges, NetlinkAddresses


@pytest.mark.kernel
def test_a_namespace_of_its_own_has_none_but_its_loopbacks(private_network: None) -> None:
    with NetlinkAddresses() as addresses:
        assert addresses.read() == frozenset()


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
