"""The seam between plans and the kernel: both implementations have every method of it."""

from __future__ import annotations

import inspect

import pytest

from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.kernel import Flows, HookRule, KernelTable, Sets, Tables
from netpol.dataplane.memory import MemoryKernel
from netpol.model.networks import Family

MEMORY = MemoryKernel()
SEAMS = [
    (Sets, NetlinkSets),
    (Sets, type(MEMORY.sets)),
    (Tables, IptablesTables),
    (Tables, type(MEMORY.tables)),
    (Flows, NetlinkFlows),
    (Flows, type(MEMORY.flows)),
]


@pytest.mark.parametrize(("seam", "writer"), SEAMS)
def test_a_writer_takes_what_the_seam_promises(seam: type, writer: type) -> None:
    promised = {name: method for name, method in vars(seam).items() if inspect.isfunction(method) and name[0] != "_"}
    assert promised
    for name, method in promised.items():
        assert inspect.signature(getattr(writer, name)) == inspect.signature(method)


def test_a_table_that_says_nothing_of_strays_has_none() -> None:
    assert KernelTable({}, {}) == KernelTable({}, {}, {})
    assert HookRule(1, "-j A") != HookRule(2, "-j A")
    assert MEMORY.tables.read(Family.IPV4).strays == {}
