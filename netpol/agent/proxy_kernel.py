"""The writers of what services need of the kernel, and its readers."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from netpol.compiler.ruleset import TableName
from netpol.dataplane.apply import Kernel
from netpol.dataplane.clearing import clear_tables
from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.foreign import OwnWrites
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.table_keeper import TableKeeper
from netpol.dataplane.variant import holds
from netpol.model.networks import Family
from netpol.settings import Variant
from netpol.telemetry.logs import Log
from proxy.kernel.bridges import NetlinkBridges
from proxy.kernel.ipvs import NetlinkServers
from proxy.kernel.links import DummyLink
from proxy.kernel.node_addresses import NetlinkAddresses
from proxy.kernel.protocols import NodeAddresses
from proxy.kernel.sysctls import ProcSysctls, node_sysctls
from proxy.kernel.tunnels import NetlinkTunnels
from proxy.model import HeldServer, ServerKey
from proxy.ownership import SERVICE_PROXY
from proxy.programming import Writers

log = Log("agent")


@dataclass(frozen=True, slots=True)
class ProxyKernel:
    """What the service proxy writes, and the node's own addresses."""

    writers: Writers
    node_addresses: NodeAddresses


@contextmanager
def open_proxy_kernel(
    variant: Variant, families: Collection[Family], joining: Callable[[OwnWrites], None] = lambda _: None
) -> Iterator[ProxyKernel]:
    """The kernel of this thread's network namespace, for as long as the context lasts; for one thread.

    Each writer of tables is told to `joining` before it writes.
    """
    filter_table, nat, mangle = (service_tables(variant, name) for name in TableName)
    for tables in (filter_table, nat, mangle):
        joining(tables)
    with (
        NetlinkSets(ownership=SERVICE_PROXY) as sets,
        NetlinkFlows() as flows,
        NetlinkServers() as servers,
        DummyLink() as link,
        NetlinkTunnels() as tunnels,
        NetlinkAddresses() as addresses,
    ):
        kernel = Kernel(sets, filter_table, flows)
        sysctls = ProcSysctls(node_sysctls(families, os.uname().release))
        writers = Writers(
            kernel, TableKeeper(nat), TableKeeper(mangle), servers, link, sysctls, tunnels, NetlinkBridges()
        )
        yield ProxyKernel(writers, addresses)


def service_tables(variant: Variant, table: TableName) -> IptablesTables:
    """What one table holds of the service proxy."""
    return IptablesTables(variant, table=table, ownership=SERVICE_PROXY)


def clear_superseded(variant: Variant) -> None:
    """The other variants' tables have no rule of the service proxy, as far as they can be written.

    An earlier run may have left some there: a packet would meet both.
    """
    for other in Variant:
        if other is not variant and holds(other, SERVICE_PROXY.is_ours):
            for table in TableName:
                for line in clear_tables(service_tables(other, table), tuple(Family)).left:
                    log.warning("left of another variant of iptables", reason=line)


def read_servers() -> Mapping[ServerKey, HeldServer]:
    """Every virtual server of this thread's network namespace, with what it carries."""
    with NetlinkServers() as servers:
        return servers.read()
