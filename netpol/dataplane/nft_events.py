"""What the kernel tells of each change to its nf_tables, as far as it concerns one writer of them."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from netpol.compiler.names import PREFIX
from netpol.compiler.ruleset import TABLE_HOOKS, TableName
from netpol.dataplane.netlink import NFTABLES, PREAMBLE_BYTES, attributes, elements, message_heads
from netpol.dataplane.ownership import FIREWALL, Ownership
from netpol.model.networks import Family

_DELETE_TABLE, _NEW_CHAIN, _DELETE_CHAIN, _NEW_RULE, _DELETE_RULE = (NFTABLES | command for command in (2, 3, 5, 6, 8))
_WORDS = {
    _DELETE_TABLE: "deleted",
    _NEW_CHAIN: "made",
    _DELETE_CHAIN: "deleted",
    _NEW_RULE: "given a rule",
    _DELETE_RULE: "bereft of a rule",
}
_TABLE = 1
_CHAIN = {_NEW_CHAIN: 3, _DELETE_CHAIN: 3, _NEW_RULE: 2, _DELETE_RULE: 2}
_FAMILIES = {int(socket.AF_INET): Family.IPV4, int(socket.AF_INET6): Family.IPV6}
_TABLES = {f"{table.value}\0".encode(): table for table in TableName}
_HOOKS = {table: frozenset(hook.value for hook in hooks) for table, hooks in TABLE_HOOKS.items()}

# Of a rule: its expressions; of one that ends with a jump: its name and data, the verdict in them, its chain.
_EXPRESSIONS = 4
_NAME, _IMMEDIATE = 1, b"immediate\0"
_TO_CHAIN = (2, 2, 2, 2)

# The names come first. Others rewrite chains by the thousand, and few are looked at any closer.
_NAMES_BYTES = 128


class Event(NamedTuple):
    """A change that concerns us, in words, and the number of the socket that asked for it."""

    words: str
    writer: int


def decode_events(datagram: bytes, ownership: Ownership = FIREWALL) -> Iterator[Event]:
    """The owner's: changes to its chains, to the hooks that lead to them, and the end of the tables they are in.

    What leads from a hook to a neighbour's chain may come and go.
    """
    candidate = _candidate(ownership.tables)
    for offset, length, kind, _, _, writer in message_heads(datagram):
        if kind not in _WORDS or length < PREAMBLE_BYTES:
            continue
        if kind == _DELETE_TABLE or candidate.search(datagram, offset, offset + min(length, _NAMES_BYTES)):
            protocol = datagram[offset + PREAMBLE_BYTES - 4]
            words = _words(kind, protocol, datagram[offset + PREAMBLE_BYTES : offset + length], ownership)
            if words is not None:
                yield Event(words, writer)


@cache
def _candidate(tables: tuple[TableName, ...]) -> re.Pattern[bytes]:
    """A name that begins as ours do, or that of a hook."""
    hooks = sorted(frozenset[str]().union(*(_HOOKS[table] for table in tables)))
    return re.compile(b"|".join([re.escape(PREFIX.encode()), *(hook.encode() + b"\0" for hook in hooks)]))


def _words(kind: int, protocol: int, payload: bytes, ownership: Ownership) -> str | None:
    """What happened; None where it is nothing to the owner."""
    family = _FAMILIES.get(protocol)
    fields = attributes(payload)
    table = _TABLES.get(fields.get(_TABLE, b""))
    if family is None or table not in ownership.tables:
        return None
    where = f"the {table.value} table of IPv{family.value}"
    if kind == _DELETE_TABLE:
        return f"{where} was {_WORDS[kind]}"
    chain = fields.get(_CHAIN[kind], b"").rstrip(b"\0").decode(errors="replace")
    # What is told as a new built-in chain is a change of its policy, or the first rule of all.
    if ownership.is_ours(chain) or (
        chain in _HOOKS[table] and kind != _NEW_CHAIN and not ownership.is_neighbours(_destination(fields))
    ):
        return f"chain {chain} of {where} was {_WORDS[kind]}"
    return None


def _destination(fields: dict[int, bytes]) -> str:
    """The chain that a rule leads to; "" where it leads to none, or is not told."""
    for expression in elements(fields.get(_EXPRESSIONS, b"")):
        inner = expression
        if attributes(expression).get(_NAME) == _IMMEDIATE:
            for kind in _TO_CHAIN:
                inner = attributes(inner).get(kind, b"")
            return inner.rstrip(b"\0").decode(errors="replace")
    return ""
