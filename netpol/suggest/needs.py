"""What the refusals of a log lack to be allowed: for which workload, with whom, on which port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from netpol.audit.reader.wording import end_name
from netpol.audit.record import Action, Cause, ExternalParty, NodeParty, Party, PodParty, Record
from netpol.model.networks import Address, parse_address
from netpol.model.policies import Direction
from netpol.model.ports import FIRST_PORT, LAST_PORT, PROTOCOLS_WITH_PORTS, Protocol, ProtocolPort
from netpol.model.treatment import Extent
from netpol.policy.ends import Ends
from netpol.policy.judgement import End, ExternalEnd, NodeEnd, PodEnd
from netpol.suggest.extents import AskedSide, Oracles
from netpol.suggest.workloads import Member, Workload, Workloads

REFUSALS = (Action.DENY, Action.WOULD_DENY)
"""The actions whose records tell of a refusal."""

PORTLESS = ProtocolPort(Protocol.ICMP, None)
"""What stands for every packet that no port entry names: only a rule without ports allows it (G10)."""

Key = TypeVar("Key")

Partner = Workload | Address
"""Who a rule is to name: pods, or an address of a node or of the outside."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many records, and how many packets they count."""

    records: int = 0
    packets: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.records + other.records, self.packets + other.packets)

    def __str__(self) -> str:
        """Both numbers in words.

        >>> str(Tally(1, 12))
        '12 packets in 1 record'
        """
        return f"{_counted(self.packets, 'packet')} in {_counted(self.records, 'record')}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What would have to be allowed, to whom; `extent` is of the policies that refuse it now."""

    subject: Workload
    direction: Direction
    extent: Extent
    partner: Partner
    port: ProtocolPort

    def __str__(self) -> str:
        what = "what has no ports" if self.port.port is None else str(self.port)
        return _exchange(str(self.subject), self.direction, str(self.partner), what)


@dataclass(frozen=True, slots=True)
class Need:
    """A wish with the records it comes from: how many, and each side that is refused, of which there is one."""

    wish: Wish
    tally: Tally
    sides: tuple[AskedSide, ...]


@dataclass(frozen=True, slots=True)
class Needs:
    """What records come to, by the cluster as it is."""

    refused: tuple[Need, ...]
    """What is refused, or would be if everything were enforced."""
    allowed: Tally
    """What is neither, by now."""
    gone: Mapping[str, Tally]
    """What cannot be judged, because an end is not what it was; by a line that says so."""
    passed_over: Mapping[str, Tally]
    """What is no refusal, or one that no NetworkPolicy can lift; by the records' reason."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What records of the same refusal have in common."""

    direction: Direction
    subject: PodParty
    peer: Party
    port: ProtocolPort
    what: str
    """The port and protocol, as the record has them."""

    def __str__(self) -> str:
        return _exchange(end_name(self.subject), self.direction, end_name(self.peer), self.what)


def _exchange(subject: str, direction: Direction, peer: str, what: str) -> str:
    return f"{subject} {direction.value} {rule_words(direction, peer, what)}"


def rule_words(direction: Direction, peer: str, what: str) -> str:
    """What a rule says of its peer and ports.

    >>> rule_words(Direction.INGRESS, "x/web", "80/TCP")
    'from x/web on 80/TCP'
    """
    return f"{'from' if direction is Direction.INGRESS else 'to'} {peer} on {what}"


class _Gone(Exception):
    """An end of a record is not what it was; the text says so."""


def needs_of(records: Iterable[Record], workloads: Workloads, ends: Ends, oracles: Oracles) -> Needs:
    """What the records come to, in the snapshot that all the others are of."""
    passed_over: dict[str, Tally] = {}
    refusals: dict[Refusal, Tally] = {}
    for record in records:
        refusal = refusal_of(record)
        if refusal is None:
            _count(passed_over, record.reason.value, Tally(1, record.count))
        else:
            _count(refusals, refusal, Tally(1, record.count))
    standing = _Standing(workloads, ends)
    allowed = Tally()
    gone: dict[str, Tally] = {}
    wishes: dict[Wish, list[tuple[Tally, AskedSide]]] = {}
    for refusal, tally in refusals.items():
        try:
            subject, partner, side = standing.side(refusal)
        except _Gone as reason:
            _count(gone, f"{refusal}: {reason}", tally)
            continue
        extent = next((extent for extent in Extent if not side.answer(oracles[extent]).allowed), None)
        if extent is None:
            allowed += tally
        else:
            wish = Wish(subject, refusal.direction, extent, partner, refusal.port)
            wishes.setdefault(wish, []).append((tally, side))
    needs = tuple(
        Need(wish, sum((tally for tally, _ in found), Tally()), tuple(side for _, side in found))
        for wish, found in wishes.items()
    )
    return Needs(needs, allowed, gone, passed_over)


def refusal_of(record: Record) -> Refusal | None:
    """The refusal that the record is of; None where it is of none that a NetworkPolicy could have allowed."""
    if record.action not in REFUSALS or record.reason is not Cause.IMPLICIT_ISOLATION:
        return None
    subject, peer, protocol = record.subject, record.peer, record.protocol
    direction = next((each for each in Direction if each.value == record.direction), None)
    if direction is None or not isinstance(subject, PodParty) or peer is None or protocol is None:
        return None
    port = _port(protocol, record.dst_port)
    return Refusal(direction, subject, peer, port, protocol if port.port is None else str(port))


def _port(protocol: str, number: int | None) -> ProtocolPort:
    """What a rule has to open: no port entry names port 0 either, which a packet may carry (V6)."""
    known = PROTOCOLS_WITH_PORTS.get(protocol)
    if known is None or number is None or not FIRST_PORT <= number <= LAST_PORT:
        return PORTLESS
    return ProtocolPort(known, number)


class _Standing:
    """Who stands for the parties of records now."""

    def __init__(self, workloads: Workloads, ends: Ends) -> None:
        self._workloads = workloads
        self._ends = ends

    def side(self, refusal: Refusal) -> tuple[Workload, Partner, AskedSide]:
        """The workload, the partner and the side that it would be the refusal of now; _Gone where there is none.

        Who is there stands for itself before another stands for who is gone, so that none stands for both.
        """
        if not isinstance(refusal.peer, PodParty):
            subject = self._member(refusal.subject, None)
            partner, end = self._address(refusal.peer)
            return subject.workload, partner, AskedSide(refusal.direction, _end(subject), end, refusal.port)
        there = self._workloads.member(refusal.peer)
        subject = self._member(refusal.subject, there)
        peer = there or self._member(refusal.peer, subject)
        return subject.workload, peer.workload, AskedSide(refusal.direction, _end(subject), _end(peer), refusal.port)

    def _address(self, party: NodeParty | ExternalParty) -> tuple[Address, End]:
        try:
            address = parse_address(party.ip)
        except ValueError:
            raise _Gone(f"{party.ip!r} is no address") from None
        end = self._ends.at(address)
        if isinstance(party, NodeParty):
            is_same = isinstance(end, NodeEnd) and end.node.name == party.name
        else:
            is_same = isinstance(end, ExternalEnd)
        if not is_same:
            raise _Gone(f"{party.ip} is {'outside the cluster' if isinstance(end, ExternalEnd) else end} by now")
        return address, end

    def _member(self, party: PodParty, other: Member | None) -> Member:
        member = self._workloads.member(party) or self._workloads.successor(party, other.pod if other else None)
        if member is None:
            raise _Gone(f"{end_name(party)} is gone, and no other pod of its workload is there")
        return member


def _end(member: Member) -> PodEnd:
    return PodEnd(member.pod, member.address)


def _count(tallies: dict[Key, Tally], key: Key, tally: Tally) -> None:
    tallies[key] = tallies.get(key, Tally()) + tally


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
