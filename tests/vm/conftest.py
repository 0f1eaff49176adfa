"""What the tests in a guest share: a lab of its own for each."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module

import pytest
from vm.service_lab import ServiceLab

from netpol.dataplane.netlink import NetlinkSocket, Request


@pytest.fixture(scope="session", autouse=True)
def _libiptc() -> None:
    """The library that legacy tables are read with is loaded, and no test is told which files that left open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        import_module("iptc.ip4tc")
        import_module("iptc.ip6tc")
        gc.collect()


@pytest.fixture
def service_lab() -> Iterator[ServiceLab]:
    """Pods that serve, and clients of every kind, on a node without a proxy."""
    with ServiceLab() as lab:
        yield lab


@pytest.fixture
def datagrams(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages went to the kernel in each datagram, from here on.

    What takes a datagram for each thing is slow on any machine, and what is slow on this one need not be.
    """
    sent: list[int] = []
    send = NetlinkSocket._send

    def counted(self: NetlinkSocket, requests: Sequence[Request]) -> dict[int, Request]:
        sent.append(len(requests))
        return send(self, requests)

    monkeypatch.setattr(NetlinkSocket, "_send", counted)
    return sent
