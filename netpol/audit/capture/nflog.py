"""The kernel's packet log: what rules that log hand to their group, read by this process alone."""

from __future__ import annotations

import errno
import select
import struct
from collections import deque
from pathlib import Path
from typing import Self

from netpol.audit.capture.packet import HEADER_BYTES
from netpol.dataplane.netlink import (
    ACKNOWLEDGE,
    NFLOG,
    Request,
    acknowledgements,
    attribute,
    open_socket,
    pack,
)
from netpol.errors import KernelRefusal

RECEIVE_BUFFER_BYTES = 16 << 20
"""The kernel counts twice as much, each datagram with all the memory it lies in: some 100,000 packets."""

_CONFIGURE = NFLOG | 1
_COMMAND, _MODE, _BUFFER, _TIMEOUT, _THRESHOLD, _FLAGS = 1, 2, 3, 4, 5, 6
_BIND, _UNBIND = b"\1", b"\2"
_COPY_PACKET = 2
_NUMBERED = 1

_BATCH_PACKETS = 64
_BATCH_CENTISECONDS = 10
_BATCH_BYTES = (16 << 10) - 512
"""With what the kernel adds, one piece of memory of 16 kB: a little more would take, and count as, 32."""

_SEQUENCE = 1
_DATAGRAM_BYTES = 64 << 10
_ANSWER_SECONDS = 10.0
_EMPTY = frozenset({errno.EAGAIN, errno.EINTR})

_READERS = Path("/proc/thread-self/net/netfilter/nfnetlink_log")


class PacketLog:
    """The only reader of one group, in the network namespace of the thread that opens it; for one thread.

    Packets come in batches, up to a tenth of a second after they were logged, and numbered, so
    that gaps tell how many the kernel had no room for. KernelRefusal where the group is
    another's, where the right to read it is missing, or where the kernel has no NFLOG.
    """

    def __init__(self, group: int, receive_buffer_bytes: int = RECEIVE_BUFFER_BYTES) -> None:
        self._group = group
        self._overran = False
        self._early: deque[bytes] = deque()
        try:
            self._socket = open_socket(0, receive_buffer_bytes)
        except OSError as refused:
            raise KernelRefusal(f"no netlink socket for the packet log: {refused.strerror}") from refused
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        try:
            self._bind()
        except OSError as refused:
            self._socket.close()
            raise KernelRefusal(f"{self._what()}: {self._reason(refused)}") from refused

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the group back; what was not received is gone."""
        self._socket.close()

    def stop(self) -> None:
        """Nothing more is logged to this reader; what the kernel still held is there to be received."""
        try:
            self._ask(attribute(_COMMAND, _UNBIND))
        except OSError as refused:
            raise KernelRefusal(f"{self._what()}: {refused.strerror}") from refused

    def wait(self, seconds: float) -> None:
        """Something was received, or the time has passed."""
        self._poll.poll(max(0.0, seconds) * 1000)

    def receive(self) -> bytes | None:
        """The next datagram; None where there is none at this moment."""
        try:
            return self._early.popleft() if self._early else self._read()
        except OSError as refused:
            raise KernelRefusal(f"{self._what()}: {refused.strerror}") from refused

    def take_overrun(self) -> bool:
        """True where the kernel has said since the last call that it had no room for packets."""
        overran, self._overran = self._overran, False
        return overran

    def _read(self) -> bytes | None:
        """The next datagram of the kernel's. What it had no room for is no failure: the numbers tell of it."""
        while True:
            try:
                datagram, (sender, _) = self._socket.recvfrom(_DATAGRAM_BYTES)
            except OSError as refused:
                if refused.errno in _EMPTY:
                    return None
                if refused.errno != errno.ENOBUFS:
                    raise
                self._overran = True
            else:
                # Any process may write to this address; only the kernel's is 0.
                if sender == 0:
                    return datagram

    def _bind(self) -> None:
        """All in one message: no packet is logged to this reader without a number, or in full length."""
        self._ask(
            attribute(_COMMAND, _BIND)
            + attribute(_MODE, struct.pack("!IBx", HEADER_BYTES, _COPY_PACKET))
            + attribute(_BUFFER, struct.pack("!I", _BATCH_BYTES))
            + attribute(_TIMEOUT, struct.pack("!I", _BATCH_CENTISECONDS))
            + attribute(_THRESHOLD, struct.pack("!I", _BATCH_PACKETS))
            + attribute(_FLAGS, struct.pack("!H", _NUMBERED)),
            flags=ACKNOWLEDGE,
        )
        while not self._is_done():
            pass

    def _ask(self, body: bytes, flags: int = 0) -> None:
        """The kernel has carried out the request when this returns, whether or not it answers."""
        self._socket.send(pack(Request(_CONFIGURE, body, flags=flags, resource=self._group), _SEQUENCE))

    def _is_done(self) -> bool:
        """True where the next datagram says so, NetlinkError where it refuses; any other is kept, if there is one."""
        if not self._poll.poll(_ANSWER_SECONDS * 1000):
            raise TimeoutError(errno.ETIMEDOUT, "the kernel did not answer")
        datagram = self._read()
        if datagram is None:
            return False
        for sequence, refusal in acknowledgements(datagram):
            if sequence == _SEQUENCE:
                if refusal is not None:
                    raise refusal
                return True
        self._early.append(datagram)
        return False

    def _what(self) -> str:
        return f"the packets logged to NFLOG group {self._group} cannot be read"

    def _reason(self, refused: OSError) -> str:
        if refused.errno in (errno.EPERM, errno.EBUSY):
            if self._is_taken():
                return "another program reads this group, and the kernel tells each packet to one reader"
            return "it takes root (CAP_NET_ADMIN)"
        if refused.errno == errno.EINVAL:
            return "the kernel has no NFLOG (modprobe nfnetlink_log)"
        return refused.strerror or str(refused)

    def _is_taken(self) -> bool:
        """True where the kernel lists a reader of the group."""
        try:
            listed = _READERS.read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return any(line.split()[:1] == [str(self._group)] for line in listed)
