"""The addresses of the current network namespace, asked of the kernel.

pyroute2 tells them too, and takes a quarter of a second and ten megabytes to import, which
an agent that starts again has not.
"""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import ip_address

from netpol.dataplane.netlink import DUMP, DUMP_INTERRUPTED, LAST_KINDS, REQUEST, attributes, message_heads
from netpol.errors import KernelRefusal
from netpol.model.networks import Address

_NEW_ADDRESS, _GET_ADDRESS = 20, 22
_ADDRESS, _LOCAL = 1, 2
_REQUEST = struct.pack("=IHHIIBBBBI", 24, _GET_ADDRESS, REQUEST | DUMP, 1, 0, socket.AF_UNSPEC, 0, 0, 0, 0)
_PREAMBLE_BYTES = len(_REQUEST)
_DATAGRAM_BYTES = 1 << 16
_SECONDS = 30.0
_ATTEMPTS = 20


def local_addresses() -> frozenset[Address]:
    """Every address of every link of this network namespace; KernelRefusal where the kernel does not tell them."""
    try:
        for _ in range(_ATTEMPTS):
            found = _told()
            if found is not None:
                return found
    except OSError as refused:
        raise KernelRefusal(f"the node's addresses cannot be read: {refused.strerror or refused}") from refused
    raise KernelRefusal("the node's addresses cannot be read: they kept changing while the kernel told them")


def _told() -> frozenset[Address] | None:
    """What one dump tells; None where it is of no one moment."""
    addresses: set[Address] = set()
    is_consistent = True
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(_SECONDS)
        kernel.bind((0, 0))
        kernel.send(_REQUEST)
        while True:
            datagram = kernel.recv(_DATAGRAM_BYTES)
            for offset, length, kind, flags, _, _ in message_heads(datagram):
                is_consistent = is_consistent and not flags & DUMP_INTERRUPTED
                if kind in LAST_KINDS:
                    number = -int(struct.unpack_from("=i", datagram, offset + 16)[0])
                    if number:
                        raise OSError(number, os.strerror(number))
                    return frozenset(addresses) if is_consistent else None
                if kind == _NEW_ADDRESS:
                    # Of a link to one peer, the address alone is the peer's.
                    fields = attributes(datagram[offset + _PREAMBLE_BYTES : offset + length])
                    packed = fields.get(_LOCAL) or fields.get(_ADDRESS)
                    if packed is not None:
                        addresses.add(ip_address(packed))
