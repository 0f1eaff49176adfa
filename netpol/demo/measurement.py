"""Every pair of pods asked with packets, each answer beside what the policies say of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from netpol.lab.lab import Lab
from netpol.lab.listeners import Place
from netpol.lab.prober import Outcome, Probe, probe
from netpol.lab.topology import Endpoint
from netpol.model.networks import Address, family_of
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy.judgement import Connection
from netpol.policy.reachability import Reachability
from netpol.policy.verdict import Oracle


class Party(Protocol):
    """One end of a connection, wherever it is."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    @property
    def address(self) -> Address:
        """The one that the connection is to or from."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One connection that was tried: what came of it, and what the policies say should have."""

    source: Party
    destination: Party
    port: ProtocolPort
    outcome: Outcome
    allowed: bool

    @property
    def reached(self) -> bool:
        """True where the packets arrived, and at the right end."""
        return self.outcome is Outcome.REACHED

    @property
    def as_judged(self) -> bool:
        """True where packets and policies agree; a wrong end is never what a policy says."""
        return self.reached == self.allowed and self.outcome is not Outcome.WRONG_END

    def __str__(self) -> str:
        """The difference in words, for a contact that makes one."""
        expected = "allowed" if self.allowed else "refused"
        return f"{self.source} -> {self.destination} {self.port}: {self.outcome.value}, should be {expected}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """Every contact between these ends, over each address family that both have."""

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    contacts: tuple[Contact, ...]

    @property
    def differences(self) -> tuple[Contact, ...]:
        """The contacts of which packets and policies say different things."""
        return tuple(contact for contact in self.contacts if not contact.as_judged)

    @property
    def divided(self) -> tuple[tuple[str, str], ...]:
        """The pairs of which one family or address reaches what another does not."""
        answers: dict[tuple[str, str, ProtocolPort], set[bool]] = {}
        for contact in self.contacts:
            pair = contact.source.name, contact.destination.name, contact.port
            answers.setdefault(pair, set()).add(contact.reached)
        return tuple(dict.fromkeys(pair[:2] for pair, reached in answers.items() if len(reached) > 1))

    def reachability(self, port: ProtocolPort) -> Reachability:
        """Who reached whom on `port`, at the destination's first address that the source has a family for."""
        reach: Reachability = {
            source: {destination: False for destination in self.destinations if destination != source}
            for source in self.sources
        }
        seen: set[tuple[str, str]] = set()
        for contact in self.contacts:
            pair = contact.source.name, contact.destination.name
            if contact.port == port and pair not in seen:
                seen.add(pair)
                reach[pair[0]][pair[1]] = contact.reached
        return reach


def measure(lab: Lab, snapshot: Snapshot, ports: Sequence[ProtocolPort], visitors: Iterable[str] = ()) -> Measurement:
    """What packets do between all actionable pods, and from `visitors`, hosts of the lab, to all of them."""
    oracle = Oracle(snapshot)
    pods = sorted(str(pod) for pod in snapshot.pods.values() if pod.actionable)
    sources = (*pods, *visitors)
    judged = {
        Probe(source, Place(destination, port.protocol, port.port)): oracle.judge(
            Connection(oracle.end_at(source.address), oracle.end_at(destination.address), port.protocol, port.port)
        ).allowed
        for source, destination in _pairs(lab, sources, pods)
        for port in ports
    }
    outcomes = probe(judged, expected={question for question, allowed in judged.items() if allowed})
    contacts = tuple(
        Contact(
            question.source,
            question.place.endpoint,
            ProtocolPort(question.place.protocol, question.place.port),
            outcomes[question],
            allowed,
        )
        for question, allowed in judged.items()
    )
    return Measurement(sources, tuple(pods), contacts)


def _pairs(lab: Lab, sources: Sequence[str], destinations: Sequence[str]) -> Iterator[tuple[Endpoint, Endpoint]]:
    """Every destination's address, with the source's first address of the same family."""
    for source in sources:
        senders = lab.endpoints(source)
        for destination in destinations:
            for receiver in lab.endpoints(destination) if destination != source else ():
                for sender in senders:
                    if family_of(sender.address) is family_of(receiver.address):
                        yield sender, receiver
                        break
