"""The virtual servers: what there are, which of them are left to others, and which the kernel does not take."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from itertools import groupby

from netpol.errors import KernelRefusal
from netpol.model.networks import Address
from netpol.settings import ConnectionTimeouts, ProxySettings
from proxy.kernel.protocols import VirtualServers
from proxy.model import ServerAddress, ServerDestination, ServerKey, ServerMark, ServerStep
from proxy.ownership import is_ours
from proxy.planning.draining import Draining
from proxy.planning.plan import Constraints, Plan, plan
from proxy.planning.shadow import ServerShadow
from proxy.services.engine import ProxyEngine


class KeptServers:
    """IPVS as it was last read, and written since.

    A server that the kernel refuses by itself keeps no other from being served: it is among the `refused`, and the
    next comparison tries it again. What else writes or reads the kernel raises KernelRefusal.
    """

    def __init__(
        self, servers: VirtualServers, engine: ProxyEngine, bound: Container[Address], settings: ProxySettings
    ) -> None:
        """`bound` are the addresses on our link, as of now and later."""
        self._servers = servers
        self._engine = engine
        self._bound = bound
        self._timeouts = settings.timeouts
        """What is still to be set: what others set later is theirs."""
        self._constraints = Constraints(
            self._is_ours, settings.excluded, settings.graceful_seconds > 0, is_disputed=self._is_disputed
        )
        self._draining = Draining(settings.graceful_seconds)
        self._shadow = ServerShadow()
        self._recorded: set[ServerKey] = set()
        self._disputed: frozenset[Address] = frozenset()
        self._conflicts: frozenset[ServerKey] = frozenset()
        self._refused: dict[ServerKey, str] = {}

    @property
    def keys(self) -> frozenset[ServerKey]:
        """The virtual servers that there are, whoever made them, and those that anything is remembered of."""
        return frozenset().union(
            self._shadow.servers, self._recorded, self._conflicts, self._refused, self._draining.servers
        )

    @property
    def marks(self) -> frozenset[ServerMark]:
        """The marks that there are virtual servers for."""
        return frozenset(key for key in self._shadow.servers if isinstance(key, ServerMark))

    @property
    def conflicts(self) -> frozenset[ServerKey]:
        """Those that are left to others, who had them before."""
        return self._conflicts

    @property
    def refused(self) -> Mapping[ServerKey, str]:
        """Those that are not as they should be, and why."""
        return self._refused

    @property
    def draining(self) -> int:
        """How many destinations only keep the connections they have."""
        return len(self._draining)

    @property
    def with_draining(self) -> frozenset[ServerKey]:
        """Those that something drains of."""
        return self._draining.servers

    def next_look(self, now: float) -> float | None:
        """How many seconds until `ended` may have something to tell; None where nothing drains."""
        return self._draining.next_look(now)

    def offers(self, scheduler: str) -> bool:
        """True where the kernel can balance so."""
        return self._servers.offers(scheduler)

    # --- what there is

    def set_timeouts(self) -> None:
        """Idle connections are kept as long as is asked for, from the first call on."""
        self._servers.set_timeouts(self._timeouts)
        self._timeouts = ConnectionTimeouts()

    def read(self) -> None:
        """It is known which virtual servers there are, and at which addresses others have some."""
        self._shadow = ServerShadow(self._servers.read())
        self._dispute(self._shadow.servers)

    def survey(self) -> frozenset[ServerKey]:
        """All that is to be read again part by part: what there is by now, was there before, and is to be there.

        It is known at which addresses others have some.
        """
        there = self._servers.keys()
        self._dispute(there)
        return there.union(self.keys, self._engine.servers)

    def _dispute(self, there: Iterable[ServerKey]) -> None:
        self._disputed = frozenset(
            key.address for key in there if isinstance(key, ServerAddress) and not self._is_ours(key)
        )

    def recall(self, recorded: Iterable[ServerKey]) -> None:
        """These are recorded to be ours, and so is what was; somebody else may have emptied the sets."""
        self._recorded.update(recorded)

    def look_for_others(self, keys: Iterable[ServerKey]) -> None:
        """Of servers that are theirs who had them first, it is known whether others have them by now."""
        unsure = (key for key in keys if key not in self._shadow.servers or key in self._conflicts)
        found = ((key, self._engine.servers.get(key)) for key in unsure)
        self.read_again([key for key, server in found if server is not None and server.origin.may_be_others])

    def ended(self, now: float) -> frozenset[ServerDestination]:
        """What has drained, after reading it again."""
        keys = self._draining.servers
        self.read_again(keys)
        return self._draining.ended(self._shadow.part(keys), now)

    def read_again(self, keys: Iterable[ServerKey]) -> None:
        """Of these servers it is known what they are by now."""
        for key in keys:
            found = self._servers.read_one(key)
            self._shadow.found((key,), {} if found is None else {key: found})

    # --- what is to be, and is done

    def plan(self, keys: Collection[ServerKey], ended: Collection[ServerDestination]) -> Plan:
        """How these servers become what services ask for; those that are left to others are among the conflicts."""
        desired = {key: self._engine.servers[key] for key in keys if key in self._engine.servers}
        found = plan(desired, self._shadow.part(keys), self._constraints, ended)
        self._conflicts = self._conflicts.difference(keys) | found.conflicts
        return found

    def serve(self, keys: Iterable[ServerKey], steps: tuple[ServerStep, ...]) -> None:
        """The steps of these servers are done, but for those of the servers that are refused."""
        for key in keys:
            self._refused.pop(key, None)
        if not steps:
            return
        try:
            self._servers.apply(steps)
        except KernelRefusal:
            for key, own in groupby(steps, key=lambda step: step.key):
                self._serve_one(key, tuple(own))
        else:
            self._shadow.follow(steps)

    def follow(self, keys: Iterable[ServerKey], draining: Iterable[ServerDestination], now: float) -> None:
        """Of these servers exactly these destinations drain."""
        self._draining.follow(keys, draining, now)

    def record(self, keys: Iterable[ServerKey]) -> None:
        """The sets tell of exactly those of these servers that are desired and ours, or refused to go."""
        for key in keys:
            if key in self._refused or (key in self._engine.servers and key not in self._conflicts):
                self._recorded.add(key)
            else:
                self._recorded.discard(key)

    def _serve_one(self, key: ServerKey, steps: tuple[ServerStep, ...]) -> None:
        try:
            self._servers.apply(steps)
        except KernelRefusal as refusal:
            self._refused[key] = str(refusal)
            self.read_again((key,))
        else:
            self._shadow.follow(steps)

    def _is_ours(self, key: ServerKey) -> bool:
        return is_ours(key, self._recorded, self._bound)

    def _is_disputed(self, address: Address) -> bool:
        """True where others had a virtual server at this address when all were read."""
        return address in self._disputed
