"""The proxy's parts of a kernel in memory: the writers of `kernel`, with the kernel's refusals, and a journal.

They keep the contract that tests/vm also holds the real ones to. Production code never imports this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from netpol.dataplane.memory.journal import Journal
from netpol.errors import KernelRefusal
from netpol.model.networks import Address
from netpol.settings import ConnectionTimeouts
from proxy.kernel.ipvs_messages import describe
from proxy.model import (
    AddDestination,
    AddServer,
    Destination,
    EditDestination,
    EditServer,
    HeldDestination,
    HeldServer,
    RemoveDestination,
    RemoveServer,
    ServerKey,
    ServerStep,
    Traffic,
)
from proxy.names import LINK, is_our_mark

SCHEDULERS = frozenset(["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "mh", "fo", "ovf"])
SYSCTLS = {"net.ipv4.vs.conntrack": "1", "net.ipv4.ip_forward": "1", "net.ipv4.conf.all.arp_ignore": "1"}
"""Some of those that the real one sees to."""
FORWARDING = frozenset({"net.ipv4.ip_forward"})


class MemoryProxyKernel:
    """All of the writers, and one journal of what is done by them."""

    def __init__(self, schedulers: Collection[str] = SCHEDULERS) -> None:
        self.journal = Journal()
        self.servers = MemoryServers(self.journal, schedulers)
        self.link = MemoryLink(self.journal)
        self.node_addresses = MemoryNodeAddresses()
        self.sysctls = MemorySysctls(self.journal, self.link)
        self.tunnels = MemoryTunnels(self.journal)
        self.bridges = MemoryBridges(self.journal)


class MemoryServers:
    """`protocols.VirtualServers`; each step that changes something is one operation of the journal."""

    def __init__(self, journal: Journal, schedulers: Collection[str] = SCHEDULERS) -> None:
        self._journal = journal
        self._held: dict[ServerKey, HeldServer] = {}
        self.schedulers = set(schedulers)
        self.timeouts = ConnectionTimeouts()

    def connect(self, key: ServerKey, destination: Destination, active: int = 0, inactive: int = 0) -> None:
        """The destination has so many connections by the server."""
        server = self._held[key]
        held = replace(server.destinations[destination], active=active, inactive=inactive)
        self._held[key] = replace(server, destinations={**server.destinations, destination: held})

    def carry(self, key: ServerKey, traffic: Traffic) -> None:
        """The server has carried so much."""
        self._held[key] = replace(self._held[key], traffic=traffic)

    def read(self) -> Mapping[ServerKey, HeldServer]:
        """Every virtual server with its destinations and what they carry."""
        return dict(self._held)

    def keys(self) -> frozenset[ServerKey]:
        """Every virtual server, without asking what it has."""
        return frozenset(self._held)

    def read_one(self, key: ServerKey) -> HeldServer | None:
        """One virtual server; None where there is none."""
        return self._held.get(key)

    def apply(self, steps: Iterable[ServerStep]) -> None:
        """Each step is carried out, in order; what is refused stops none of the others."""
        refused: list[tuple[ServerStep, KernelRefusal]] = []
        for step in steps:
            try:
                self._apply(step)
            except KernelRefusal as refusal:
                refused.append((step, refusal))
        if refused:
            first, why = refused[0]
            others = len({each.key for each, _ in refused} - {first.key})
            more = f", and something of {others} more virtual servers" if others else ""
            raise KernelRefusal(f"{why}{more}") from why

    def _apply(self, step: ServerStep) -> None:
        server = self._held.get(step.key)
        if server is None and not isinstance(step, AddServer):
            if isinstance(step, RemoveServer | RemoveDestination):
                return
            raise _refused(step, "there is no such virtual server")
        match step:
            case AddServer(key, scheduling) | EditServer(key, scheduling):
                if scheduling.scheduler not in self.schedulers:
                    missing = scheduling.scheduler
                    raise _refused(step, f"the kernel has no scheduler {missing} (modprobe ip_vs_{missing})")
                self._journal.enter(_operation(step))
                self._held[key] = (
                    HeldServer(key, scheduling) if server is None else replace(server, scheduling=scheduling)
                )
            case RemoveServer(key):
                self._journal.enter(_operation(step))
                del self._held[key]
            case AddDestination() | EditDestination() | RemoveDestination():
                assert server is not None  # noqa: S101  mypy does not see that it was asked above
                self._change_destination(server, step)
            case _:
                assert_never(step)

    def _change_destination(
        self, server: HeldServer, step: AddDestination | EditDestination | RemoveDestination
    ) -> None:
        destinations = dict(server.destinations)
        held = destinations.get(step.destination)
        if isinstance(step, RemoveDestination):
            if held is None:
                return
            del destinations[step.destination]
        elif held is None and isinstance(step, EditDestination):
            raise _refused(step, "there is no such destination")
        else:
            held = replace(held or HeldDestination(), weight=step.weight, forwarding=step.forwarding)
            destinations[step.destination] = held
        self._journal.enter(_operation(step))
        self._held[step.key] = replace(server, destinations=destinations)

    def offers(self, scheduler: str) -> bool:
        """True where the kernel has this scheduler."""
        return scheduler in self.schedulers

    def set_timeouts(self, timeouts: ConnectionTimeouts) -> None:
        """Idle connections are kept so long; None leaves what there is."""
        if timeouts == ConnectionTimeouts():
            return
        self._journal.enter(f"set timeouts {timeouts.tcp} {timeouts.tcp_fin} {timeouts.udp}")
        before = self.timeouts
        self.timeouts = ConnectionTimeouts(
            before.tcp if timeouts.tcp is None else timeouts.tcp,
            before.tcp_fin if timeouts.tcp_fin is None else timeouts.tcp_fin,
            before.udp if timeouts.udp is None else timeouts.udp,
        )


class MemoryLink:
    """`protocols.ServiceLink`; each address is one operation of the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._addresses: set[Address] | None = None
        self.is_up = True
        """False where a test has set it down."""
        self.refusing: set[Address] = set()
        """The addresses that it does not take."""
        self.remembered: dict[str, str] = {}
        """What sysctls were, which goes with the link."""

    def read(self) -> frozenset[Address] | None:
        """The addresses on it; None where there is no link."""
        return None if self._addresses is None else frozenset(self._addresses)

    def ensure(self) -> bool:
        """The link is there and up; returns whether that was not so."""
        if self._addresses is None:
            self._journal.enter(f"add link {LINK}")
            self._addresses = set()
        elif self.is_up:
            return False
        else:
            self._journal.enter(f"set up link {LINK}")
        self.is_up = True
        return True

    def bind(self, addresses: Iterable[Address]) -> None:
        """It has these addresses too; one that is there already is no error."""
        refused = []
        for address in addresses:
            if self._addresses is None:
                raise KernelRefusal(f"address {address} cannot be bound to {LINK}: there is no such link")
            if address in self.refusing:
                refused.append(address)
            elif address not in self._addresses:
                self._journal.enter(f"bind {address}")
                self._addresses.add(address)
        if refused:
            raise KernelRefusal(f"address {refused[0]} cannot be bound to {LINK}: Permission denied")

    def unbind(self, addresses: Iterable[Address]) -> None:
        """It has these addresses no more; one that is gone already is no error."""
        for address in addresses:
            if self._addresses is not None and address in self._addresses:
                self._journal.enter(f"unbind {address}")
                self._addresses.discard(address)

    def remove(self) -> None:
        """There is no such link, and none of its addresses."""
        if self._addresses is not None:
            self._journal.enter(f"remove link {LINK}")
            self._addresses = None
            self.remembered.clear()


@dataclass
class MemoryNodeAddresses:
    """`protocols.NodeAddresses`: what a test says they are."""

    addresses: frozenset[Address] = frozenset()

    def read(self) -> frozenset[Address]:
        """The addresses, as the test says."""
        return self.addresses


class MemorySysctls:
    """`protocols.Sysctls`; `values` are what they are, and what a test changes them to."""

    def __init__(self, journal: Journal, link: MemoryLink, wanted: Mapping[str, str] = SYSCTLS) -> None:
        self._journal = journal
        self._link = link
        self._wanted = wanted
        self._before: dict[str, str] = {}
        self.values = dict.fromkeys(wanted, "0")

    def drift(self) -> Mapping[str, str]:
        """The settings that are not as they should be, and what they should be."""
        return {name: value for name, value in self._wanted.items() if self.values.get(name, value) != value}

    def ensure(self) -> None:
        """They are as they should be; what they were is remembered by the link."""
        if self._link.read() is None:
            raise KernelRefusal(f"kernel settings cannot be remembered: there is no link {LINK}")
        for name in self._wanted.keys() & self.values.keys() - FORWARDING:
            self._before[name] = self._link.remembered.get(name, self._before.get(name, self.values[name]))
        self._link.remembered.update(self._before)
        for name, value in self.drift().items():
            self._journal.enter(f"set {name} to {value}")
            self.values[name] = value

    def restore(self) -> None:
        """They are what they were, but for those that somebody else has changed since, or that pods need."""
        for name, before in sorted(self._link.remembered.items()):
            if self.values[name] == self._wanted[name] != before:
                self._journal.enter(f"set {name} to {before}")
                self.values[name] = before
        self._link.remembered.clear()
        self._before.clear()


class MemoryBridges:
    """`protocols.Bridges`: each pod is behind a port of its own."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.returning: set[Address] = set()

    def let_return(self, pods: Iterable[Address]) -> int:
        """These pods get their answers; returns for how many that is new."""
        new = set(pods) - self.returning
        if new:
            self._journal.enter("let pods return")
            self.returning |= new
        return len(new)


@dataclass
class MemoryTunnels:
    """`protocols.Tunnels`; a test says which pods can be reached, None being all."""

    journal: Journal
    reachable: Callable[[Address], bool] = lambda _: True
    marks: frozenset[int] = frozenset()
    opened: dict[Address, frozenset[Address]] = field(default_factory=dict)

    def route_marks(self, marks: Collection[int]) -> int:
        """Packets with exactly these marks of ours come to this node's IPVS; returns how many are new or gone."""
        for mark in marks:
            if not is_our_mark(mark):
                raise KernelRefusal(f"mark {mark:#x} cannot be routed: it is not one of the proxy's")
        changed = sorted(self.marks.symmetric_difference(marks))
        for mark in changed:
            self.journal.enter(f"{'unroute' if mark in self.marks else 'route'} mark {mark:#x}")
        self.marks = frozenset(marks)
        return len(changed)

    def open(self, pod: Address, service_addresses: frozenset[Address]) -> None:
        """The pod takes packets to these addresses out of its tunnel; KernelRefusal where it cannot be reached."""
        if not self.reachable(pod):
            raise KernelRefusal(
                f"no tunnel can be opened in pod {pod}: its network namespace is not visible: "
                "hostPID and /run/netns are needed"
            )
        if self.opened.get(pod) != service_addresses:
            self.journal.enter(f"open {pod} for {' '.join(sorted(map(str, service_addresses)))}")
            self.opened[pod] = service_addresses

    def close_all(self, except_pods: Collection[Address] = ()) -> None:
        """No other pod that was opened has a tunnel of ours."""
        for pod in sorted(self.opened.keys() - set(except_pods), key=lambda each: (each.version, each)):
            self.journal.enter(f"close {pod}")
            del self.opened[pod]

    def remove(self) -> None:
        """Nothing of it is left."""
        self.close_all()
        self.route_marks(())


def _refused(step: ServerStep, why: str) -> KernelRefusal:
    return KernelRefusal(f"{describe(step)}: {why}")


def _operation(step: ServerStep) -> str:
    """What is entered for a step: the words of `describe` in another order."""
    match step:
        case AddServer(key, scheduling):
            return f"add {key} {scheduling.scheduler}"
        case EditServer(key, scheduling):
            return f"edit {key} {scheduling.scheduler}"
        case RemoveServer(key):
            return f"remove {key}"
        case AddDestination(key, destination, weight):
            return f"add {key} -> {destination} {weight}"
        case EditDestination(key, destination, weight):
            return f"edit {key} -> {destination} {weight}"
        case RemoveDestination(key, destination):
            return f"remove {key} -> {destination}"
        case _:
            assert_never(step)
