"""Notices that somebody else changed the filter tables where it concerns us: a reason to look, never what to do."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Mapping
from typing import Protocol, Self

from netpol.dataplane.legacy_table import TableSize, filter_size
from netpol.dataplane.netlink import NETLINK_NETFILTER, enlarge_receive_buffer
from netpol.dataplane.nft_events import decode_events
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import Variant

_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_GROUP = 7
_DATAGRAM_BYTES = 1 << 18
_MOST_DATAGRAMS = 1_000
"""After so many the caller is told what was found so far, however much there is still to read."""

LEGACY_SECONDS = 0.5
"""How often legacy tables are asked for their size, which takes a tenth of a millisecond."""


class OwnWrites(Protocol):
    """Which changes are the agent's own."""

    def is_own(self, writer: int) -> bool:
        """True for the number of a process that one of the agent's writes started."""

    @property
    def writes(self) -> int:
        """How many writes began and how many ended, in one number: odd while one is under way."""


class _Watch(Protocol):
    descriptors: tuple[int, ...]
    pause_seconds: float

    def look(self) -> str | None:
        """What somebody else changed since the last look, in words."""

    def close(self) -> None:
        """Give back what it holds."""


class ForeignChanges:
    """Changes by others, in the network namespace of the thread that makes it.

    The kernel tells those of the nft variant as they happen. Of the legacy variant's tables
    only the size is seen, so that a rule replaced by another one of its length is not.
    Changes at the very moment of a write of ours may go unseen, too.
    """

    def __init__(self, variant: Variant, own: OwnWrites) -> None:
        self._watch: _Watch = _NftWatch(own) if variant is Variant.NFT else _LegacyWatch(own)
        self._stopped = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        for descriptor in (self._stopped, *self._watch.descriptors):
            self._poll.register(descriptor, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self, timeout_seconds: float) -> str | None:
        """What was changed first, in words; None where nothing was in that time, or after `stop`."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            left = deadline - time.monotonic()
            ready = self._poll.poll(max(min(left, self._watch.pause_seconds), 0) * 1000)
            if any(descriptor == self._stopped for descriptor, _ in ready):
                return None
            if (words := self._watch.look()) is not None or left <= 0:
                return words

    def stop(self) -> None:
        """Whoever waits, or will wait, is let go; from any thread."""
        os.eventfd_write(self._stopped, 1)

    def close(self) -> None:
        """Give the sockets back; nobody waits any more."""
        self._watch.close()
        os.close(self._stopped)


class _NftWatch:
    """Reads what the kernel tells every listener; what it could not tell is a reason to look as well."""

    pause_seconds = 3600.0

    def __init__(self, own: OwnWrites) -> None:
        self._own = own
        self._buffer = memoryview(bytearray(_DATAGRAM_BYTES))
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
            try:
                self._socket.bind((0, 0))
                self._socket.settimeout(0)
                enlarge_receive_buffer(self._socket)
                self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP)
            except OSError:
                self._socket.close()
                raise
        except OSError as refused:
            raise KernelRefusal(f"changes of others to nf_tables are not told: {refused.strerror}") from refused
        self.descriptors: tuple[int, ...] = (self._socket.fileno(),)

    def look(self) -> str | None:
        """The first change by others among what was told; the rest is read and dropped."""
        found: str | None = None
        for _ in range(_MOST_DATAGRAMS):
            try:
                length, sender = self._socket.recvfrom_into(self._buffer)
            except BlockingIOError:
                break
            except OSError as refused:
                if refused.errno != errno.ENOBUFS:
                    raise KernelRefusal(f"changes of others to nf_tables are not told: {refused.strerror}") from refused
                found = found or "more was changed than the kernel could tell"
                continue
            if found is None and sender[0] == 0:
                events = decode_events(bytes(self._buffer[:length]))
                found = next((event.words for event in events if not self._own.is_own(event.writer)), None)
        return found

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


class _LegacyWatch:
    """Compares the tables' sizes with those after the last write of ours."""

    descriptors: tuple[int, ...] = ()
    pause_seconds = LEGACY_SECONDS

    def __init__(self, own: OwnWrites) -> None:
        self._own = own
        self._writes, self._sizes = own.writes, self._read()

    def look(self) -> str | None:
        """A table whose size is another, where no write of ours was in between."""
        writes = self._own.writes
        sizes = self._read()
        if writes != self._own.writes or writes % 2:
            # Under way: what the size is to be is not known before it has ended.
            self._writes = -1
            return None
        before, self._sizes = self._sizes, sizes
        if writes != self._writes:
            self._writes = writes
            return None
        changed = next((family for family in Family if sizes[family] != before[family]), None)
        return None if changed is None else f"the filter table of IPv{changed.value} has another size"

    def close(self) -> None:
        """Nothing is held."""

    @staticmethod
    def _read() -> Mapping[Family, TableSize | None]:
        return {family: filter_size(family) for family in Family}
