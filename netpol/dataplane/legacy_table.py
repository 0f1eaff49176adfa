"""Which legacy tables there are, and how large each is, asked of the kernel without a program.

Any rule more or less shows in its size.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

from netpol.compiler.ruleset import TableName
from netpol.errors import KernelRefusal
from netpol.model.networks import Family

_GET_INFO = 64
_INFO = struct.Struct("=32sI5I5III")
_NAMES = {Family.IPV4: "ip_tables_names", Family.IPV6: "ip6_tables_names"}
_LEVELS = {
    Family.IPV4: (socket.AF_INET, socket.IPPROTO_IP),
    Family.IPV6: (socket.AF_INET6, socket.IPPROTO_IPV6),
}

_libc = ctypes.CDLL(None, use_errno=True)


class TableSize(NamedTuple):
    """The rules of a table, its chains' ends included, and their bytes."""

    entries: int
    size: int


def table_exists(family: Family, table: TableName = TableName.FILTER) -> bool:
    """False where the network namespace of this thread has no such table of the legacy variant.

    Asking for its size, or the tools for its rules, would make one.
    """
    try:
        return table.value in Path("/proc/thread-self/net", _NAMES[family]).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # whoever asks further is told who may


def table_size(family: Family, table: TableName = TableName.FILTER) -> TableSize | None:
    """The size of a table in the network namespace of this thread; None where there is none."""
    if not table_exists(family, table):
        return None
    domain, level = _LEVELS[family]
    answer = ctypes.create_string_buffer(table.value.encode(), _INFO.size)
    length = ctypes.c_uint32(_INFO.size)
    with socket.socket(domain, socket.SOCK_DGRAM) as any_socket:
        if _libc.getsockopt(any_socket.fileno(), level, _GET_INFO, answer, ctypes.byref(length)) != 0:
            number = ctypes.get_errno()
            if number == errno.ENOENT:
                return None
            raise KernelRefusal(
                f"the legacy {table.value} table of IPv{family.value} cannot be asked for: {os.strerror(number)}"
            )
    *_, entries, size = _INFO.unpack(answer.raw)
    return TableSize(entries, size)
