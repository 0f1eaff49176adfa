"""Members of sets as people write them, and which set can hold which."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from netpol.compiler.ruleset import AddressPort, AddressPortAddress, IpSet, Member, NetworkMember, SetReference, SetType
from netpol.model.ports import FIRST_PORT, LAST_PORT

_MEMBER_TYPES: dict[SetType, type] = {
    SetType.ADDRESSES: bytes,
    SetType.NETWORKS: NetworkMember,
    SetType.ADDRESS_PORTS: AddressPort,
    SetType.ADDRESS_PORT_ADDRESSES: AddressPortAddress,
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
            return f"{_address(packed)},{protocol.value.lower()}:{port}"
        case AddressPortAddress(packed, protocol, port, peer):
            return f"{_address(packed)},{protocol.value.lower()}:{port},{_address(peer)}"
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
            bits = len(packed) * 8
            kept = int.from_bytes(packed, "big") >> (bits - prefix) << (bits - prefix)
            return NetworkMember(kept.to_bytes(len(packed), "big"), prefix)
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
    if isinstance(member, SetReference):
        long = len(member.comment.encode()) > COMMENT_BYTES
        return f"its comment has over {COMMENT_BYTES} bytes" if long else None
    if target.family is None or any(len(packed) * 8 != target.family.bits for packed in _addresses(member)):
        return "it is no address of the set's family"
    if isinstance(member, NetworkMember) and not 1 <= member.prefix <= target.family.bits:
        return f"a hash:net holds prefixes of 1 to {target.family.bits} bits"
    if isinstance(member, AddressPort) and not (member.protocol.has_ports and FIRST_PORT <= member.port <= LAST_PORT):
        return "it is no port of a protocol that has ports"
    # Packets do have port 0 at times, although nobody can be told to listen there.
    if isinstance(member, AddressPortAddress) and not (member.protocol.has_ports and 0 <= member.port <= LAST_PORT):
        return "it is no port of a protocol that has ports"
    return None


def _addresses(member: bytes | NetworkMember | AddressPort | AddressPortAddress) -> Iterator[bytes]:
    yield member if isinstance(member, bytes) else member.packed
    if isinstance(member, AddressPortAddress):
        yield member.peer


def _address(packed: bytes) -> str:
    try:
        return str(ipaddress.ip_address(packed))
    except ValueError:
        return packed.hex()
