"""Bringing services to the kernel, in an order that leaves nothing unrecorded and nothing open, wherever it ends.

Records grow before anything else, and what lets packets in shrinks. Then come the other chains and the link's
addresses. Nothing new is let in there yet, so that what conntrack forgets then, of connections older than the
servers, does not come back before these are there. Then come IPVS itself, and the addresses that go. At last records
shrink, and packets are let in.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from itertools import groupby
from typing import Protocol

from netpol.compiler.ruleset import AddressPort, AddressPortAddress, IpSet, Ruleset, Table, TableName
from netpol.dataplane.apply import Kernel
from netpol.dataplane.keeper import Keeper
from netpol.dataplane.steps import Step, WriteTable
from netpol.dataplane.table_keeper import TableKeeper
from netpol.errors import KernelRefusal
from netpol.model.networks import Address, Family
from netpol.settings import ConnectionTimeouts, ProxySettings
from proxy import names
from proxy.answering_pods import Returning
from proxy.kernel.protocols import Bridges, ServiceLink, Sysctls, Tunnels, VirtualServers
from proxy.model import ServerAddress, ServerDestination, ServerKey, ServerMark, ServerStep, VirtualServer
from proxy.outcome import Outcome
from proxy.planning.draining import Draining
from proxy.planning.plan import Constraints, plan
from proxy.planning.shadow import ServerShadow
from proxy.planning.staging import bound, held_back, meanwhile, spared
from proxy.planning.stale_flows import StaleFlows
from proxy.services.desired import Touched

_HAIRPINS = frozenset(map(names.hairpin_set, Family))
MOST_LOOKS = 3
"""How often the filter table is read again where it had to be written."""


class Wanted(Protocol):
    """All that services ask of this node, as of now."""

    @property
    def servers(self) -> Mapping[ServerKey, VirtualServer]:
        """The virtual servers."""

    @property
    def addresses(self) -> frozenset[Address]:
        """What is to be on the link."""

    @property
    def tunnels(self) -> Mapping[Address, frozenset[Address]]:
        """The pods that answer directly, and for which addresses."""

    def sets(self) -> Mapping[str, IpSet]:
        """Every set."""

    def tables(self) -> Mapping[TableName, Mapping[Family, Table]]:
        """Every chain."""


@dataclass(frozen=True, slots=True)
class Writers:
    """What is written: `kernel` has the sets, the filter table and the connections."""

    kernel: Kernel
    nat: TableKeeper
    mangle: TableKeeper
    servers: VirtualServers
    link: ServiceLink
    sysctls: Sysctls
    tunnels: Tunnels
    bridges: Bridges


class Extent(enum.Flag):
    """What is read and compared."""

    RULES = enum.auto()
    """Sets and chains."""
    SERVERS = enum.auto()
    """IPVS, the link, kernel settings, and tunnels."""
    EVERYTHING = RULES | SERVERS


@dataclass(frozen=True, slots=True)
class _Part:
    """What is brought to the kernel at once, by name."""

    servers: Collection[ServerKey] = ()
    addresses: Collection[Address] = ()
    sets: frozenset[str] = frozenset()
    tables: Collection[TableName] = ()
    tunnels: bool = False
    ended: frozenset[ServerDestination] = frozenset()


@dataclass(frozen=True, slots=True)
class _Names:
    """What a change is about, as `Keeper.change` is told it."""

    sets: frozenset[str] = frozenset()
    chains: frozenset[str] = field(default_factory=frozenset)


class Programming:
    """Writes differences only. After a refusal nothing is taken for known until `converge` has read it again.

    A server that the kernel refuses by itself keeps no other from being served: it is among the `refused`, packets
    to it are let in no more than before, and the next comparison tries it again.
    """

    def __init__(self, wanted: Wanted, writers: Writers, settings: ProxySettings) -> None:
        self._wanted = wanted
        self._writers = writers
        self._timeouts = settings.timeouts
        """What is still to be set: what others set later is theirs."""
        self._constraints = Constraints(self._is_ours, settings.excluded, drains=settings.graceful_seconds > 0)
        self._draining = Draining(settings.graceful_seconds)
        self._keeper = Keeper(writers.kernel)
        self._returning = Returning(writers.tunnels)
        self._stale = StaleFlows(writers.kernel.flows)
        self._is_known = False
        self._sets: dict[str, IpSet] = {}
        self._recorded: set[ServerKey] = set()
        self._shadow = ServerShadow()
        self._on_link: set[Address] = set()
        self._conflicts: frozenset[ServerKey] = frozenset()
        self._refused: dict[ServerKey, str] = {}

    @property
    def is_certain(self) -> bool:
        """True where the kernel is known to hold what it was last told."""
        return self._is_known and self._keeper.is_certain

    @property
    def conflicts(self) -> frozenset[ServerKey]:
        """The servers that are left to others, who had them before."""
        return self._conflicts

    @property
    def refused(self) -> Mapping[ServerKey, str]:
        """The servers that are not as they should be, and why."""
        return self._refused

    @property
    def unreachable(self) -> Mapping[Address, str]:
        """The pods that cannot answer directly, and why."""
        return self._returning.unreachable

    @property
    def draining(self) -> int:
        """How many destinations only keep the connections they have."""
        return len(self._draining)

    def next_look(self, now: float) -> float | None:
        """How many seconds until `look` has something to do; None where nothing drains."""
        return self._draining.next_look(now)

    def doubt(self) -> None:
        """What the kernel holds is not known any more."""
        self._is_known = False

    def offers(self, scheduler: str) -> bool:
        """True where the kernel can balance so. Raises KernelRefusal."""
        return self._writers.servers.offers(scheduler)

    def converge(self, now: float, extent: Extent = Extent.EVERYTHING) -> Outcome:
        """The kernel holds all that is wanted, after reading what it held; returns what had to be done.

        Where it was not known what it holds, everything is read. Raises KernelRefusal.
        """
        if not self.is_certain:
            extent = Extent.EVERYTHING
        self._is_known = False
        if Extent.RULES in extent:
            self._sets = dict(self._writers.kernel.sets.read())
            self._recorded = set(_recorded(self._sets))
        settled = self._settle() if Extent.SERVERS in extent else Outcome()
        part = _Part(
            servers={*self._wanted.servers, *self._shadow.servers},
            addresses={*self._wanted.addresses, *self._on_link},
            sets=frozenset(self._wanted.sets()),
            tables=frozenset({TableName.NAT, TableName.MANGLE}) if Extent.RULES in extent else frozenset(),
            tunnels=True,
        )
        done = self._bring(part, now, self._compare_rules if Extent.RULES in extent else self._change_rules)
        # Chains of every table may have referred to sets that nothing asks for.
        while self._keeper.sweep():
            pass
        self._is_known = True
        return settled + done

    def change(self, touched: Touched, now: float) -> Outcome:
        """The kernel holds what is wanted of this; returns what had to be done. Raises KernelRefusal."""
        if not self.is_certain:
            raise KernelRefusal("it is not known what the kernel holds")
        self._is_known = False
        self._look_for_others(touched.servers)
        part = _Part(touched.servers, touched.addresses, touched.sets, touched.tables, touched.tunnels)
        done = self._bring(part, now, self._change_rules)
        self._is_known = True
        return done

    def look(self, now: float) -> Outcome:
        """What has drained is gone; returns what had to be done. Raises KernelRefusal."""
        if not self.is_certain:
            raise KernelRefusal("it is not known what the kernel holds")
        self._is_known = False
        keys = self._draining.servers
        self._read_again(keys)
        ended = self._draining.ended(self._shadow.part(keys), now)
        done = self._bring(_Part(keys, ended=ended), now, self._change_rules) if ended else Outcome()
        self._is_known = True
        return done

    def _settle(self) -> Outcome:
        """What servers need is there, and it is known which there are."""
        self._writers.link.ensure()
        drift = self._writers.sysctls.drift()
        # Also where nothing has drifted: a link that was made anew knows nothing of what there was before.
        self._writers.sysctls.ensure()
        self._on_link = set(self._writers.link.read() or ())
        self._writers.servers.set_timeouts(self._timeouts)
        self._timeouts = ConnectionTimeouts()
        self._shadow = ServerShadow(self._writers.servers.read())
        self._returning.doubt()
        return Outcome(settings=len(drift))

    def _bring(
        self, part: _Part, now: float, write: Callable[[_Part, Mapping[str, IpSet]], tuple[Step, ...]]
    ) -> Outcome:
        desired = {key: self._wanted.servers[key] for key in part.servers if key in self._wanted.servers}
        found = plan(desired, self._shadow.part(part.servers), self._constraints, part.ended)
        part = self._settled_conflicts(part, found.conflicts)
        wanted = spared(
            {name: each for name, each in self._wanted.sets().items() if name in part.sets}, self._conflicts
        )
        first = meanwhile(wanted.values(), self._sets)
        rules = write(part, first)
        chains = self._write_tables(part.tables)
        if any(isinstance(key, ServerMark) for key in part.servers) or part.tunnels:
            self._returning.route(self._wanted.servers)
        bind, unbind = self._moves(part.addresses)
        self._bind(bind)
        self._stale.add(found.older)
        forgotten = self._stale.forget()
        self._stale.add(found.stale)
        self._serve(part.servers, found.steps)
        self._draining.follow(part.servers, found.draining, now)
        self._unbind(unbind)
        rules += self._change_rules(part, held_back(wanted, first, self._refused))
        self._record(part.servers)
        forgotten += self._stale.forget()
        if part.tunnels:
            self._returning.open(self._wanted.tunnels)
        returning = self._writers.bridges.let_return(_reaching_themselves(wanted.values()))
        return Outcome(rules, found.steps, chains, len(bind), len(unbind), returning, forgotten)

    def _settled_conflicts(self, part: _Part, conflicts: frozenset[ServerKey]) -> _Part:
        """The part, and beside it all that changes with what is left to others."""
        before = self._conflicts
        self._conflicts = before.difference(part.servers) | conflicts
        changed = before ^ self._conflicts
        if not changed:
            return part
        addresses = {key.address for key in changed if isinstance(key, ServerAddress)}
        return replace(part, addresses={*part.addresses, *addresses}, sets=frozenset(self._wanted.sets()))

    # --- sets and chains

    def _compare_rules(self, _part: _Part, sets: Mapping[str, IpSet]) -> tuple[Step, ...]:
        """Before anything more is let in, ours stand behind the firewall's, even if that was written meanwhile."""
        steps: tuple[Step, ...] = ()
        for _ in range(MOST_LOOKS):
            found = self._keeper.converge(Ruleset(sets, self._wanted.tables()[TableName.FILTER])).steps
            steps += found
            if not any(isinstance(step, WriteTable) for step in found):
                break
        self._sets = dict(sets)
        return steps

    def _change_rules(self, part: _Part, sets: Mapping[str, IpSet]) -> tuple[Step, ...]:
        if not sets and TableName.FILTER not in part.tables:
            return ()
        tables = self._wanted.tables()[TableName.FILTER]
        chains = frozenset(name for table in tables.values() for name in table.chains)
        steps = self._keeper.change(Ruleset(sets, tables), _Names(frozenset(sets), chains)).steps
        self._sets.update(sets)
        return steps

    def _write_tables(self, touched: Collection[TableName]) -> int:
        """How many chains were written."""
        keepers = {TableName.NAT: self._writers.nat, TableName.MANGLE: self._writers.mangle}
        return sum(keeper.converge(self._wanted.tables()[name]) for name, keeper in keepers.items() if name in touched)

    # --- the link

    def _moves(self, addresses: Collection[Address]) -> tuple[list[Address], list[Address]]:
        """Which of the addresses come to the link, and which leave it."""
        if not addresses:
            return [], []
        wanted = bound(self._wanted.addresses, self._conflicts)
        ordered = sorted(addresses, key=lambda each: (each.version, each.packed))
        bind = [each for each in ordered if each in wanted and each not in self._on_link]
        return bind, [each for each in ordered if each not in wanted and each in self._on_link]

    def _bind(self, addresses: Collection[Address]) -> None:
        if addresses:
            self._writers.link.bind(addresses)
            self._on_link.update(addresses)

    def _unbind(self, addresses: Collection[Address]) -> None:
        if addresses:
            self._writers.link.unbind(addresses)
            self._on_link.difference_update(addresses)

    # --- IPVS

    def _is_ours(self, key: ServerKey) -> bool:
        """True where we have recorded it, or nobody else would have made it."""
        if isinstance(key, ServerMark):
            return key.mark & names.MARK_MASK == names.MARK_BASE
        return key in self._recorded or key.address in self._on_link

    def _record(self, keys: Iterable[ServerKey]) -> None:
        """It is known which of the servers the sets tell to be ours."""
        for key in keys:
            if key in self._refused or (key in self._wanted.servers and key not in self._conflicts):
                self._recorded.add(key)
            else:
                self._recorded.discard(key)

    def _look_for_others(self, keys: Iterable[ServerKey]) -> None:
        """Of servers that are theirs who had them first, it is known whether others have them by now."""
        unsure = (key for key in keys if key not in self._shadow.servers or key in self._conflicts)
        found = ((key, self._wanted.servers.get(key)) for key in unsure)
        self._read_again([key for key, server in found if server is not None and server.origin.may_be_others])

    def _read_again(self, keys: Iterable[ServerKey]) -> None:
        for key in keys:
            found = self._writers.servers.read_one(key)
            self._shadow.found((key,), {} if found is None else {key: found})

    def _serve(self, keys: Iterable[ServerKey], steps: tuple[ServerStep, ...]) -> None:
        """The steps are done, but for those of the servers that are refused."""
        for key in keys:
            self._refused.pop(key, None)
        if not steps:
            return
        try:
            self._writers.servers.apply(steps)
        except KernelRefusal:
            for key, own in groupby(steps, key=lambda step: step.key):
                self._serve_one(key, tuple(own))
        else:
            self._shadow.follow(steps)

    def _serve_one(self, key: ServerKey, steps: tuple[ServerStep, ...]) -> None:
        try:
            self._writers.servers.apply(steps)
        except KernelRefusal as refusal:
            self._refused[key] = str(refusal)
            self._read_again((key,))
        else:
            self._shadow.follow(steps)


def _reaching_themselves(sets: Iterable[IpSet]) -> Iterator[Address]:
    """The endpoints whose packets to themselves are masqueraded."""
    for each in sets:
        if each.name in _HAIRPINS:
            yield from {ip_address(member.packed) for member in each.members if isinstance(member, AddressPortAddress)}


def _recorded(sets: Mapping[str, IpSet]) -> Iterable[ServerAddress]:
    """The servers that an earlier run made, or was about to."""
    for family in Family:
        held = sets.get(names.owned_set(family))
        for member in () if held is None else held.members:
            if isinstance(member, AddressPort):
                yield ServerAddress(ip_address(member.packed), member.protocol, member.port)
