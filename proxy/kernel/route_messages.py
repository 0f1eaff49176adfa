"""The bytes of rtnetlink's messages about routes and the rules that choose among their tables, both ways."""

from __future__ import annotations

import struct

from netpol.dataplane.netlink import AF_NUMBERS, CREATE, EXCLUSIVE, Request, attribute, attributes, word, word_attribute
from netpol.model.networks import Address, Family, family_of

_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26
_NEW_RULE, _DELETE_RULE, _GET_RULE = 32, 33, 34

# Of a route.
_DESTINATION, _LINK = 1, 4
_BY_AN_ADMINISTRATOR, _LOCAL, _SCOPE_OF_THE_HOST = 3, 2, 254

# Of a rule.
_PRIORITY, _MARK, _TABLE, _MARK_MASK = 6, 10, 15, 16
_TO_TABLE = 1

_HEAD = struct.Struct("=BBBBI")
"""Of both: the table first, and what is meant by the other bytes is each one's own."""

_WHOLE_MARK = 0xFFFFFFFF


def rules_request(family: Family) -> Request:
    """Ask for every rule."""
    return Request(_GET_RULE, bytes(_HEAD.size), AF_NUMBERS[family])


def add_rule_request(family: Family, mark: int, table: int, priority: int) -> Request:
    """Route packets with this mark by this table."""
    return Request(_NEW_RULE, _rule(mark, table, priority), AF_NUMBERS[family], CREATE | EXCLUSIVE)


def remove_rule_request(family: Family, mark: int, table: int) -> Request:
    """Take the rule for this mark away, whatever its priority."""
    return Request(_DELETE_RULE, _rule(mark, table), AF_NUMBERS[family])


def decode_mark(answer: bytes, table: int) -> int | None:
    """The mark that a rule sends to this table; None for a rule about anything else."""
    fields = attributes(answer[_HEAD.size :])
    mask = fields.get(_MARK_MASK, b"\xff" * 4)
    if _MARK not in fields or word(fields.get(_TABLE, b"")) != table or word(mask) != _WHOLE_MARK:
        return None
    return word(fields[_MARK])


def add_local_route_request(family: Family, table: int, link: int) -> Request:
    """Make everything the node's own by this table, as if it came by the link, the loopback."""
    return Request(_NEW_ROUTE, _local_route(family, table, link), AF_NUMBERS[family], CREATE | EXCLUSIVE)


def remove_local_route_request(family: Family, table: int, link: int) -> Request:
    """Take that route away."""
    return Request(_DELETE_ROUTE, _local_route(family, table, link), AF_NUMBERS[family])


def way_request(address: Address) -> Request:
    """Ask by which route a packet would go to this address."""
    family = family_of(address)
    body = bytes(_HEAD.size) + attribute(_DESTINATION, address.packed)
    return Request(_GET_ROUTE, body, AF_NUMBERS[family], version=family.bits)


def decode_way(answer: bytes) -> int | None:
    """The number of the link that a route leads by; None where it leads nowhere."""
    fields = attributes(answer[_HEAD.size :])
    return word(fields[_LINK]) if _LINK in fields else None


def _rule(mark: int, table: int, priority: int | None = None) -> bytes:
    fields = [(_TABLE, table), (_MARK, mark), (_MARK_MASK, _WHOLE_MARK)]
    if priority is not None:
        fields.append((_PRIORITY, priority))
    return _HEAD.pack(0, 0, 0, _TO_TABLE, 0) + b"".join(word_attribute(*each) for each in fields)


def _local_route(family: Family, table: int, link: int) -> bytes:
    scope = _SCOPE_OF_THE_HOST if family is Family.IPV4 else 0
    head = _HEAD.pack(0, _BY_AN_ADMINISTRATOR, scope, _LOCAL, 0)
    return head + word_attribute(_TABLE, table) + word_attribute(_LINK, link)
