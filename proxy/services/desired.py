"""All that services ask of this node together, and what of it has changed since it was last asked.

To put one service costs what that service has.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Generic, TypeVar

from netpol.compiler.ruleset import IpSet, Member, Table, TableName
from netpol.model.networks import Address, Family, Network
from netpol.model.notices import Notice
from netpol.model.snapshot import ObjectName
from netpol.settings import ProxySettings
from proxy.model import ServerAddress, ServerKey, ServerMark, VirtualServer
from proxy.names import owned_set
from proxy.ownership import Marking, record_of
from proxy.services.rules import empty_sets, filter_table, mangle_table, nat_table, owned
from proxy.services.served import HealthCheck, Served

Name = TypeVar("Name", bound=Hashable)
Value = TypeVar("Value")

NOTHING = Served()


@dataclass(frozen=True, slots=True)
class Touched:
    """What has changed of the desired state, by name; false where that is nothing.

    `services` came, went, or ask something else of this node. `servers` and `addresses` came, changed or went.
    """

    services: frozenset[ObjectName] = frozenset()
    servers: frozenset[ServerKey] = frozenset()
    addresses: frozenset[Address] = frozenset()
    sets: frozenset[str] = frozenset()
    tables: frozenset[TableName] = frozenset()
    health_checks: bool = False
    tunnels: bool = False
    noticed: frozenset[ObjectName] = frozenset()

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) for each in fields(self))

    def __or__(self, other: Touched) -> Touched:
        """What either of them touched."""
        return Touched(*(getattr(self, each.name) | getattr(other, each.name) for each in fields(self)))


class _Values(Generic[Name, Value]):
    """Values by name, of each the one that the first service by name asks for; they remember what they were."""

    def __init__(self) -> None:
        self.now: dict[Name, Value] = {}
        self._asked: dict[Name, dict[ObjectName, Value]] = {}
        self._former: dict[Name, Value | None] = {}

    def put(self, service: ObjectName, before: Mapping[Name, Value], after: Mapping[Name, Value]) -> None:
        """The service asks for these instead of those."""
        for name in before.keys() | after.keys():
            if before.get(name) != (value := after.get(name)):
                self._put(service, name, value)

    def _put(self, service: ObjectName, name: Name, value: Value | None) -> None:
        self._former.setdefault(name, self.now.get(name))
        asked = self._asked.setdefault(name, {})
        if value is None:
            del asked[service]
        else:
            asked[service] = value
        if asked:
            self.now[name] = asked[min(asked)]
        else:
            del self._asked[name], self.now[name]

    def changed(self) -> dict[Name, Value | None]:
        """What was there, by the names of what is not what it was; asked once, what is there is what is known."""
        former, self._former = self._former, {}
        return {name: value for name, value in former.items() if self.now.get(name) != value}


class _Things(Generic[Name]):
    """What any service asks for, as often as services do; they remember whether they were there."""

    def __init__(self) -> None:
        self.now: dict[Name, int] = {}
        self._former: dict[Name, bool] = {}

    def put(self, before: Collection[Name], after: Collection[Name]) -> None:
        """These are asked for instead of those."""
        for each in after:
            if each not in before:
                self._count(each, 1)
        for each in before:
            if each not in after:
                self._count(each, -1)

    def _count(self, each: Name, more: int) -> None:
        count = self.now.get(each, 0)
        self._former.setdefault(each, count > 0)
        if count + more:
            self.now[each] = count + more
        else:
            del self.now[each]

    def changed(self) -> frozenset[Name]:
        """Those that came or went; asked once, what is there is what is known."""
        former, self._former = self._former, {}
        return frozenset(each for each, was_there in former.items() if was_there is not (each in self.now))


class Desired:
    """The servers, addresses, sets and tables of a node, one service after the other."""

    def __init__(self, families: Iterable[Family], settings: ProxySettings) -> None:
        self._families, self._settings = tuple(families), settings
        self._pod_ranges: tuple[Network, ...] = ()
        self._has_other_ranges = False
        self._served: dict[ObjectName, Served] = {}
        self._former: dict[ObjectName, Served] = {}
        self._servers: _Values[ServerKey, VirtualServer] = _Values()
        self._marks: _Values[ServerMark, Marking] = _Values()
        self._addresses: _Things[Address] = _Things()
        self._keeping: _Things[ServerAddress] = _Things()
        self._tunnels: _Things[tuple[Address, Address]] = _Things()
        self._sets = {name: each for family in self._families for name, each in empty_sets(family).items()}
        self._members: dict[str, _Things[Member]] = {name: _Things() for name in self._sets}
        self._touched_sets: set[str] = set()
        self._health_checks: dict[ObjectName, HealthCheck] = {}
        self._notices: dict[ObjectName, tuple[Notice, ...]] = {}
        self._tables = {name: self._table(name) for name in TableName}

    # --- what there is: views, which change with what is put

    @property
    def served(self) -> Mapping[ObjectName, Served]:
        """What each service asks for that asks for anything."""
        return self._served

    @property
    def servers(self) -> Mapping[ServerKey, VirtualServer]:
        """Every virtual server."""
        return self._servers.now

    @property
    def addresses(self) -> frozenset[Address]:
        """The addresses that the link should have."""
        return frozenset(self._addresses.now)

    @property
    def sets(self) -> Mapping[str, IpSet]:
        """Every set, of every family."""
        return self._sets

    @property
    def tables(self) -> Mapping[TableName, Mapping[Family, Table]]:
        """Every table, of every family."""
        return self._tables

    @property
    def health_checks(self) -> Mapping[ObjectName, HealthCheck]:
        """What load balancers ask of each service that has them ask."""
        return self._health_checks

    @property
    def notices(self) -> Mapping[ObjectName, tuple[Notice, ...]]:
        """What each service does not get that it asks for."""
        return self._notices

    @property
    def tunnels(self) -> Mapping[Address, frozenset[Address]]:
        """The service addresses that each pod of this node answers for directly."""
        found: dict[Address, set[Address]] = {}
        for pod, address in self._tunnels.now:
            found.setdefault(pod, set()).add(address)
        return {pod: frozenset(addresses) for pod, addresses in found.items()}

    # --- what changes

    def put(self, name: ObjectName, after: Served) -> None:
        """The service asks for this; for nothing, where it is gone."""
        before = self._served.get(name, NOTHING)
        if before == after:
            return
        self._former.setdefault(name, before)
        _keep(self._served, name, after if after != NOTHING else None)
        _keep(self._health_checks, name, after.health_check)
        _keep(self._notices, name, after.notices or None)
        self._servers.put(name, before.servers, after.servers)
        self._marks.put(name, _markings(before), _markings(after))
        self._addresses.put(before.addresses, after.addresses)
        self._keeping.put(before.keeping, after.keeping)
        self._tunnels.put(_pairs(before.tunnels), _pairs(after.tunnels))
        for each in before.members.keys() | after.members.keys():
            self._put_members(each, before.members.get(each, frozenset()), after.members.get(each, frozenset()))

    def put_pod_ranges(self, ranges: Iterable[Network]) -> None:
        """The pods of this node have their addresses from these, by the Node object."""
        stated = tuple(ranges)
        self._has_other_ranges |= stated != self._pod_ranges
        self._pod_ranges = stated

    def changed(self) -> Touched:
        """What is not what it was at the last call; what services have put counts from then on."""
        former, self._former = self._former, {}
        now = {name: self._served.get(name, NOTHING) for name in former}
        servers = self._servers.changed()
        self._record(servers)
        return Touched(
            services=frozenset(name for name, before in former.items() if before != now[name]),
            servers=frozenset(servers),
            addresses=self._addresses.changed(),
            sets=self._changed_sets(),
            tables=self._changed_tables(),
            health_checks=any(before.health_check != now[name].health_check for name, before in former.items()),
            tunnels=bool(self._tunnels.changed()),
            noticed=frozenset(name for name, before in former.items() if before.notices != now[name].notices),
        )

    def _record(self, servers: Mapping[ServerKey, VirtualServer | None]) -> None:
        """That a server is ours is recorded with the service that has it; of one for a mark, the rule tells."""
        for key, former in servers.items():
            if isinstance(key, ServerAddress):
                pair = former, self._servers.now.get(key)
                before, after = (() if each is None else (owned(each, key),) for each in pair)
                self._put_members(owned_set(key.family), before, after)

    def _put_members(self, name: str, before: Collection[Member], after: Collection[Member]) -> None:
        self._members[name].put(before, after)
        self._touched_sets.add(name)

    def _changed_sets(self) -> frozenset[str]:
        """The sets whose members are not what they were; they are filled anew."""
        changed = frozenset(name for name in self._touched_sets if self._members[name].changed())
        self._touched_sets.clear()
        for name in changed:
            self._sets[name] = replace(self._sets[name], members=frozenset(self._members[name].now))
        return changed

    def _changed_tables(self) -> frozenset[TableName]:
        """The tables that are not what they were, of whichever family; the filter table never changes."""
        stale: set[TableName] = set()
        if self._keeping.changed() or self._has_other_ranges:
            stale.add(TableName.NAT)
        if self._marks.changed():
            stale.add(TableName.MANGLE)
        self._has_other_ranges = False
        changed = {name: made for name in stale if (made := self._table(name)) != self._tables[name]}
        self._tables.update(changed)
        return frozenset(changed)

    def _table(self, name: TableName) -> dict[Family, Table]:
        return {family: self._table_of(name, family) for family in self._families}

    def _table_of(self, name: TableName, family: Family) -> Table:
        match name:
            case TableName.FILTER:
                return filter_table(family, self._settings)
            case TableName.NAT:
                return nat_table(family, self._settings, self._pod_ranges, self._keeping.now)
            case TableName.MANGLE:
                return mangle_table(family, self._marks.now)


def _keep(values: dict[ObjectName, Value], name: ObjectName, value: Value | None) -> None:
    """The name has this value; None where it has none."""
    if value is None:
        values.pop(name, None)
    else:
        values[name] = value


def _pairs(tunnels: Mapping[Address, frozenset[Address]]) -> set[tuple[Address, Address]]:
    return {(pod, address) for pod, addresses in tunnels.items() for address in addresses}


def _markings(served: Served) -> dict[ServerMark, Marking]:
    return {mark: Marking(key, record_of(served.servers[mark])) for mark, key in served.marks.items()}
