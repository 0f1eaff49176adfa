"""The kernel's connection table, read and pruned over netlink.

Nothing is filtered in the kernel: its address filter (CTA_FILTER) matches the inverse
for IPv6, so that a flush by filter would forget every flow but the wanted ones.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from netpol.dataplane.kernel import Flow
from netpol.dataplane.netlink import AF_NUMBERS, CONNTRACK, NESTED, Request, attribute, attributes
from netpol.dataplane.netlink_client import NetlinkClient
from netpol.errors import KernelRefusal
from netpol.model.networks import Address, Family
from netpol.model.ports import PROTOCOLS_BY_NUMBER

_GET, _DELETE = CONNTRACK | 1, CONNTRACK | 2

_ORIGINAL, _REPLY, _STATUS, _ID, _ZONE = 1, 2, 3, 12, 18
_ADDRESSES, _TRANSPORT = 1, 2
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_TRANSLATED_BY_RULE = 1 << 5
"""IPS_DST_NAT, which IPVS does not set on what it translates."""
_SOURCE_ADDRESS = {Family.IPV4: 1, Family.IPV6: 3}
_HEAD = struct.Struct("=HH")
_HEADS_BY_SIZE = {
    family.bits // 8: struct.pack("=HHHH", 12 + family.bits // 4, NESTED | _ADDRESSES, 4 + family.bits // 8, source)
    for family, source in _SOURCE_ADDRESS.items()
}
"""How the kernel begins a tuple: the head of both addresses, then that of the source; the protocol follows on them."""

_PROTOCOLS_BY_SIZE = {family.bits // 8: protocols for family, protocols in PROTOCOLS_BY_NUMBER.items()}

_REASONS = {
    errno.EINVAL: "the kernel cannot tell its connections (modprobe nf_conntrack_netlink)",
}


class NetlinkFlows(NetlinkClient):
    """`kernel.Flows`, in the network namespace of the thread that makes it; for one thread."""

    def __init__(self) -> None:
        super().__init__("conntrack", _REASONS)

    def read(self, *families: Family, touching: Collection[Address] | None = None) -> Sequence[Flow]:
        """Every flow of the families, or those with one of these addresses at an end.

        The kernel walks its whole table at each call, for ten milliseconds where it is large,
        however few connections there are: so both families are asked for at once. Few of many
        are kept: what is not wanted is told by its bytes and never decoded.
        """
        if not families or (touching is not None and not touching):
            return ()
        wanted = None if touching is None else _has_end_among(frozenset(each.packed for each in touching))
        asked = AF_NUMBERS[families[0]] if len(families) == 1 else socket.AF_UNSPEC
        with self._refusing("the connections cannot be read"):
            answers = self._netlink.dump(Request(_GET, family=asked), wanted)
        return tuple(_flows(answers))

    def delete(self, family: Family, flows: Iterable[Flow]) -> None:
        """Forget these flows; those already gone are no error.

        A flow is named by its original tuple, its zone and its number, so that a new one of the same tuple stays.
        """
        wanted = tuple(flows)
        if not all(flow.handle for flow in wanted):
            # To the kernel, a deletion that names no flow means all of them.
            raise KernelRefusal("a connection that was not read from the kernel cannot be deleted there")
        requests = (Request(_DELETE, flow.handle, AF_NUMBERS[family]) for flow in wanted)
        with self._refusing("connections cannot be deleted"):
            refusals = list(self._netlink.call_all(requests))
        for flow, refused in zip(wanted, refusals, strict=True):
            if refused is not None and refused.number != errno.ENOENT:
                which = f"the connection from {flow.source} to {flow.destination}"
                raise KernelRefusal(f"{which} cannot be deleted: {self._reason(refused)}") from refused


def _has_end_among(packed: frozenset[bytes]) -> Callable[[bytes], bool]:
    """True of an answer whose original source, original destination or reply's source is one of the addresses.

    Both tuples start with their addresses, and those with the source: heads of four bytes
    lead to it, one for the tuple, one for its addresses, one for the address. The original
    tuple comes first and its length says where the reply's starts.
    """
    ends = {head: (16 + size, 12 + size, 16 + 2 * size) for size, head in _HEADS_BY_SIZE.items()}

    def is_wanted(answer: bytes) -> bool:
        length, kind = _HEAD.unpack_from(answer)
        reply = (length + 3) & ~3
        head = answer[4:12]
        if kind != NESTED | _ORIGINAL or head not in ends or answer[reply + 4 : reply + 12] != head:
            return not packed.isdisjoint(_ends(answer))
        destination, source_end, destination_end = ends[head]
        return (
            answer[12:source_end] in packed
            or answer[destination:destination_end] in packed
            or answer[reply + 12 : reply + source_end] in packed
        )

    return is_wanted


def _ends(answer: bytes) -> tuple[bytes, bytes, bytes]:
    """The addresses that `_has_end_among` looks for, wherever they are told."""
    fields = attributes(answer)
    original, reply = (attributes(attributes(fields[each])[_ADDRESSES]) for each in (_ORIGINAL, _REPLY))
    source = _source_kind(original)
    return original[source], original[source + 1], reply[source]


def _source_kind(addresses: Mapping[int, bytes]) -> int:
    """The kind of the attribute that holds the source, which depends on the family."""
    return next(kind for kind in _SOURCE_ADDRESS.values() if kind in addresses)


def _flows(answers: Iterable[bytes]) -> Iterator[Flow]:
    for answer in answers:
        fields = attributes(answer)
        source, opened = _end(fields[_ORIGINAL])
        # Who answers is who was reached: the backend, where a service address was translated.
        destination, told = _end(fields[_REPLY])
        transport = attributes(told)
        protocol = _PROTOCOLS_BY_SIZE[len(source)].get(transport[_NUMBER][0])
        has_ports = protocol is not None and protocol.has_ports
        handle = attribute(NESTED | _ORIGINAL, fields[_ORIGINAL]) + attribute(_ID, fields[_ID])
        if _ZONE in fields:
            handle += attribute(_ZONE, fields[_ZONE])
        service = _destination(fields[_ORIGINAL])
        by_ipvs = service != destination and not int.from_bytes(fields.get(_STATUS, b""), "big") & _TRANSLATED_BY_RULE
        asked_port = int.from_bytes(attributes(opened)[_DESTINATION_PORT], "big") if by_ipvs and has_ports else None
        yield Flow(
            source=_address(source),
            destination=_address(destination),
            protocol=protocol,
            port=int.from_bytes(transport[_SOURCE_PORT], "big") if has_ports else None,
            handle=handle,
            asked=(_address(service), asked_port) if by_ipvs else None,
        )


def _end(told: bytes) -> tuple[bytes, bytes]:
    """The source address of a tuple, and the attributes of its protocol."""
    for size, head in _HEADS_BY_SIZE.items():
        if told.startswith(head):
            return told[8 : 8 + size], told[16 + 2 * size :]
    fields = attributes(told)
    addresses = attributes(fields[_ADDRESSES])
    return addresses[_source_kind(addresses)], fields[_TRANSPORT]


def _destination(told: bytes) -> bytes:
    """The destination address of a tuple."""
    for size, head in _HEADS_BY_SIZE.items():
        if told.startswith(head):
            return told[12 + size : 12 + 2 * size]
    addresses = attributes(attributes(told)[_ADDRESSES])
    return addresses[_source_kind(addresses) + 1]


@lru_cache(maxsize=1 << 14)
def _address(packed: bytes) -> Address:
    """The address; of many flows most have the same ends."""
    return ipaddress.ip_address(packed)
