"""Taking away all that the service proxy made, whatever state it is in, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from netpol.compiler.names import services_set
from netpol.compiler.ruleset import IpSet
from netpol.dataplane.clearing import Cleared, clear_tables
from netpol.dataplane.clearing import clear as clear_sets
from netpol.dataplane.kernel import Sets, Tables
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from proxy.kernel.protocols import ServiceLink, Sysctls, Tunnels, VirtualServers
from proxy.model import RemoveServer
from proxy.ownership import has_records, is_ours, recorded_servers

RULES_KEPT = "the rules of the service proxy stay, for they guard the addresses that the link still has"
RECORDS_KEPT = "the sets of the service proxy stay, for they say what is to be removed yet"


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside rules and sets; `servers` is None where the kernel has no IPVS."""

    servers: VirtualServers | None
    link: ServiceLink
    sysctls: Sysctls
    tunnels: Tunnels


def clear(tables: Iterable[Tables], sets: Sets, beside: Beside) -> Cleared:
    """Remove virtual servers, tunnels, the link and what it remembers, then rules, and at last the sets.

    As long as the link stays the rules do: without them whatever listens on the host is reached at the addresses of
    services.

    The sets are the record of what is ours: where there is none, the link and the virtual servers are others', who
    call theirs the same; and they stay as long as something that they tell of does.
    """
    try:
        held = sets.read()
    except KernelRefusal as refusal:
        return Cleared(left=(str(refusal),))
    clearing = _Clearing(held, beside)
    clearing.attempt(lambda: _leave_nothing_unjudged(sets, held))
    is_recorded = has_records(held)
    if is_recorded:
        clearing.attempt(clearing.remove_servers)
        clearing.attempt(beside.tunnels.remove)
    if is_recorded and not clearing.attempt(clearing.remove_link):
        rules = Cleared(left=(RULES_KEPT,))
    else:
        rules = sum((clear_tables(table, tuple(Family)) for table in tables), Cleared())
    cleared = clearing.cleared + rules
    return cleared + (Cleared(left=(RECORDS_KEPT,)) if clearing.cleared.left else clear_sets((), sets, ()))


def _leave_nothing_unjudged(sets: Sets, held: Mapping[str, IpSet]) -> None:
    """The firewall judges where they come in all packets to what was served: soon nobody sends them on (X5)."""
    for name in map(services_set, Family):
        if name in held and held[name].members:
            sets.remove(held[name], held[name].members)


class _Clearing:
    """What was removed so far of what stands beside rules, and what was refused."""

    def __init__(self, sets: Mapping[str, IpSet], beside: Beside) -> None:
        self._sets, self._beside = sets, beside
        self.cleared = Cleared()

    def attempt(self, removal: Callable[[], None]) -> bool:
        """Whether it was done; what is refused is told, and stops nothing else."""
        try:
            removal()
        except KernelRefusal as refusal:
            self.cleared += Cleared(left=(str(refusal),))
            return False
        return True

    def remove_servers(self) -> None:
        """The virtual servers of ours are gone."""
        servers = self._beside.servers
        if servers is None:
            return
        recorded, bound = recorded_servers(self._sets), self._beside.link.read() or frozenset()
        own = [key for key in servers.read() if is_ours(key, recorded, bound)]
        servers.apply(map(RemoveServer, own))
        self.cleared += Cleared(servers=len(own))

    def remove_link(self) -> None:
        """The kernel is told what it was told before, which the link remembers, and there is no link."""
        link = self._beside.link
        found = link.read()
        if found is not None:
            self._beside.sysctls.restore()
            link.remove()
            self.cleared += Cleared(addresses=len(found))
