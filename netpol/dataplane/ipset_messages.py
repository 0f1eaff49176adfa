"""The bytes of ipset's netlink messages, both ways; `ipset` sends and receives them.

hash:net and hash:ip,port,net mask what lies beyond a prefix, and the member reads back masked.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

from netpol.compiler.ruleset import (
    AddressPort,
    AddressPortAddress,
    AddressPortNetwork,
    IpSet,
    Member,
    NetworkMember,
    SetReference,
    SetType,
)
from netpol.dataplane.kernel import SetSummary
from netpol.dataplane.members import misfit
from netpol.dataplane.netlink import (
    EXCLUSIVE,
    IPSET,
    NESTED,
    NETWORK_ORDER,
    Request,
    attribute,
    attributes,
    elements,
    number_attribute,
    text_attribute,
)
from netpol.model.networks import Family
from netpol.model.ports import NUMBERS_WITH_PORTS, Protocol

CREATE, DESTROY, LIST, ADD, REMOVE = IPSET | 2, IPSET | 3, IPSET | 7, IPSET | 9, IPSET | 10

SET_NAME, LINE_NUMBER = 2, 9
_PROTOCOL, _TYPE_NAME, _REVISION, _FAMILY, _FLAGS, _DATA, _MEMBERS = 1, 3, 4, 5, 6, 7, 8
_ADDRESS, _PREFIX, _PORT, _TIMEOUT, _PROTOCOL_NUMBER, _MEMBER_FLAGS = 1, 3, 4, 6, 7, 8
_PEER, _PEER_PREFIX = 20, 21
_HASH_SIZE, _MAX_MEMBERS, _LIST_SIZE, _MEMBER_NAME, _COMMENT, _MEMBER_COUNT = 18, 19, 23, 18, 26, 24

_HEADERS_ONLY = 4
_NOMATCH = 4
_WITH_COMMENT = 16

MESSAGE_BYTES = 60_000
"""An attribute's length has 16 bits, and all members of a message are in one."""

MAX_MEMBERS = 1 << 20
"""ipset's default is 65,536: fewer than the pods of a large cluster. It costs nothing until they are there."""

LIST_SIZE = 1 << 16
"""ipset's default is 8. No namespace of the kernel's can hold more sets than this."""

_SMALLEST_HASH = 64
"""The kernel's least. Its default of 1,024 costs 8 kB a set, and thousands of sets hold a few members each."""

# The oldest revisions that have what is used: nomatch since 2, SCTP ports since 1, a list:set's comments since 2.
_REVISIONS = {
    SetType.ADDRESSES: 0,
    SetType.NETWORKS: 2,
    SetType.ADDRESS_PORTS: 1,
    SetType.ADDRESS_PORT_ADDRESSES: 1,
    SetType.ADDRESS_PORT_NETWORKS: 1,
    SetType.SETS: 2,
}
# The oldest ones that keep comments.
_REVISIONS_WITH_COMMENTS = {
    SetType.ADDRESSES: 3,
    SetType.NETWORKS: 4,
    SetType.ADDRESS_PORTS: 3,
    SetType.ADDRESS_PORT_ADDRESSES: 3,
    SetType.ADDRESS_PORT_NETWORKS: 5,
    SetType.SETS: 2,
}
_FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6, None: socket.AF_UNSPEC}
_FAMILY_BY_NUMBER = {int(number): family for family, number in _FAMILIES.items()}
_PROTOCOLS_BY_NUMBER = {number: protocol for protocol, number in NUMBERS_WITH_PORTS.items()}

_VERSION = attribute(_PROTOCOL, b"\x07")
_HEAD = struct.Struct("=HH")
_LINE = struct.Struct("=HHI")
_LINE_BYTES = 8

_ADDRESS_HEADS, _PEER_HEADS = (
    {
        4: _HEAD.pack(12, NESTED | which) + _HEAD.pack(8, NETWORK_ORDER | 1),
        16: _HEAD.pack(24, NESTED | which) + _HEAD.pack(20, NETWORK_ORDER | 2),
    }
    for which in (_ADDRESS, _PEER)
)
_PREFIX_ATTRIBUTE = struct.Struct("=HHB3x")
_PORT_HEAD = _HEAD.pack(6, NETWORK_ORDER | _PORT)
_PORT_NUMBER = struct.Struct("!H2x")
_NUMBER_ATTRIBUTE = struct.Struct("=HHB3x")
_NOMATCH_ATTRIBUTE = number_attribute(_MEMBER_FLAGS, _NOMATCH)


def all_request() -> Request:
    """Ask for all sets with their members."""
    return Request(LIST, _VERSION, socket.AF_INET)


def headers_request() -> Request:
    """Ask what all sets are, without their members."""
    return Request(LIST, _VERSION + number_attribute(_FLAGS, _HEADERS_ONLY), socket.AF_INET)


def list_request(name: str) -> Request:
    """Ask for a set with its members."""
    return _named(LIST, name)


def destroy_request(name: str) -> Request:
    """Destroy a set."""
    return _named(DESTROY, name)


def _named(command: int, name: str) -> Request:
    return Request(command, _VERSION + text_attribute(SET_NAME, name), socket.AF_INET)


def create_request(target: IpSet, max_members: int = MAX_MEMBERS) -> Request:
    """Create the set, empty, with room for what it is to hold: hashes are sized by its members.

    list:sets always keep a comment for each member.
    """
    revision = (_REVISIONS_WITH_COMMENTS if target.has_comments else _REVISIONS)[target.type]
    if target.type is SetType.SETS:
        options = number_attribute(_LIST_SIZE, LIST_SIZE) + number_attribute(_MEMBER_FLAGS, _WITH_COMMENT)
    else:
        size = max(_SMALLEST_HASH, min(len(target.members), max_members))
        options = number_attribute(_HASH_SIZE, size) + number_attribute(_MAX_MEMBERS, max_members)
        if target.has_comments:
            options += number_attribute(_MEMBER_FLAGS, _WITH_COMMENT)
    if target.timeout_seconds is not None:
        options += number_attribute(_TIMEOUT, target.timeout_seconds)
    body = b"".join(
        (
            _VERSION,
            text_attribute(SET_NAME, target.name),
            text_attribute(_TYPE_NAME, target.type.value),
            attribute(_REVISION, bytes([revision])),
            attribute(_FAMILY, bytes([_FAMILIES[target.family]])),
            attribute(NESTED | _DATA, options),
        )
    )
    return Request(CREATE, body, socket.AF_INET, EXCLUSIVE)


def member_requests(command: int, target: IpSet, members: Sequence[Member]) -> Iterator[Request]:
    """Add or remove these members, as many in a message as fit; each carries its index from 1.

    A member gets the set's timeout, and gets it anew where it is there already. The kernel
    names the index of a refused member (`LINE_NUMBER`). ValueError, in words,
    for a member this set cannot hold.
    """
    head = _VERSION + text_attribute(SET_NAME, target.name) + attribute(LINE_NUMBER, bytes(4))
    parts: list[bytes] = []
    size = 0
    for index, member in enumerate(members, 1):
        if reason := misfit(target, member):
            raise ValueError(reason)
        fields = _encode(member)
        length = len(fields) + 4 + _LINE_BYTES
        if size + length > MESSAGE_BYTES:
            yield Request(command, head + _HEAD.pack(size + 4, NESTED | _MEMBERS) + b"".join(parts), socket.AF_INET)
            parts, size = [], 0
        parts += (_HEAD.pack(length, NESTED | _DATA), fields, _LINE.pack(8, LINE_NUMBER, index))
        size += length
    if parts:
        yield Request(command, head + _HEAD.pack(size + 4, NESTED | _MEMBERS) + b"".join(parts), socket.AF_INET)


def _encode(member: Member) -> bytes:
    match member:
        case NetworkMember(packed, prefix, nomatch):
            fields = _ADDRESS_HEADS[len(packed)] + packed + _PREFIX_ATTRIBUTE.pack(5, _PREFIX, prefix)
            return fields + _NOMATCH_ATTRIBUTE if nomatch else fields
        case AddressPort(packed, protocol, port, comment):
            fields = _encode_address_port(packed, protocol, port)
            return fields + text_attribute(_COMMENT, comment) if comment else fields
        case AddressPortAddress(packed, protocol, port, peer):
            return _encode_address_port(packed, protocol, port) + _PEER_HEADS[len(peer)] + peer
        case AddressPortNetwork(packed, protocol, port, network, prefix):
            peer = _PEER_HEADS[len(network)] + network + _PREFIX_ATTRIBUTE.pack(5, _PEER_PREFIX, prefix)
            return _encode_address_port(packed, protocol, port) + peer
        case SetReference(name, comment):
            reference = text_attribute(_MEMBER_NAME, name)
            return reference + text_attribute(_COMMENT, comment) if comment else reference
        case _:
            return _ADDRESS_HEADS[len(member)] + member


def _encode_address_port(packed: bytes, protocol: Protocol, port: int) -> bytes:
    number = _NUMBER_ATTRIBUTE.pack(5, _PROTOCOL_NUMBER, NUMBERS_WITH_PORTS[protocol])
    return _ADDRESS_HEADS[len(packed)] + packed + _PORT_HEAD + _PORT_NUMBER.pack(port) + number


def decode_name(answer: bytes) -> str:
    """The name of the set an answer is about."""
    # The kernel tells it right after the protocol's version, and thousands of answers are asked for it.
    length, kind = _HEAD.unpack_from(answer, len(_VERSION))
    if kind == SET_NAME and answer.startswith(_VERSION):
        return answer[len(_VERSION) + 4 : len(_VERSION) + length - 1].decode(errors="replace")
    return _text(attributes(answer)[SET_NAME])


@lru_cache(maxsize=1 << 13)
def decode_summary(answer: bytes) -> SetSummary:
    """The set that an answer to `headers_request` is about."""
    fields = attributes(answer)
    options = attributes(fields[_DATA])
    timeout = options.get(_TIMEOUT)
    kind = _TYPE_BY_NAME.get(_text(fields[_TYPE_NAME]))
    return SetSummary(
        kind,
        _FAMILY_BY_NUMBER.get(fields[_FAMILY][0]),
        None if timeout is None else int.from_bytes(timeout, "big"),
        int.from_bytes(options.get(_MEMBER_COUNT, b""), "big"),
        _has_comments(kind, options),
    )


def decode_set(answers: Iterable[bytes]) -> IpSet | None:
    """The set that these answers to one `list_request` describe; None where it is of no type in use here.

    Members of protocols that no policy names are left out.
    """
    name, kind, family, timeout, has_comments = "", None, None, None, False
    members: list[Member] = []
    for answer in answers:
        fields = attributes(answer)
        if _TYPE_NAME in fields:
            name = _text(fields[SET_NAME])
            kind = _TYPE_BY_NAME.get(_text(fields[_TYPE_NAME]))
            family = _FAMILY_BY_NUMBER.get(fields[_FAMILY][0])
            options = attributes(fields.get(_DATA, b""))
            timeout = options.get(_TIMEOUT)
            has_comments = _has_comments(kind, options)
        if kind is None:
            return None
        members += _decode_members(kind, family, fields.get(_MEMBERS, b""))
    if kind is None:
        return None
    timeout_seconds = None if timeout is None else int.from_bytes(timeout, "big")
    return IpSet(name, kind, family, frozenset(members), timeout_seconds=timeout_seconds, has_comments=has_comments)


def _has_comments(kind: SetType | None, options: dict[int, bytes]) -> bool:
    """True where the set may be made with comments or without them, and was made with."""
    flags = int.from_bytes(options.get(_MEMBER_FLAGS, b""), "big")
    return kind is not SetType.SETS and bool(flags & _WITH_COMMENT)


_TYPE_BY_NAME = {kind.value: kind for kind in SetType}

# A hash:ip tells its members in one layout, here head and address of each.
_BARE_ADDRESSES = {
    Family.IPV4: (struct.Struct("=12s4s"), struct.pack("=6H", 16, NESTED | _DATA, 12, NESTED | _ADDRESS, 8, 1)),
    Family.IPV6: (struct.Struct("=12s16s"), struct.pack("=6H", 28, NESTED | _DATA, 24, NESTED | _ADDRESS, 20, 2)),
}


def _decode_members(kind: SetType, family: Family | None, payload: bytes) -> Iterable[Member]:
    if kind is SetType.ADDRESSES and family is not None:
        layout, expected = _BARE_ADDRESSES[family]
        if len(payload) % layout.size == 0:
            members = list(layout.iter_unpack(payload))
            # The general way, for members with more to them, takes several times as long.
            if all(head == expected for head, _ in members):
                return [address for _, address in members]
    decode = _DECODERS[kind]
    decoded = (decode(attributes(fields)) for fields in elements(payload))
    return [member for member in decoded if member is not None]


def _decode_address(fields: dict[int, bytes]) -> bytes:
    return fields[_ADDRESS][4:]


def _decode_network(fields: dict[int, bytes]) -> NetworkMember:
    packed = fields[_ADDRESS][4:]
    prefix = fields[_PREFIX][0] if _PREFIX in fields else len(packed) * 8
    flags = int.from_bytes(fields.get(_MEMBER_FLAGS, b""), "big")
    return NetworkMember(packed, prefix, bool(flags & _NOMATCH))


def _decode_address_port(fields: dict[int, bytes]) -> AddressPort | None:
    protocol = _PROTOCOLS_BY_NUMBER.get(fields[_PROTOCOL_NUMBER][0])
    if protocol is None:
        return None
    comment = _text(fields.get(_COMMENT, b""))
    return AddressPort(fields[_ADDRESS][4:], protocol, int.from_bytes(fields[_PORT], "big"), comment)


def _decode_address_port_address(fields: dict[int, bytes]) -> AddressPortAddress | None:
    decoded = _decode_address_port(fields)
    return None if decoded is None else AddressPortAddress(*decoded[:3], fields[_PEER][4:])


def _decode_address_port_network(fields: dict[int, bytes]) -> AddressPortNetwork | None:
    decoded = _decode_address_port(fields)
    if decoded is None:
        return None
    network = fields[_PEER][4:]
    prefix = fields[_PEER_PREFIX][0] if _PEER_PREFIX in fields else len(network) * 8
    return AddressPortNetwork(*decoded[:3], network, prefix)


def _decode_reference(fields: dict[int, bytes]) -> SetReference:
    return SetReference(_text(fields[_MEMBER_NAME]), _text(fields.get(_COMMENT, b"")))


_DECODERS: dict[SetType, Callable[[dict[int, bytes]], Member | None]] = {
    SetType.ADDRESSES: _decode_address,
    SetType.NETWORKS: _decode_network,
    SetType.ADDRESS_PORTS: _decode_address_port,
    SetType.ADDRESS_PORT_ADDRESSES: _decode_address_port_address,
    SetType.ADDRESS_PORT_NETWORKS: _decode_address_port_network,
    SetType.SETS: _decode_reference,
}


def _text(payload: bytes) -> str:
    return payload.rstrip(b"\0").decode(errors="replace")
