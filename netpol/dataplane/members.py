"""Members of sets as people write them, and which set can hold which."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

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
from netpol.model.ports import FIRST_PORT, LAST_PORT, Protocol

_MEMBER_TYPES: dict[SetType, type] = {
    SetType.ADDRESSES: bytes,
    SetType.NETWORKS: NetworkMember,
    SetType.ADDRESS_PORTS: AddressPort,
    SetType.ADDRESS_PORT_ADDRESSES: AddressPortAddress,
    SetType.ADDRESS_PORT_NETWORKS: AddressPortNetwork,
    SetType.SETS: SetReference,
}
COMMENT_BYTES = 255


def describe(member: Member) -> str:
    """The member as `ipset` writes it.

    >>> describe(NetworkMember(bytes([10, 0, 0, 0]), 8, nomatch=True))
    '10.0.0.0/8 nomatch'
    """
    match member:
        case NetworkMember(packed, prefix, nomatch):
            return f"{_address(packed)}/{prefix}{' nomatch' if nomatch else ''}"
        case AddressPort(packed, protocol, port):
            return _address_port(packed, protocol, port)
        case AddressPortAddress(packed, protocol, port, peer):
            return f"{_address_port(packed, protocol, port)},{_address(peer)}"
        case AddressPortNetwork(packed, protocol, port, network, prefix):
            return f"{_address_port(packed, protocol, port)},{_address(network)}/{prefix}"
        case SetReference(name, _):
            return name
        case _:
            return _address(member)


def key(member: Member) -> Member:
    """What the kernel tells members of one set apart by: not the comment, not `nomatch`, no bits beyond the prefix.

    Removing a member removes the one of its key, so of two that share one, the old must
    not be removed after the new was added.
    """
    match member:
        case NetworkMember(packed, prefix, _):
            return NetworkMember(_masked(packed, prefix), prefix)
        case AddressPort(packed, protocol, port):
            return AddressPort(packed, protocol, port)
        case AddressPortNetwork(network=network, prefix=prefix):
            return member._replace(network=_masked(network, prefix))
        case SetReference(name, _):
            return SetReference(name)
        case _:
            return member


def misfit(target: IpSet, member: Member) -> str | None:
    """Why `target` can never hold `member`, in words; None where it can.

    The kernel itself would take some of these for something else: fields it does not
    expect it ignores.
    """
    kind = target.type
    if type(member) is not _MEMBER_TYPES[kind]:
        return f"a {kind.value} holds no {type(member).__name__}"
    if isinstance(member, SetReference | AddressPort) and len(member.comment.encode()) > COMMENT_BYTES:
        return f"its comment has over {COMMENT_BYTES} bytes"
    if isinstance(member, SetReference):
        return None
    if target.family is None or any(len(packed) * 8 != target.family.bits for packed in _addresses(member)):
        return "it is no address of the set's family"
    if isinstance(member, NetworkMember | AddressPortNetwork) and not 1 <= member.prefix <= target.family.bits:
        return f"a {kind.value} holds prefixes of 1 to {target.family.bits} bits"
    if isinstance(member, bytes | NetworkMember):
        return None
    # Packets do have port 0 at times, although nobody can be told to listen there.
    first = 0 if isinstance(member, AddressPortAddress) else FIRST_PORT
    if not (member.protocol.has_ports and first <= member.port <= LAST_PORT):
        return "it is no port of a protocol that has ports"
    if isinstance(member, AddressPort) and member.comment and not target.has_comments:
        return "the set was made without comments"
    return None


def _addresses(
    member: bytes | NetworkMember | AddressPort | AddressPortAddress | AddressPortNetwork,
) -> Iterator[bytes]:
    yield member if isinstance(member, bytes) else member.packed
    if isinstance(member, AddressPortAddress):
        yield member.peer
    if isinstance(member, AddressPortNetwork):
        yield member.network


def _masked(packed: bytes, prefix: int) -> bytes:
    """The network's address, without the bits beyond its prefix."""
    bits = len(packed) * 8
    kept = int.from_bytes(packed, "big") >> (bits - prefix) << (bits - prefix)
    return kept.to_bytes(len(packed), "big")


def _address_port(packed: bytes, protocol: Protocol, port: int) -> str:
    return f"{_address(packed)},{protocol.value.lower()}:{port}"


def _address(packed: bytes) -> str:
    try:
        return str(ipaddress.ip_address(packed))
    except ValueError:
        return packed.hex()
