"""One socket to a family of netlink's, netfilter where no other is asked for: requests, acknowledgements, dumps.

It knows messages and attributes, and nothing of what they mean. A socket belongs to one
thread, and to the network namespace it was opened in.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from netpol.dataplane.closing import Closing
from netpol.model.networks import Family

NETLINK_ROUTE, NETLINK_NETFILTER, NETLINK_GENERIC = 0, 12, 16
AF_NUMBERS = {Family.IPV4: int(socket.AF_INET), Family.IPV6: int(socket.AF_INET6)}

CONNTRACK = 1 << 8
NFLOG = 4 << 8
IPSET = 6 << 8
NFTABLES = 10 << 8
"""Subsystems; a message's kind is one of these plus the subsystem's command."""

NESTED = 0x8000
NETWORK_ORDER = 0x4000
_KIND = 0x3FFF

REQUEST, ACKNOWLEDGE, EXCLUSIVE, DUMP, CREATE = 0x1, 0x4, 0x200, 0x300, 0x400
DUMP_INTERRUPTED = 0x10
_ERROR, _DONE, _FIRST_KIND = 2, 3, 16
LAST_KINDS = frozenset({_ERROR, _DONE})

_HEADER = struct.Struct("=IHHII")
_SUBHEADER = struct.Struct("=BBH")
PREAMBLE_BYTES = _HEADER.size + _SUBHEADER.size
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=i")

_SO_RCVBUFFORCE = 33
_TRUNCATED = int(socket.MSG_TRUNC)
_RECEIVE_BUFFER_BYTES = 8 << 20
_DATAGRAM_BYTES = 1 << 18
"""More than any answer has: an error echoes its request, which is at most 64 kB."""

_BATCH_BYTES = 60_000
_BATCH_MESSAGES = 256
_ATTEMPTS = 20
TIMEOUT_SECONDS = 30.0


class NetlinkError(OSError):
    """The kernel's refusal; `echoed` are the attributes of the request as it sent them back."""

    def __init__(self, number: int, echoed: dict[int, bytes] | None = None) -> None:
        super().__init__(number, os.strerror(number) if number < 4096 else f"netfilter error {number}")
        self.number = number
        self.echoed = echoed or {}


class Request(NamedTuple):
    """A message to the kernel: a subsystem's command, and its attributes packed.

    The four bytes before the attributes are netfilter's `family`, `version` and `resource`. Generic netlink
    has its command and the version of the subsystem there. Rtnetlink's heads are longer: what follows is the
    beginning of `body`, and where one has the length of a prefix, this is the `version`.
    """

    kind: int
    body: bytes = b""
    family: int = socket.AF_UNSPEC
    flags: int = 0
    resource: int = 0
    version: int = 0


def attribute(kind: int, payload: bytes) -> bytes:
    """A netlink attribute, padded to four bytes.

    >>> attribute(2, b"ab").hex()
    '0600020061620000'
    """
    return _ATTRIBUTE.pack(len(payload) + 4, kind) + payload + bytes(-len(payload) & 3)


def text_attribute(kind: int, text: str) -> bytes:
    """An attribute that holds a text, ended by a zero byte."""
    return attribute(kind, text.encode() + b"\0")


def number_attribute(kind: int, number: int) -> bytes:
    """An attribute that holds 32 bits in network order and says so."""
    return attribute(kind | NETWORK_ORDER, number.to_bytes(4, "big"))


def word_attribute(kind: int, number: int) -> bytes:
    """An attribute that holds 32 bits in the order of this machine, as all but netfilter's do."""
    return attribute(kind, number.to_bytes(4, sys.byteorder))


def word(payload: bytes) -> int:
    """The number in the order of this machine that an attribute holds; 0 where it is empty."""
    return int.from_bytes(payload, sys.byteorder)


def attributes(payload: bytes) -> dict[int, bytes]:
    """The attributes of one level by kind, flags taken off; a later one hides an earlier one of its kind."""
    found: dict[int, bytes] = {}
    offset, end = 0, len(payload)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(payload, offset)
        if length < 4:
            break
        found[kind & _KIND] = payload[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def elements(payload: bytes) -> Iterator[bytes]:
    """The payloads of attributes that are a list, in order: their kinds are all the same."""
    offset, end = 0, len(payload)
    while offset + 4 <= end:
        length, _ = _ATTRIBUTE.unpack_from(payload, offset)
        if length < 4:
            return
        yield payload[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def pack(request: Request, sequence: int) -> bytes:
    """The request as a message that the kernel answers by this number, padded to four bytes."""
    kind, body, family, flags, resource, version = request
    length = _HEADER.size + _SUBHEADER.size + len(body)
    head = _HEADER.pack(length, kind, flags | REQUEST, sequence, 0)
    return head + _SUBHEADER.pack(family, version, socket.htons(resource)) + body + bytes(-length & 3)


class NetlinkSocket(Closing):
    """A connection to the kernel in the network namespace of the thread that opens it."""

    def __init__(self, timeout_seconds: float = TIMEOUT_SECONDS, protocol: int = NETLINK_NETFILTER) -> None:
        self._socket = open_socket(timeout_seconds, protocol=protocol)
        self._buffer = memoryview(bytearray(_DATAGRAM_BYTES))
        self._buffers = (self._buffer,)
        self._sequence = 0

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def call(self, request: Request) -> None:
        """The kernel has done what was asked; NetlinkError where it refused, or where its answer was lost."""
        for refusal in self.call_all((request,)):
            if refusal is not None:
                raise refusal

    def call_all(self, requests: Iterable[Request]) -> Iterator[NetlinkError | None]:
        """Each request's refusal or None, in order; many are under way at once, and none depends on the others.

        NetlinkError where a request could not be sent or its answer was lost: it, and those
        after it, may or may not have been carried out.
        """
        pending = iter(requests)
        while batch := _batch(pending):
            yield from self._call_batch(batch)

    def dump(self, request: Request, wanted: Callable[[bytes], bool] | None = None) -> list[bytes]:
        """The attributes of each message that answers the request, of one consistent dump.

        What changes while the kernel tells it is told anew. Of many answers only those that
        are `wanted` are kept.
        """
        for _ in range(_ATTEMPTS):
            answers = self._answers(request._replace(flags=request.flags | DUMP), wanted)
            if answers is not None:
                return answers
        raise NetlinkError(errno.EINTR)

    def ask(self, request: Request) -> list[bytes]:
        """The attributes of each message that answers the request, which is for one thing."""
        answers = self._answers(request._replace(flags=request.flags | ACKNOWLEDGE), None)
        if answers is None:
            raise NetlinkError(errno.ENOBUFS)
        return answers

    def _call_batch(self, batch: Sequence[Request]) -> list[NetlinkError | None]:
        # The kernel answers in order, and refuses in any case: once the last request is answered, all are. To read
        # an acknowledgement of each would take longer than to have thousands of them carried out.
        *others, last = batch
        sequences = self._send([*others, last._replace(flags=last.flags | ACKNOWLEDGE)])
        refusals: dict[int, NetlinkError | None] = {}
        while self._sequence not in refusals:
            refusals.update(each for each in acknowledgements(self._receive()) if each[0] in sequences)
        return [refusals.get(sequence) for sequence in sequences]

    def _answers(self, request: Request, wanted: Callable[[bytes], bool] | None) -> list[bytes] | None:
        """The answers; None where the kernel says they do not fit together, or where some were lost."""
        (sequence,) = self._send([request])
        answers: list[bytes] = []
        consistent = True
        while True:
            try:
                datagram = self._receive()
            except NetlinkError as lost:
                if lost.number != errno.ENOBUFS:
                    raise
                return None
            # Plain tuples and slices: a busy node's connections are tens of thousands of messages.
            for offset, length, kind, flags, answered, _ in message_heads(datagram):
                if answered != sequence:
                    continue
                consistent = consistent and not flags & DUMP_INTERRUPTED
                if kind in LAST_KINDS:
                    if refusal := _refusal(datagram[offset + _HEADER.size : offset + length]):
                        raise refusal
                    return answers if consistent else None
                answer = datagram[offset + PREAMBLE_BYTES : offset + length]
                if wanted is None or wanted(answer):
                    answers.append(answer)

    def _send(self, requests: Sequence[Request]) -> dict[int, Request]:
        """Send the requests as one datagram; each by its sequence number, in order."""
        parts: list[bytes] = []
        sent: dict[int, Request] = {}
        for request in requests:
            self._sequence = (self._sequence + 1) & 0x7FFFFFFF
            sent[self._sequence] = request
            parts.append(pack(request, self._sequence))
        with _as_netlink_error():
            self._socket.send(b"".join(parts))
        return sent

    def _receive(self) -> bytes:
        """One datagram of the kernel's; NetlinkError where one was lost or none came in time."""
        with _as_netlink_error():
            length, _, flags, sender = self._socket.recvmsg_into(self._buffers)
        if flags & _TRUNCATED:
            raise NetlinkError(errno.EMSGSIZE)
        # Any process may write to this address; only the kernel's is 0.
        return bytes(self._buffer[:length]) if sender[0] == 0 else b""


@contextmanager
def _as_netlink_error() -> Iterator[None]:
    """What the socket itself refuses, or waits for in vain, is a NetlinkError too."""
    try:
        yield
    except TimeoutError as silence:
        raise NetlinkError(errno.ETIMEDOUT) from silence
    except OSError as refused:
        raise NetlinkError(refused.errno or errno.EIO) from refused


def _batch(pending: Iterator[Request]) -> list[Request]:
    batch: list[Request] = []
    size = 0
    for request in islice(pending, _BATCH_MESSAGES):
        batch.append(request)
        size += len(request.body) + 24
        if size > _BATCH_BYTES:
            break
    return batch


def message_heads(datagram: bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Of each message: where it starts, its length, kind, flags, sequence number and the socket it answers or is from.

    Its own fields start `PREAMBLE_BYTES` after that, behind netlink's head and netfilter's.
    """
    offset, last = 0, len(datagram) - _HEADER.size
    while offset <= last:
        length, kind, flags, sequence, port = _HEADER.unpack_from(datagram, offset)
        if length < _HEADER.size:
            return
        if kind >= _FIRST_KIND or kind in LAST_KINDS:
            yield offset, length, kind, flags, sequence, port
        offset += (length + 3) & ~3


def acknowledgements(datagram: bytes) -> Iterator[tuple[int, NetlinkError | None]]:
    """Of each request that the datagram says the end of: its sequence number, and its refusal or None."""
    for offset, length, kind, _, sequence, _ in message_heads(datagram):
        if kind == _ERROR:
            yield sequence, _refusal(datagram[offset + _HEADER.size : offset + length])


def _refusal(payload: bytes) -> NetlinkError | None:
    """What an error or the end of a dump says; a zero is an acknowledgement."""
    if len(payload) < _NUMBER.size:
        return None
    number = -_NUMBER.unpack_from(payload)[0]
    if number == 0:
        return None
    echo = _NUMBER.size + _HEADER.size + _SUBHEADER.size
    return NetlinkError(number, attributes(payload[echo:]))


def open_socket(
    timeout_seconds: float,
    receive_buffer_bytes: int = _RECEIVE_BUFFER_BYTES,
    protocol: int = NETLINK_NETFILTER,
) -> socket.socket:
    """A socket to the kernel in the thread's network namespace, with room for so much of what it sends."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        kernel.bind((0, 0))
        kernel.settimeout(timeout_seconds)
        enlarge_receive_buffer(kernel, receive_buffer_bytes)
    except OSError:
        kernel.close()
        raise
    return kernel


def enlarge_receive_buffer(kernel: socket.socket, size: int = _RECEIVE_BUFFER_BYTES) -> None:
    """Make room for what the kernel sends at once; without the right to, the system's limit holds."""
    try:
        kernel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
