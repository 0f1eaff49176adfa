"""The addresses of the current network namespace, asked of the kernel.

pyroute2 tells them too, and takes a quarter of a second and ten megabytes to import, which
an agent that starts again has not.
"""

from __future__ import annotations

from collections.abc import Callable

from netpol.dataplane.address_messages import addresses_request, decode_address
from netpol.dataplane.netlink import NETLINK_ROUTE, NetlinkSocket
from netpol.dataplane.netlink_client import NetlinkClient
from netpol.model.networks import Address


def local_addresses() -> frozenset[Address]:
    """Every address of every link of this network namespace; KernelRefusal where the kernel does not tell them."""
    with _Addresses() as addresses:
        return addresses.read()


def read_addresses(kernel: NetlinkSocket, wanted: Callable[[bytes], bool] | None = None) -> frozenset[Address]:
    """The addresses of all links, or of those answers that are `wanted`; NetlinkError where they are not told."""
    found = map(decode_address, kernel.dump(addresses_request(), wanted))
    return frozenset(address for address in found if address is not None)


class _Addresses(NetlinkClient):
    """What this namespace has."""

    def __init__(self) -> None:
        super().__init__("addresses", {}, NETLINK_ROUTE)

    def read(self) -> frozenset[Address]:
        with self._refusing("the node's addresses cannot be read"):
            return read_addresses(self._netlink)
