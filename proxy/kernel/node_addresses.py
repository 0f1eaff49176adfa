"""The node's own addresses, and word of when they change: node ports on all of them follow at once."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from contextlib import suppress

from netpol.dataplane.address_messages import LOOPBACK, decode_address, link_of_address
from netpol.dataplane.closing import Closing
from netpol.dataplane.netlink import NETLINK_ROUTE, PREAMBLE_BYTES, enlarge_receive_buffer, message_heads
from netpol.errors import KernelRefusal
from netpol.model.networks import Address
from proxy.kernel.links import NetlinkLinks
from proxy.names import LINK

_GROUPS = 0x10 | 0x100
"""Of rtnetlink: the addresses of either family."""
_DATAGRAM_BYTES = 1 << 16


class NetlinkAddresses(Closing):
    """`kernel.NodeAddresses`, in the network namespace of the thread that makes it; for one thread."""

    def __init__(self, service_link: str = LINK) -> None:
        self._service_link = service_link
        self._links = NetlinkLinks()

    def close(self) -> None:
        """Give the socket back."""
        self._links.close()

    def read(self) -> frozenset[Address]:
        """Those of every link but the loopback and the service link; none that is link-local."""
        link = self._links.find(self._service_link)
        return self._links.addresses(other_than=(LOOPBACK, *(() if link is None else (link.number,))))


class AddressChanges(Closing):
    """Word of changes to what `NetlinkAddresses` reads, in the network namespace of the thread that makes it."""

    def __init__(self, service_link: str = LINK) -> None:
        self._service_link = service_link
        self._passed_over = {LOOPBACK}
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
            try:
                self._socket.bind((0, _GROUPS))
                self._socket.settimeout(0)
                enlarge_receive_buffer(self._socket)
            except OSError:
                self._socket.close()
                raise
        except OSError as refused:
            raise _refusal(refused) from refused
        self._stopped = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        for descriptor in (self._stopped, self._socket.fileno()):
            self._poll.register(descriptor, select.POLLIN)

    def wait(self, timeout_seconds: float) -> bool:
        """True where addresses changed, or may have; False where they did not in that time, or after `stop`."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            left = deadline - time.monotonic()
            ready = self._poll.poll(max(left, 0) * 1000)
            if any(descriptor == self._stopped for descriptor, _ in ready):
                return False
            if ready and self._look():
                return True
            if left <= 0:
                return False

    def stop(self) -> None:
        """Whoever waits, or will wait, is let go; from any thread."""
        os.eventfd_write(self._stopped, 1)

    def close(self) -> None:
        """Give the socket back; nobody waits any more."""
        self._socket.close()
        os.close(self._stopped)

    def _look(self) -> bool:
        """True where something among all that was told concerns the node's addresses."""
        # Where there is none, nothing of it is to be passed over.
        with suppress(OSError):
            self._passed_over.add(socket.if_nametoindex(self._service_link))
        is_changed = False
        while True:
            try:
                datagram, sender = self._socket.recvfrom(_DATAGRAM_BYTES)
            except BlockingIOError:
                return is_changed
            except OSError as refused:
                if refused.errno != errno.ENOBUFS:
                    raise _refusal(refused) from refused
                is_changed = True
                continue
            if sender[0] == 0 and not is_changed:
                is_changed = self._concerns(datagram)

    def _concerns(self, datagram: bytes) -> bool:
        for offset, length, *_ in message_heads(datagram):
            told = datagram[offset + PREAMBLE_BYTES : offset + length]
            if link_of_address(told) not in self._passed_over:
                address = decode_address(told)
                if address is not None and not address.is_link_local:
                    return True
        return False


def _refusal(refused: OSError) -> KernelRefusal:
    return KernelRefusal(f"changes of the node's addresses are not told: {refused.strerror}")
