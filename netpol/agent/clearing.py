"""Taking away all that is ours, of the firewall and of the service proxy, and nothing else."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from netpol.agent.proxy_kernel import service_tables
from netpol.compiler.ruleset import TableName
from netpol.dataplane.clearing import SHARED
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


@dataclass(frozen=True, slots=True)
class Removed:
    """What was there of ours and is gone, and what could not be removed and why."""

    chains: int
    sets: int
    servers: int = 0
    addresses: int = 0
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        """
        >>> str(Removed(3, 2)), str(Removed(3, 2, servers=4, addresses=1))
        ('3 chains and 2 sets removed', '3 chains and 2 sets removed, 4 virtual servers, 1 service addresses')
        """
        if not any((self.chains, self.sets, self.servers, self.addresses, self.left)):
            return "nothing of ours was there"
        beside = {"virtual servers": self.servers, "service addresses": self.addresses}
        words = (f"{number} {what}" for what, number in beside.items() if number)
        return ", ".join((f"{self.chains} chains and {self.sets} sets removed", *words))


def clear_all(variants: Sequence[Variant], owners: Owners = BOTH) -> Removed:
    """What was removed of this network namespace, of both families and these variants, and what was left and why."""
    firewall = _clear_firewall(variants) if Owners.FIREWALL in owners else Removed(0, 0)
    services = _clear_services(variants) if Owners.SERVICE_PROXY in owners else Removed(0, 0)
    return Removed(
        firewall.chains + services.chains,
        firewall.sets + services.sets,
        services.servers,
        services.addresses,
        (*firewall.left, *services.left),
    )


def _clear_firewall(variants: Sequence[Variant]) -> Removed:
    """What the service proxy lets in is remembered for as long as there is one: a firewall may come back."""
    with NetlinkSets() as sets, NetlinkSets(ownership=SERVICE_PROXY) as others:
        spared = SHARED if others.survey().keys() - SHARED else frozenset[str]()
        cleared = clear_firewall([IptablesTables(variant) for variant in variants], sets, tuple(Family), spared)
    return Removed(cleared.chains, cleared.sets, left=cleared.left)


def _clear_services(variants: Sequence[Variant]) -> Removed:
    with NetlinkSets(ownership=SERVICE_PROXY) as sets, _beside() as beside:
        tables = [service_tables(variant, table) for variant in variants for table in TableName]
        cleared = clear_services(tables, sets, beside)
    return Removed(cleared.chains, cleared.sets, cleared.servers, cleared.addresses, cleared.left)


@contextmanager
def _beside() -> Iterator[Beside]:
    sysctls = ProcSysctls(node_sysctls(tuple(Family), os.uname().release))
    with DummyLink() as link, NetlinkTunnels() as tunnels, ExitStack() as stack:
        servers = stack.enter_context(NetlinkServers()) if _IPVS.exists() else None
        yield Beside(servers, link, sysctls, tunnels)
