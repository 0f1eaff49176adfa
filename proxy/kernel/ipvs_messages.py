"""The bytes of IPVS' messages, both ways; `ipvs` sends and receives them.

The kernel asks for all that a server or destination is when one is made or edited, and tells it all when it is asked.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, assert_never

from netpol.dataplane.netlink import AF_NUMBERS, NESTED, Request, attribute, attributes, text_attribute
from netpol.model.networks import Address, Family
from netpol.model.ports import NUMBERS_WITH_PORTS, PROTOCOLS_BY_NUMBER
from netpol.model.services import SchedulerFlag
from netpol.settings import ConnectionTimeouts
from proxy.model import (
    AddDestination,
    AddServer,
    Destination,
    EditDestination,
    EditServer,
    Forwarding,
    HeldDestination,
    HeldServer,
    RemoveDestination,
    RemoveServer,
    Scheduling,
    ServerAddress,
    ServerKey,
    ServerMark,
    ServerStep,
    Traffic,
)

_CONTROLLER, _GET_FAMILY = 16, 3
_FAMILY_ID, _FAMILY_NAME = 1, 2
_VERSION = 1

_NEW_SERVER, _SET_SERVER, _DELETE_SERVER, _GET_SERVER = 1, 2, 3, 4
_NEW_DESTINATION, _SET_DESTINATION, _DELETE_DESTINATION, _GET_DESTINATION = 5, 6, 7, 8
_SET_CONFIGURATION = 12

_SERVER, _DESTINATION, _TCP_SECONDS, _TCP_FIN_SECONDS, _UDP_SECONDS = 1, 2, 4, 5, 6
# Of a server.
_AF, _PROTOCOL, _ADDRESS, _PORT, _MARK, _SCHEDULER, _FLAGS, _PERSISTENCE, _NETMASK = 1, 2, 3, 4, 5, 6, 7, 8, 9
_TRAFFIC, _TRAFFIC_64 = 10, 12
# Of a destination.
_TO_ADDRESS, _TO_PORT, _FORWARDING, _WEIGHT, _UPPER_THRESHOLD, _LOWER_THRESHOLD = 1, 2, 3, 4, 5, 6
_ACTIVE, _INACTIVE, _PERSISTENT, _TO_AF, _TUNNEL_TYPE = 7, 8, 9, 11, 13
_TRAFFIC_FIELDS = range(1, 11)
"""In the order of `Traffic`."""

_FAMILIES = {number: family for family, number in AF_NUMBERS.items()}
_ADDRESS_BYTES = 16

_IS_PERSISTENT = 0x01
_FLAG_BITS = {SchedulerFlag.FIRST: 0x08, SchedulerFlag.SECOND: 0x10, SchedulerFlag.THIRD: 0x20}
_ALL_FLAGS = 0xFFFFFFFF
_FORWARDING_METHODS = {each.value: each for each in Forwarding}

_HALF, _WORD, _SIGNED, _PAIR = struct.Struct("=H"), struct.Struct("=I"), struct.Struct("=i"), struct.Struct("=II")
_NETWORK_HALF = struct.Struct("!H")

Addition = AddServer | AddDestination


def family_request() -> Request:
    """Ask for the number of IPVS among the kernel's families of messages; the kernel loads its module."""
    return Request(_CONTROLLER, text_attribute(_FAMILY_NAME, "IPVS"), _GET_FAMILY, version=_VERSION)


def decode_family(answer: bytes) -> int:
    """The number of IPVS."""
    return int.from_bytes(attributes(answer)[_FAMILY_ID], sys.byteorder)


def servers_request(family_id: int) -> Request:
    """Ask for every server."""
    return Request(family_id, b"", _GET_SERVER, version=_VERSION)


def server_request(family_id: int, key: ServerKey) -> Request:
    """Ask for one server."""
    return Request(family_id, _server(key), _GET_SERVER, version=_VERSION)


def destinations_request(family_id: int, key: ServerKey) -> Request:
    """Ask for the destinations of one server."""
    return Request(family_id, _server(key), _GET_DESTINATION, version=_VERSION)


def timeouts_request(family_id: int, timeouts: ConnectionTimeouts) -> Request:
    """Set the times that are given."""
    given = ((_TCP_SECONDS, timeouts.tcp), (_TCP_FIN_SECONDS, timeouts.tcp_fin), (_UDP_SECONDS, timeouts.udp))
    body = b"".join(attribute(kind, _WORD.pack(seconds)) for kind, seconds in given if seconds is not None)
    return Request(family_id, body, _SET_CONFIGURATION, version=_VERSION)


def step_request(family_id: int, step: ServerStep) -> Request:
    """Ask for what the step does."""
    match step:
        case AddServer(key, scheduling):
            command, body = _NEW_SERVER, _server(key, _scheduling(key, scheduling))
        case EditServer(key, scheduling):
            command, body = _SET_SERVER, _server(key, _scheduling(key, scheduling))
        case RemoveServer(key):
            command, body = _DELETE_SERVER, _server(key)
        case AddDestination(key, destination, weight, forwarding):
            command, body = _NEW_DESTINATION, _server(key) + _destination(destination, weight, forwarding)
        case EditDestination(key, destination, weight, forwarding):
            command, body = _SET_DESTINATION, _server(key) + _destination(destination, weight, forwarding)
        case RemoveDestination(key, destination):
            command, body = _DELETE_DESTINATION, _server(key) + _destination(destination)
        case _:
            assert_never(step)
    return Request(family_id, body, command, version=_VERSION)


def correction(addition: Addition) -> EditServer | EditDestination:
    """What makes fit that which is there already."""
    if isinstance(addition, AddServer):
        return EditServer(addition.key, addition.scheduling)
    return EditDestination(addition.key, addition.destination, addition.weight, addition.forwarding)


def describe(step: ServerStep) -> str:
    """That the step cannot be done, in words.

    >>> describe(RemoveServer(ServerMark(Family.IPV4, 0x4E000001)))
    'virtual server mark 0x4e000001 of IPv4 cannot be removed'
    """
    match step:
        case AddServer(key):
            return f"virtual server {key} cannot be added"
        case EditServer(key):
            return f"virtual server {key} cannot be edited"
        case RemoveServer(key):
            return f"virtual server {key} cannot be removed"
        case AddDestination(key, destination):
            return f"destination {destination} cannot be added to virtual server {key}"
        case EditDestination(key, destination):
            return f"destination {destination} of virtual server {key} cannot be edited"
        case RemoveDestination(key, destination):
            return f"destination {destination} of virtual server {key} cannot be removed"
        case _:
            assert_never(step)


def decode_server(answer: bytes) -> HeldServer | None:
    """A server without its destinations; None for one of a protocol that no service has."""
    fields = attributes(attributes(answer).get(_SERVER, b""))
    family = _FAMILIES[_number(fields[_AF])]
    key: ServerKey
    if _MARK in fields:
        key = ServerMark(family, _number(fields[_MARK]))
    else:
        protocol = PROTOCOLS_BY_NUMBER[family].get(_number(fields[_PROTOCOL]))
        if protocol is None or not protocol.has_ports:
            return None
        key = ServerAddress(_decode_address(fields[_ADDRESS], family), protocol, _port(fields[_PORT]))
    flags = _WORD.unpack_from(fields[_FLAGS])[0]
    scheduling = Scheduling(
        fields[_SCHEDULER].rstrip(b"\0").decode("ascii", "replace"),
        frozenset(flag for flag, bit in _FLAG_BITS.items() if flags & bit),
        _number(fields[_PERSISTENCE]) if flags & _IS_PERSISTENT else None,
    )
    return HeldServer(key, scheduling, traffic=_decode_traffic(fields))


def decode_destination(answer: bytes, key: ServerKey) -> tuple[Destination, HeldDestination]:
    """A destination of this server, and how it is held."""
    fields = attributes(attributes(answer).get(_DESTINATION, b""))
    # Before Linux 3.18 a destination has its server's family and does not say so.
    family = _FAMILIES[_number(fields[_TO_AF])] if _TO_AF in fields else key.family
    is_plain = not any(fields.get(_TUNNEL_TYPE, b""))
    return Destination(_decode_address(fields[_TO_ADDRESS], family), _port(fields[_TO_PORT])), HeldDestination(
        _SIGNED.unpack(fields[_WEIGHT])[0],
        _FORWARDING_METHODS.get(_number(fields[_FORWARDING])) if is_plain else None,
        _number(fields[_ACTIVE]),
        _number(fields[_INACTIVE]),
        _number(fields[_PERSISTENT]),
    )


@lru_cache(maxsize=1024)
def _identity(key: ServerKey) -> bytes:
    """What tells the server apart."""
    af = attribute(_AF, _HALF.pack(AF_NUMBERS[key.family]))
    if isinstance(key, ServerMark):
        return af + attribute(_MARK, _WORD.pack(key.mark))
    return b"".join(
        (
            af,
            attribute(_PROTOCOL, _HALF.pack(NUMBERS_WITH_PORTS[key.protocol])),
            attribute(_ADDRESS, _pack_address(key.address)),
            attribute(_PORT, _NETWORK_HALF.pack(key.port)),
        )
    )


def _server(key: ServerKey, scheduling: bytes = b"") -> bytes:
    return attribute(NESTED | _SERVER, _identity(key) + scheduling)


def _scheduling(key: ServerKey, scheduling: Scheduling) -> bytes:
    flags = sum(_FLAG_BITS[flag] for flag in scheduling.flags)
    if scheduling.persistence_seconds is not None:
        flags |= _IS_PERSISTENT
    # Of clients who stay, all bits of the address count: a mask for IPv4, the length of a prefix for IPv6.
    mask = 0xFFFFFFFF if key.family is Family.IPV4 else key.family.bits
    return b"".join(
        (
            text_attribute(_SCHEDULER, scheduling.scheduler),
            attribute(_FLAGS, _PAIR.pack(flags, _ALL_FLAGS)),
            attribute(_PERSISTENCE, _WORD.pack(scheduling.persistence_seconds or 0)),
            attribute(_NETMASK, _WORD.pack(mask)),
        )
    )


def _destination(destination: Destination, weight: int | None = None, forwarding: Forwarding | None = None) -> bytes:
    family = Family(destination.address.version)
    parts = [
        attribute(_TO_ADDRESS, _pack_address(destination.address)),
        attribute(_TO_PORT, _NETWORK_HALF.pack(destination.port)),
        attribute(_TO_AF, _HALF.pack(AF_NUMBERS[family])),
    ]
    if weight is not None and forwarding is not None:
        parts += (
            attribute(_FORWARDING, _WORD.pack(forwarding.value)),
            attribute(_WEIGHT, _SIGNED.pack(weight)),
            attribute(_UPPER_THRESHOLD, bytes(4)),
            attribute(_LOWER_THRESHOLD, bytes(4)),
        )
    return attribute(NESTED | _DESTINATION, b"".join(parts))


def _decode_traffic(fields: Mapping[int, bytes]) -> Traffic:
    counted = attributes(fields.get(_TRAFFIC_64) or fields.get(_TRAFFIC, b""))
    return Traffic(*(_number(counted.get(field, b"")) for field in _TRAFFIC_FIELDS))


def _pack_address(address: Address) -> bytes:
    return address.packed.ljust(_ADDRESS_BYTES, b"\0")


def _decode_address(packed: bytes, family: Family) -> Address:
    return IPv4Address(packed[:4]) if family is Family.IPV4 else IPv6Address(packed[:16])


def _port(packed: bytes) -> int:
    return int.from_bytes(packed[:2], "big")


_BYTE_ORDER: Literal["little", "big"] = sys.byteorder


def _number(packed: bytes) -> int:
    return int.from_bytes(packed, _BYTE_ORDER)
