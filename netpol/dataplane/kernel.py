"""What a writer of each kernel subsystem offers: the seam between plans and the kernel.

Two implementations of each keep the same contract (tests/contract): the real one and
`memory`'s. Every method raises KernelRefusal, naming what was refused and why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from netpol.compiler.ruleset import Hook, IpSet, Member, SetType
from netpol.model.networks import Address, Family
from netpol.model.ports import Protocol as TransportProtocol


@dataclass(frozen=True, slots=True)
class HookRule:
    """A rule that leads to one of our chains, and its place in the chain it stands in, from 1.

    Behind a hook, rules that lead to a neighbour's chains (`ownership`) are not counted; where ours are to stand
    behind those, 1 is right behind the last of them, and 0 before it.
    """

    position: int
    text: str


@dataclass(frozen=True, slots=True)
class KernelTable:
    """What one table of a family holds of ours, as normalised iptables-save text.

    `chains` maps a chain's name to its rules, each as `render` writes it, without `-A NAME`.
    `strays` are rules leading to our chains from chains that others made, by chain: they
    are theirs, and a chain that one of them leads to cannot go. `places` are the numbers at which
    a hook's rule is inserted, once there is none of ours, where that is not 1.
    """

    hooks: Mapping[Hook, tuple[HookRule, ...]]
    chains: Mapping[str, tuple[str, ...]]
    strays: Mapping[str, tuple[HookRule, ...]] = field(default_factory=dict)
    places: Mapping[Hook, int] = field(default_factory=dict)


class SetSummary(NamedTuple):
    """What a set is and how many members it has; `type` is None where it is one that is never made here."""

    type: SetType | None
    family: Family | None
    timeout_seconds: int | None
    members: int
    has_comments: bool = False


class Sets(Protocol):
    """The ipsets whose names are ours (`ownership`); no others are ever read or written."""

    def read(self) -> Mapping[str, IpSet]:
        """Our sets as the kernel holds them."""

    def read_members(self, target: IpSet) -> frozenset[Member]:
        """What one set holds; a set that is not there is refused."""

    def survey(self) -> Mapping[str, SetSummary]:
        """Our sets without their members: cheaper than to read them, and a set emptied by others shows."""

    def create(self, sets: Iterable[IpSet]) -> None:
        """Create each set, empty: a set that exists is refused."""

    def add(self, target: IpSet, members: Iterable[Member]) -> None:
        """Add members to an existing set; one that is there already gets the new comment or flag."""

    def remove(self, target: IpSet, members: Iterable[Member]) -> None:
        """Remove members; absent ones are no error. The bulk message is not atomic."""

    def destroy(self, names: Iterable[str]) -> None:
        """Destroy sets that no rule and no other set refers to; one in use is refused, one already gone is no error."""

    def destroy_unused(self, name: str) -> bool:
        """True once there is no such set; False where a rule or another set refers to it at this moment."""


class Tables(Protocol):
    """One table of each family, such as the filter table, through one variant of iptables."""

    def read(self, family: Family) -> KernelTable:
        """What the family's table holds of ours."""

    def write(self, family: Family, lines: Sequence[str]) -> None:
        """Apply `lines` (restore format, between the table's name and `COMMIT`) all or nothing, others' untouched."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection that conntrack knows, by the addresses and ports after service translation (G5).

    `protocol` is None for one that no policy can name, such as GRE; only TCP, UDP and SCTP have a `port`.
    `handle` is what the writer needs to delete exactly this entry. `asked` are the address and port that it was
    opened to, where IPVS translated them and no rule of iptables: INPUT saw these.
    """

    source: Address
    destination: Address
    protocol: TransportProtocol | None
    port: int | None
    handle: bytes
    asked: tuple[Address, int | None] | None = None


class Flows(Protocol):
    """The kernel's connection table."""

    def read(self, *families: Family, touching: Collection[Address] | None = None) -> Sequence[Flow]:
        """Every flow of the families, whatever its protocol.

        With `touching`, only those with one of these addresses at an end: who opened it, to
        which address, or who was reached by it.
        """

    def delete(self, family: Family, flows: Iterable[Flow]) -> None:
        """Forget these flows; those already gone are no error."""
