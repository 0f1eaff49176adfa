"""Taking away all that is ours, of the firewall and of the service proxy, and nothing else."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from netpol.agent.proxy_kernel import service_tables
from netpol.compiler.ruleset import TableName
from netpol.dataplane.clearing import SHARED, Cleared
from netpol.dataplane.clearing import clear as clear_firewall
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.model.networks import Family
from netpol.settings import Variant
from proxy.clearing import Beside
from proxy.clearing import clear as clear_services
from proxy.kernel.ipvs import NetlinkServers
from proxy.kernel.links import DummyLink
from proxy.kernel.sysctls import ProcSysctls, node_sysctls
from proxy.kernel.tunnels import NetlinkTunnels
from proxy.ownership import SERVICE_PROXY

_IPVS = Path("/proc/thread-self/net/ip_vs")
"""There where the kernel has IPVS at work; asking by netlink would have its module loaded."""


class Owners(enum.Flag):
    """Whose part of the kernel is meant."""

    FIREWALL = enum.auto()
    SERVICE_PROXY = enum.auto()


BOTH = Owners.FIREWALL | Owners.SERVICE_PROXY


def clear_all(variants: Sequence[Variant], owners: Owners = BOTH) -> Cleared:
    """What was removed of this network namespace, of both families and these variants, and what was left and why."""
    firewall = _clear_firewall(variants) if Owners.FIREWALL in owners else Cleared()
    return firewall + (_clear_services(variants) if Owners.SERVICE_PROXY in owners else Cleared())


def _clear_firewall(variants: Sequence[Variant]) -> Cleared:
    """What the service proxy lets in is remembered for as long as there is one: a firewall may come back."""
    with NetlinkSets() as sets, NetlinkSets(ownership=SERVICE_PROXY) as others:
        spared = SHARED if others.survey().keys() - SHARED else frozenset[str]()
        return clear_firewall([IptablesTables(variant) for variant in variants], sets, tuple(Family), spared)


def _clear_services(variants: Sequence[Variant]) -> Cleared:
    with NetlinkSets(ownership=SERVICE_PROXY) as sets, _beside() as beside:
        return clear_services(
            [service_tables(variant, table) for variant in variants for table in TableName], sets, beside
        )


@contextmanager
def _beside() -> Iterator[Beside]:
    sysctls = ProcSysctls(node_sysctls(tuple(Family), os.uname().release))
    with DummyLink() as link, NetlinkTunnels() as tunnels, ExitStack() as stack:
        servers = stack.enter_context(NetlinkServers()) if _IPVS.exists() else None
        yield Beside(servers, link, sysctls, tunnels)
