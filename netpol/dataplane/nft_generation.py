"""The number of nf_tables' rules as they are now, which every transaction that is carried out makes another one."""

from __future__ import annotations

import socket
import struct
import weakref

from netpol.dataplane.netlink import NETLINK_NETFILTER, NFTABLES, PREAMBLE_BYTES, attributes, message_heads

_NEW, _GET = NFTABLES | 15, NFTABLES | 16
_NUMBER = 1
_REQUEST = struct.pack("=IHHIIBBH", 20, _GET, 1, 0, 0, socket.AF_UNSPEC, 0, 0)
_DATAGRAM_BYTES = 1 << 13
_SECONDS = 1.0


class NftGeneration:
    """Asks for the number, in the network namespace of the thread that asks first.

    Its socket stays open: the end of one waits until the kernel has freed what was deleted.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def read(self) -> int | None:
        """The number; None where the kernel does not tell it."""
        try:
            if self._socket is None:
                self._socket = socket.socket(
                    socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
                )
                self._socket.settimeout(_SECONDS)
                weakref.finalize(self, self._socket.close)
            self._socket.send(_REQUEST)
            datagram = self._socket.recv(_DATAGRAM_BYTES)
        except OSError:
            return None
        for offset, length, kind, *_ in message_heads(datagram):
            number = attributes(datagram[offset + PREAMBLE_BYTES : offset + length]).get(_NUMBER)
            if kind == _NEW and number is not None:
                return int.from_bytes(number, "big")
        return None
