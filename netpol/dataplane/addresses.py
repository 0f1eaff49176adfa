"""The addresses of the current network namespace."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol, cast

from pyroute2.iproute.linux import IPRoute

from netpol.model.networks import Address, parse_address


class _Message(Protocol):
    def get_attr(self, name: str) -> str | None: ...


class _RouteSocket(Protocol):
    def get_addr(self) -> Iterator[_Message]: ...

    def close(self) -> None: ...


def local_addresses() -> frozenset[Address]:
    """Every address of every link of this network namespace."""
    with contextlib.closing(cast(Callable[[], _RouteSocket], IPRoute)()) as route:
        texts = [message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS") for message in route.get_addr()]
    return frozenset(parse_address(text) for text in texts if text)
