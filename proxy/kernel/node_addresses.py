"""The node's own addresses, and word of when they, or the service link, change: both are followed at once."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from netpol.dataplane.address_messages import DELETE_ADDRESS, LOOPBACK, decode_address, link_of_address
from netpol.dataplane.closing import Closing
from netpol.dataplane.netlink import NETLINK_ROUTE, PREAMBLE_BYTES, enlarge_receive_buffer, message_heads
from netpol.errors import KernelRefusal
from netpol.model.networks import Address
from proxy.kernel.link_messages import DELETE_LINK, NEW_LINK, LinkFlag, decode_link
from proxy.kernel.links import NetlinkLinks
from proxy.names import LINK

_GROUPS = 0x1 | 0x10 | 0x100
"""Of rtnetlink: links, and the addresses of either family."""
_FLAGS = LinkFlag.UP | LinkFlag.NO_ARP
"""Of the service link."""
_DATAGRAM_BYTES = 1 << 16
MOST_READS = 5
"""How often addresses are read while the service link is made anew."""


class NetlinkAddresses(Closing):
    """`protocols.NodeAddresses`, in the network namespace of the thread that makes it; for one thread."""

    def __init__(self, service_link: str = LINK) -> None:
        self._service_link = service_link
        self._links = NetlinkLinks()

    def close(self) -> None:
        """Give the socket back."""
        self._links.close()

    def read(self) -> frozenset[Address]:
        """Those of every link but the loopback and the service link; none that is link-local."""
        number = self._number()
        for _ in range(MOST_READS):
            found = self._links.addresses(other_than=(LOOPBACK, *(() if number is None else (number,))))
            before, number = number, self._number()
            # A link that was made anew in between had its addresses read as the node's.
            if number == before:
                return found
        raise KernelRefusal(
            f"the node's addresses cannot be read: somebody makes {self._service_link} anew all the time"
        )

    def _number(self) -> int | None:
        link = self._links.find(self._service_link)
        return None if link is None else link.number


@dataclass(frozen=True, slots=True)
class LinkNews:
    """What has changed, whoever did it; false where nothing did."""

    has_moved: bool = False
    """Whether what `NetlinkAddresses` reads may be another."""
    unbound: frozenset[Address] = frozenset()
    """What the service link has lost."""
    is_link_down: bool = False
    """Whether the service link is gone, or not as it should be, or may be."""

    def __bool__(self) -> bool:
        return self.has_moved or bool(self.unbound) or self.is_link_down


class AddressChanges(Closing):
    """Word of changes to the node's addresses and the service link, in the network namespace of its maker's thread.

    What the service link is given is not told: that is our own doing by the hundred.
    """

    def __init__(self, service_link: str = LINK) -> None:
        self._service_link = service_link
        with ExitStack() as stack:
            # First, so that nothing is missed of what happens after it was asked for.
            self._socket = stack.enter_context(_listener())
            self._links = stack.enter_context(NetlinkLinks())
            found = self._links.find(service_link)
            self._closing = stack.pop_all()
        self._number = None if found is None else found.number
        self._stopped = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        for descriptor in (self._stopped, self._socket.fileno()):
            self._poll.register(descriptor, select.POLLIN)

    def wait(self, timeout_seconds: float) -> LinkNews:
        """What changed, or may have; nothing where nothing did in that time, or after `stop`."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            left = deadline - time.monotonic()
            ready = self._poll.poll(max(left, 0) * 1000)
            if any(descriptor == self._stopped for descriptor, _ in ready):
                return LinkNews()
            if (ready and (news := self._look())) or left <= 0:
                return news if ready else LinkNews()

    def stop(self) -> None:
        """Whoever waits, or will wait, is let go; from any thread."""
        os.eventfd_write(self._stopped, 1)

    def close(self) -> None:
        """Give the sockets back; nobody waits any more."""
        self._closing.close()
        os.close(self._stopped)

    def _look(self) -> LinkNews:
        """All that was told, as one."""
        told = _Told()
        while True:
            try:
                datagram, sender = self._socket.recvfrom(_DATAGRAM_BYTES)
            except BlockingIOError:
                break
            except OSError as refused:
                if refused.errno != errno.ENOBUFS:
                    raise _refusal(refused) from refused
                told.is_incomplete = told.has_moved = told.is_about_link = True
                continue
            if sender[0] == 0:
                self._read(datagram, told)
        # A link is told of before it is set up: asked for, it is as whoever made it has left it.
        is_down = told.is_about_link and not self._is_up()
        return LinkNews(told.has_moved, frozenset(told.unbound), is_down or told.is_incomplete)

    def _read(self, datagram: bytes, told: _Told) -> None:
        for offset, length, kind, *_ in message_heads(datagram):
            body = datagram[offset + PREAMBLE_BYTES : offset + length]
            if kind in (NEW_LINK, DELETE_LINK):
                link = decode_link(body)
                if link.name == self._service_link:
                    self._number, told.is_about_link = link.number, True
            elif (number := link_of_address(body)) != LOOPBACK:
                address = decode_address(body)
                if address is None or address.is_link_local:
                    continue
                if number != self._number:
                    told.has_moved = True
                elif kind == DELETE_ADDRESS:
                    told.unbound.add(address)

    def _is_up(self) -> bool:
        found = self._links.find(self._service_link)
        self._number = self._number if found is None else found.number
        return found is not None and _FLAGS in found.flags


@dataclass(slots=True)
class _Told:
    """What is found as messages are read."""

    has_moved: bool = False
    unbound: set[Address] = field(default_factory=set)
    is_about_link: bool = False
    is_incomplete: bool = False


def _listener() -> socket.socket:
    """A socket that is told of changes."""
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        try:
            opened.bind((0, _GROUPS))
            opened.settimeout(0)
            enlarge_receive_buffer(opened)
        except OSError:
            opened.close()
            raise
    except OSError as refused:
        raise _refusal(refused) from refused
    return opened


def _refusal(refused: OSError) -> KernelRefusal:
    return KernelRefusal(f"changes of the node's addresses are not told: {refused.strerror}")
