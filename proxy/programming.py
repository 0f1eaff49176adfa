"""Bringing services to the kernel, in an order that leaves nothing unrecorded and nothing open, wherever it ends.

Records grow before anything else, and what lets packets in shrinks. Then come the other chains and the link's
addresses. Nothing new is let in there yet, so that what conntrack forgets then, of connections older than the
servers, does not come back before these are there. Then come IPVS itself, the marks of what it serves by them, and
the addresses that go. At last records shrink, and packets are let in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from netpol.compiler.ruleset import AddressPortAddress, IpSet, TableName
from netpol.dataplane.apply import Kernel
from netpol.dataplane.steps import Step
from netpol.dataplane.table_keeper import TableKeeper
from netpol.model.networks import Address, Family
from netpol.settings import ProxySettings
from proxy import names
from proxy.keeping.answering_pods import Returning
from proxy.keeping.link_addresses import LinkAddresses, Moves
from proxy.keeping.rules import ServiceRules
from proxy.keeping.servers import KeptServers
from proxy.keeping.stale_flows import StaleFlows
from proxy.kernel.protocols import Bridges, ServiceLink, Sysctls, Tunnels, VirtualServers
from proxy.model import Destination, ServerAddress, ServerDestination, ServerKey, ServerMark
from proxy.outcome import Outcome
from proxy.ownership import recorded_servers
from proxy.planning.plan import Plan
from proxy.planning.staging import bound, held_back, meanwhile, spared, switching
from proxy.services.desired import Touched
from proxy.services.engine import ProxyEngine

_HAIRPINS = frozenset(map(names.hairpin_set, Family))
_SERVERS_A_TURN = 16
"""So few are compared between two changes: what a change waits for is some milliseconds."""
_BESIDE_FILTER = frozenset({TableName.NAT, TableName.MANGLE})


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


@dataclass(frozen=True, slots=True)
class _Part:
    """What is brought to the kernel at once, by name."""

    servers: Collection[ServerKey] = ()
    addresses: Collection[Address] = ()
    sets: frozenset[str] = frozenset()
    tables: Collection[TableName] = ()
    tunnels: bool = False
    ended: frozenset[ServerDestination] = frozenset()


class Programming:
    """Writes differences only. After a refusal nothing is taken for known until `converge` has read it again.

    A server that the kernel refuses by itself, or whose address it refuses, keeps no other from being served: it is
    among the `refused`, packets to it are let in no more than before, and the next comparison tries it again.
    """

    def __init__(self, engine: ProxyEngine, writers: Writers, settings: ProxySettings) -> None:
        self._engine = engine
        self._sysctls, self._bridges = writers.sysctls, writers.bridges
        self._rules = ServiceRules(writers.kernel, writers.nat, writers.mangle, engine)
        self._link = LinkAddresses(writers.link)
        self._servers = KeptServers(writers.servers, engine, self._link, settings)
        self._returning = Returning(writers.tunnels)
        self._stale = StaleFlows(writers.kernel.flows)
        self._left: deque[tuple[ServerKey, ...]] = deque()
        """The servers that are still to be compared, by turns."""
        self._is_known = False

    @property
    def is_certain(self) -> bool:
        """True where the kernel is known to hold what it was last told."""
        return self._is_known and self._rules.is_certain

    @property
    def conflicts(self) -> frozenset[ServerKey]:
        """The servers that are left to others, who had them before."""
        return self._servers.conflicts

    @property
    def refused(self) -> Mapping[ServerKey, str]:
        """The servers that are not as they should be, or have no address, and why."""
        if not self._link.refused:
            return self._servers.refused
        homeless = {
            key: self._link.refused[key.address]
            for key in self._engine.servers
            if isinstance(key, ServerAddress) and key.address in self._link.refused
        }
        return homeless | dict(self._servers.refused)

    @property
    def unreachable(self) -> Mapping[Address, str]:
        """The pods that cannot answer directly, and why."""
        return self._returning.unreachable

    @property
    def draining(self) -> int:
        """How many destinations only keep the connections they have."""
        return self._servers.draining

    def next_look(self, now: float) -> float | None:
        """How many seconds until `look` has something to do; None where nothing drains."""
        return self._servers.next_look(now)

    @property
    def is_comparing(self) -> bool:
        """True where `go_on` has something to do."""
        return bool(self._left)

    def doubt(self) -> None:
        """What the kernel holds is not known any more."""
        self._is_known = False

    def offers(self, scheduler: str) -> bool:
        """True where the kernel can balance so. Raises KernelRefusal."""
        return self._servers.offers(scheduler)

    def estranged(self) -> frozenset[str]:
        """The sets that others have changed, as far as that shows without their members. Raises KernelRefusal."""
        return self._rules.estranged()

    def converge(self, now: float) -> Outcome:
        """The kernel holds all that is wanted, after reading what it held; returns what had to be done.

        Raises KernelRefusal.
        """
        self._is_known = False
        self._left.clear()
        self._recall()
        settled = self._settle()
        self._servers.read()
        done = settled + self._bring_all(now)
        self._is_known = False
        forgotten = self._stale.forget_others(self._served())
        self._is_known = True
        return done + Outcome(flows_forgotten=forgotten)

    def compare_rules(self, now: float) -> Outcome:
        """Sets and chains are as they should be, after reading them; returns what had to be done. Raises KernelRefusal.

        RuntimeError where it is not certain what the kernel holds.
        """
        self._begin()
        self._recall()
        return self._bring_all(now)

    def set_out(self, now: float) -> Outcome:
        """What servers need beside themselves is as it should be, after reading it, and `go_on` will compare them.

        Returns what had to be done. RuntimeError where it is not certain what the kernel holds.
        """
        self._begin()
        settled = self._settle()
        servers = sorted(self._servers.survey(), key=str)
        self._left.clear()
        self._left.extend(
            tuple(servers[first : first + _SERVERS_A_TURN]) for first in range(0, len(servers), _SERVERS_A_TURN)
        )
        addresses = {*self._engine.addresses, *self._link}
        part = _Part(addresses=addresses, sets=_HAIRPINS & self._engine.sets().keys(), tunnels=True)
        done = self._bring(part, now, self._rules.change)
        self._is_known = True
        return settled + done

    def go_on(self, now: float) -> Outcome:
        """A few more servers are as they should be, after reading them; returns what had to be done.

        Between two turns there may be changes. RuntimeError where it is not certain what the kernel holds.
        """
        self._begin()
        servers = self._left.popleft()
        self._servers.read_again(servers)
        done = self._bring(_Part(servers), now, self._rules.change)
        self._is_known = True
        return done

    def change(self, touched: Touched, now: float) -> Outcome:
        """The kernel holds what is wanted of this; returns what had to be done. Raises KernelRefusal.

        RuntimeError where it is not certain what the kernel holds.
        """
        self._begin()
        self._servers.look_for_others(touched.servers)
        part = _Part(touched.servers, touched.addresses, touched.sets, touched.tables, touched.tunnels)
        done = self._bring(part, now, self._rules.change)
        self._is_known = True
        return done

    def look(self, now: float) -> Outcome:
        """What has drained is gone; returns what had to be done. Raises KernelRefusal.

        RuntimeError where it is not certain what the kernel holds.
        """
        self._begin()
        keys = self._servers.with_draining
        ended = self._servers.ended(now)
        done = self._bring(_Part(keys, ended=ended), now, self._rules.change) if ended else Outcome()
        self._is_known = True
        return done

    def _begin(self) -> None:
        """What is known is in doubt until all of a change is done."""
        if not self.is_certain:
            raise RuntimeError("it is not known what the kernel holds: converge first")
        self._is_known = False

    def _recall(self) -> None:
        """It is known which sets there are, and what they record."""
        self._rules.read()
        self._servers.recall(recorded_servers(self._rules.sets))

    def _bring_all(self, now: float) -> Outcome:
        part = _Part(
            servers={*self._engine.servers, *self._servers.keys},
            addresses={*self._engine.addresses, *self._link},
            sets=frozenset(self._engine.sets()),
            tables=_BESIDE_FILTER,
            tunnels=True,
        )
        done = self._bring(part, now, self._rules.converge)
        self._rules.sweep()
        self._is_known = True
        return done

    def _served(self) -> dict[ServerAddress, Collection[Destination]]:
        """The servers at addresses, without those that are left to others or refused, and where they send packets."""
        others = {*self._servers.conflicts, *self._servers.refused}
        return {
            key: server.destinations
            for key, server in self._engine.servers.items()
            if isinstance(key, ServerAddress) and key not in others
        }

    def _settle(self) -> Outcome:
        """What servers need beside rules is there."""
        links = int(self._link.ensure())
        drift = self._sysctls.drift()
        # Also where nothing has drifted: a link that was made anew knows nothing of what there was before.
        self._sysctls.ensure()
        self._link.read()
        self._servers.set_timeouts()
        self._returning.doubt()
        return Outcome(links=links, settings=len(drift))

    def _bring(self, part: _Part, now: float, write: Callable[[Mapping[str, IpSet]], tuple[Step, ...]]) -> Outcome:
        """The order that the module tells of; `write` brings the sets the first time."""
        conflicts = self._servers.conflicts
        refused = [key for key in self.refused if key in part.servers or _address_of(key) in part.addresses]
        plan = self._servers.plan(part.servers, part.ended)
        part = self._with_all_of(part, (conflicts ^ self._servers.conflicts).union(refused))
        wanted = spared(self._wanted_sets(part), self._servers.conflicts)
        first = meanwhile(wanted.values(), self._rules.sets)

        rules = write(first)
        marks = self._marks(part)
        chains = self._rules.write_tables(part.tables, marks)
        routes = self._route_marks(part)
        moves = self._moves(part)
        self._link.bind(moves.bind)
        self._stale.add(plan.older)
        forgotten = self._stale.forget()

        self._stale.add(plan.stale)
        rules += self._serve(part, plan)
        if (served := self._marks(part)) != marks:
            chains += self._rules.write_tables((TableName.MANGLE,), served)
        self._servers.follow(part.servers, plan.draining, now)
        self._link.unbind(moves.unbind)

        rules += self._rules.change(held_back(wanted, first, self.refused))
        self._servers.record(part.servers)
        forgotten += self._stale.forget()
        if part.tunnels:
            self._returning.open(self._engine.tunnels)
        returning = self._bridges.let_return(_reaching_themselves(wanted.values()))
        return Outcome(
            rules,
            plan.steps,
            chains=chains,
            bound=len(moves.bind),
            unbound=len(moves.unbind),
            routes=routes,
            settings=returning,
            flows_forgotten=forgotten,
        )

    def _serve(self, part: _Part, plan: Plan) -> tuple[Step, ...]:
        """IPVS has the plan's steps, and clients wait for what is switched so long; returns what that took of sets."""
        sets = self._engine.sets()
        members = switching(plan.switched)
        steps = self._rules.change({name: replace(sets[name], members=each) for name, each in members.items()})
        try:
            self._servers.serve(part.servers, plan.steps)
        finally:
            steps += self._rules.change({name: sets[name] for name in members})
        return steps

    def _with_all_of(self, part: _Part, servers: Collection[ServerKey]) -> _Part:
        """The part, and beside it all that changes with servers whose sets and addresses are not as engine has them.

        They are left to others now, or no longer; or they were refused, and are tried again.
        """
        if not servers:
            return part
        addresses = {key.address for key in servers if isinstance(key, ServerAddress)}
        return replace(part, addresses={*part.addresses, *addresses}, sets=frozenset(self._engine.sets()))

    def _wanted_sets(self, part: _Part) -> dict[str, IpSet]:
        return {name: each for name, each in self._engine.sets().items() if name in part.sets}

    def _moves(self, part: _Part) -> Moves:
        """Which of the part's addresses come to the link and which leave it."""
        if not part.addresses:
            return Moves()
        return self._link.moves(part.addresses, bound(self._engine.addresses, self._servers.conflicts))

    def _marks(self, part: _Part) -> frozenset[ServerMark]:
        """The marks that IPVS serves, where the part may be about any."""
        return self._servers.marks if part.tables or _has_mark(part.servers) else frozenset()

    def _route_marks(self, part: _Part) -> int:
        """How many rules and routes had to change so that what has a mark comes to IPVS."""
        if part.tunnels or _has_mark(part.servers):
            return self._returning.route(self._engine.servers)
        return 0


def _has_mark(servers: Iterable[ServerKey]) -> bool:
    return any(isinstance(key, ServerMark) for key in servers)


def _address_of(key: ServerKey) -> Address | None:
    return key.address if isinstance(key, ServerAddress) else None


def _reaching_themselves(sets: Iterable[IpSet]) -> Iterator[Address]:
    """The endpoints whose packets to themselves are masqueraded."""
    for each in sets:
        if each.name in _HAIRPINS:
            yield from {ip_address(member.packed) for member in each.members if isinstance(member, AddressPortAddress)}
