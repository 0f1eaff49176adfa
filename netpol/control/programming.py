"""Programming a kernel once: read it, plan the difference, apply it, cut what is newly denied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netpol.compiler.ruleset import Ruleset
from netpol.control.cutting import denied_flows
from netpol.dataplane.addresses import local_addresses
from netpol.dataplane.apply import Kernel, apply
from netpol.dataplane.plan import AddMembers, CreateSets, DestroySets, RemoveMembers, Step, WriteTable, plan
from netpol.errors import KernelRefusal
from netpol.model.snapshot import Snapshot

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What programming changed: the steps that were carried out, and how many living connections were cut."""

    steps: tuple[Step, ...]
    flows_cut: int

    def __str__(self) -> str:
        if not self.steps:
            return "nothing to change"
        cut = [f"{self.flows_cut} connections cut"] if self.flows_cut else []
        return ", ".join([*_counts(self.steps), *cut])


@dataclass(frozen=True, slots=True)
class Programming:
    """What a node's kernel is to hold, and the snapshot it was compiled from."""

    snapshot: Snapshot
    ruleset: Ruleset
    node: str


def program(target: Programming, kernel: Kernel) -> Outcome:
    """Make the kernel hold the target's ruleset, writing only the difference, and cut the connections it denies (G11).

    Raises KernelRefusal with the kernel as it was.
    """
    steps = _converge(target.ruleset, kernel)
    return Outcome(steps, _cut(target, kernel) if steps else 0)


def _converge(ruleset: Ruleset, kernel: Kernel) -> tuple[Step, ...]:
    """Apply the difference; where another writer changed what was read, read and plan again."""
    held = kernel.read(ruleset.tables)
    for attempt in range(1, ATTEMPTS + 1):
        steps = plan(ruleset, held)
        try:
            apply(steps, kernel)
        except KernelRefusal:
            before, held = held, kernel.read(ruleset.tables)
            if attempt == ATTEMPTS or held == before:
                raise
        else:
            return steps
    raise AssertionError("the last attempt returns or raises")


def _cut(target: Programming, kernel: Kernel) -> int:
    flows = {family: kernel.flows.read(family) for family in target.ruleset.tables}
    if not any(flows.values()):
        return 0
    local = local_addresses()
    cut = 0
    for family, living in flows.items():
        denied = denied_flows(target.snapshot, target.node, local, living)
        kernel.flows.delete(family, denied)
        cut += len(denied)
    return cut


def _counts(steps: tuple[Step, ...]) -> Iterator[str]:
    """What the steps came to, in the order of a plan."""
    created = sum(len(step.sets) for step in steps if isinstance(step, CreateSets))
    added = sum(len(step.members) for step in steps if isinstance(step, AddMembers))
    removed = sum(len(step.members) for step in steps if isinstance(step, RemoveMembers))
    written = sum(max(len(step.chains), 1) for step in steps if isinstance(step, WriteTable))
    destroyed = sum(len(step.names) for step in steps if isinstance(step, DestroySets))
    counts = {
        "sets created": created,
        "members added": added,
        "members removed": removed,
        "chains written": written,
        "sets destroyed": destroyed,
    }
    yield from (f"{count} {what}" for what, count in counts.items() if count)
