"""What a legacy table holds that concerns a writer of it, read in process by python-iptables' binding of libiptc.

Only its raw entries are read: its objects for rules take milliseconds each, and its other
tables are registered with the kernel as soon as they are asked for.
"""

from __future__ import annotations

import ctypes
import importlib
import struct
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple

from netpol.compiler.ruleset import TABLE_HOOKS, TableName
from netpol.dataplane.legacy_table import table_exists
from netpol.dataplane.ownership import FIREWALL, Ownership
from netpol.errors import KernelRefusal
from netpol.model.networks import Family

_MODULES = {Family.IPV4: ("iptc.ip4tc", "iptc", "ipt_entry"), Family.IPV6: ("iptc.ip6tc", "ip6tc", "ip6t_entry")}
_HOOKS = {table: frozenset(hook.value for hook in hooks) for table, hooks in TABLE_HOOKS.items()}
_DIGEST_BYTES = 16
_SIZE = struct.Struct("=H")
_NAME, _NAME_END = 2, 31
"""Matches and targets begin with the size of the whole and a name of 29 bytes; a revision and the data follow."""

_LIBRARY = threading.Lock()
"""libiptc keeps its state to itself: one thread at a time uses it."""


class _Binding(NamedTuple):
    """libiptc for one family, and the parts of an entry.

    Up to `passing` there is what packets' headers are compared with, from `lasting` on the
    matches; in between offsets, the kernel's own marks and counters.
    """

    library: Any
    passing: int
    lasting: int


class _Opened(NamedTuple):
    """A table that libiptc has read, and what of it is looked at."""

    binding: _Binding
    handle: object
    hooks: frozenset[str]
    ownership: Ownership


def concerning(
    family: Family, table: TableName = TableName.FILTER, ownership: Ownership = FIREWALL
) -> Mapping[str, bytes]:
    """A digest for each chain of the owner's and each hook; empty where this thread's namespace has no table.

    Of a hook only the first rule counts that leads to no neighbour's chain. A chain of ours is
    another, too, where more or fewer rules lead to it. Counters and other chains do not matter.
    KernelRefusal where the table or the library cannot be read.
    """
    if not table_exists(family, table):
        return {}
    with _LIBRARY:
        binding = _binding(family)
        if isinstance(binding, str):
            raise KernelRefusal(binding)
        with _opened(binding, family, table, ownership) as opened:
            return {name.decode(): _digest(opened, name) for name in _names(opened)}


@cache
def _binding(family: Family) -> _Binding | str:
    """Loaded when first asked for: that takes 0.3 CPU-seconds, 20 MB, and programs that look for the libraries.

    In words, why it cannot be loaded, which is not tried again either.
    """
    module, library, entry = _MODULES[family]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the Python that it is written in
            loaded = importlib.import_module(module)
    # Where a library is missing it fails over whatever comes next.
    except Exception as broken:
        return f"python-iptables cannot be loaded: {broken!r}"
    layout = getattr(loaded, entry)
    return _Binding(getattr(loaded, library), layout.nfcache.offset, layout.counters.offset + layout.counters.size)


@contextmanager
def _opened(binding: _Binding, family: Family, table: TableName, ownership: Ownership) -> Iterator[_Opened]:
    """The table as it is now, from one call of the kernel; its socket keeps the namespace until it is freed."""
    handle = binding.library.iptc_init(table.value.encode())
    if not handle:
        raise KernelRefusal(f"libiptc cannot read the legacy {table.value} table of IPv{family.value}")
    try:
        yield _Opened(binding, handle, _HOOKS[table], ownership)
    finally:
        binding.library.iptc_free(handle)


def _names(table: _Opened) -> Iterator[bytes]:
    library = table.binding.library
    name = library.iptc_first_chain(table.handle)
    while name:
        if (text := name.decode(errors="replace")) in table.hooks or table.ownership.is_ours(text):
            yield name
        name = library.iptc_next_chain(table.handle)


def _digest(table: _Opened, chain: bytes) -> bytes:
    library, passing, lasting = table.binding
    is_hook = chain.decode() in table.hooks
    lasts: list[bytes] = []
    if not is_hook:
        references = ctypes.c_uint()
        library.iptc_get_references(ctypes.byref(references), chain, table.handle)
        lasts.append(references.value.to_bytes(4))
    for entry in _rules(table, chain, only_first=is_hook):
        head = entry[0]
        target = head.target_offset
        raw = ctypes.string_at(entry, head.next_offset)
        lasts.append(raw[:passing])
        offset = lasting
        while offset < target:
            offset = _add_extension(lasts, raw, offset)
        if raw[target + _NAME]:
            _add_extension(lasts, raw, target)
        else:
            # A verdict, or a jump to the place of a chain, which moves when one before it grows.
            lasts.append(library.iptc_get_target(entry, table.handle) + b"\0")
    return blake2b(b"".join(lasts), digest_size=_DIGEST_BYTES).digest()


def _rules(table: _Opened, chain: bytes, *, only_first: bool) -> Iterator[Any]:
    """The chain's entries; or the first that leads to no neighbour's chain."""
    library, handle = table.binding.library, table.handle
    entry = library.iptc_first_rule(chain, handle)
    while entry:
        if not only_first:
            yield entry
        elif not table.ownership.is_neighbours(library.iptc_get_target(entry, handle).decode(errors="replace")):
            yield entry
            return
        entry = library.iptc_next_rule(entry, handle)


def _add_extension(lasts: list[bytes], raw: bytes, offset: int) -> int:
    """Where the next one begins. Behind the name is whatever was in memory before the kernel wrote it there."""
    size: int = _SIZE.unpack_from(raw, offset)[0]
    end = offset + max(size, _NAME_END)
    lasts.append(raw[offset : raw.index(0, offset + _NAME) + 1])
    lasts.append(raw[offset + _NAME_END : end])
    return end
