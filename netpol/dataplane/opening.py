"""The writers of the network namespace that this process, or this thread, is in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from netpol.dataplane.apply import Kernel
from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.kernel import Tables
from netpol.dataplane.variant import variants_present
from netpol.settings import Variant


@contextmanager
def open_kernel(variant: Variant) -> Iterator[Kernel]:
    """The writers, for as long as the context lasts."""
    with NetlinkSets() as sets, NetlinkFlows() as flows:
        yield Kernel(sets, IptablesTables(variant), flows)


def other_tables(variant: Variant) -> dict[Variant, Tables]:
    """The tables of the variants that are not chosen, where an earlier run may have left rules."""
    return {other: IptablesTables(other) for other in variants_present() if other is not variant}
