"""Notices that somebody else changed tables where it concerns a writer of them: a reason to look, never what to do."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Mapping
from itertools import product
from typing import Protocol, Self

from netpol.compiler.ruleset import TableName
from netpol.dataplane.legacy_chains import concerning
from netpol.dataplane.legacy_table import TableSize, table_size
from netpol.dataplane.netlink import NETLINK_NETFILTER, enlarge_receive_buffer
from netpol.dataplane.nft_events import decode_events
from netpol.dataplane.ownership import FIREWALL, Ownership
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
LOOK_SECONDS = 10.0
"""How often they are looked into where the size is the same: 1 ms each, and 6 for each thousand rules of ours."""
LOOK_SHARE = 0.005
"""The part of a core that this may take: where there are very many rules, it is done less often."""


_Table = tuple[TableName, Family]


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
    """Changes by others to what is the owner's, in the network namespace of the thread that makes it.

    The kernel tells those of the nft variant as they happen. The legacy variant's tables are
    looked into when their size is another, and now and then: a rule replaced by one of its
    length is noticed late. What is changed within a second of a write of ours may go unseen.
    """

    def __init__(self, variant: Variant, own: OwnWrites, ownership: Ownership = FIREWALL) -> None:
        kind = _NftWatch if variant is Variant.NFT else _LegacyWatch
        self._watch: _Watch = kind(own, ownership)
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

    def __init__(self, own: OwnWrites, ownership: Ownership = FIREWALL) -> None:
        self._own = own
        self._ownership = ownership
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
                events = decode_events(bytes(self._buffer[:length]), self._ownership)
                found = next((event.words for event in events if not self._own.is_own(event.writer)), None)
        return found

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


class _LegacyWatch:
    """Compares what concerns us in the tables with what it was after the last write of ours."""

    descriptors: tuple[int, ...] = ()
    pause_seconds = LEGACY_SECONDS

    def __init__(self, own: OwnWrites, ownership: Ownership = FIREWALL) -> None:
        self._own = own
        self._ownership = ownership
        self._tables = tuple(product(ownership.tables, Family))
        self._writes, self._sizes = own.writes, self._read()
        self._chains: dict[_Table, Mapping[str, bytes] | None] = {}
        """As they were found; None where they cannot be read."""
        # To load the library takes seconds of a slow node's start, which is when the tables are compared as a whole.
        self._look_at, self._has_looked = time.monotonic() + LOOK_SECONDS, False

    def look(self) -> str | None:
        """What was changed of ours, where no write of ours was in between.

        After such a write the tables are let rest for a pause, as there may be more of them;
        until they were looked into, any rule more or less is told.
        """
        writes, sizes = self._own.writes, self._read()
        if self._is_under_way(writes):
            return None
        before, self._sizes = self._sizes, sizes
        if writes != self._writes:
            self._writes = writes
            self._chains.clear()
            return None
        is_due, began = time.monotonic() >= self._look_at, time.thread_time()
        self._has_looked |= is_due
        resized = {table for table in self._tables if sizes[table] != before[table]}
        unknown = set(self._tables).difference(self._chains) if self._has_looked else set()
        tables = [table for table in self._tables if is_due or table in resized or table in unknown]
        found = [self._changed(table, is_resized=table in resized) for table in tables]
        if is_due:
            self._look_at = time.monotonic() + max(LOOK_SECONDS, (time.thread_time() - began) / LOOK_SHARE)
        return None if self._is_under_way(writes) else next(filter(None, found), None)

    def close(self) -> None:
        """Nothing is held."""

    def _is_under_way(self, writes: int) -> bool:
        """True where a write of ours began or ended: what there is to be is not known before it has ended."""
        if writes == self._own.writes and writes % 2 == 0:
            return False
        self._writes = -1
        return True

    def _changed(self, table: _Table, *, is_resized: bool) -> str | None:
        name, family = table
        where = f"the {name.value} table of IPv{family.value}"
        known = self._chains.get(table)
        self._chains[table] = None
        try:
            found = self._chains[table] = concerning(family, name, self._ownership)
        except KernelRefusal as refusal:
            return f"{where} has another size, and that is all that is known: {refusal}" if is_resized else None
        if known is None:
            return f"{where} has another size" if is_resized else None
        changed = min(
            (chain for chain in known.keys() | found.keys() if known.get(chain) != found.get(chain)), default=None
        )
        return None if changed is None else f"chain {changed} of {where} was changed"

    def _read(self) -> Mapping[_Table, TableSize | None]:
        return {(name, family): table_size(family, name) for name, family in self._tables}
