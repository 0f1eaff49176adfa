"""Programming a kernel once: read it, plan the difference, apply it, cut what is newly denied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from netpol.compiler.ruleset import Ruleset
from netpol.control.cutter import Cutter
from netpol.dataplane.apply import Kernel
from netpol.dataplane.keeper import Keeper
from netpol.dataplane.kernel import Tables
from netpol.dataplane.outcome import Outcome
from netpol.dataplane.plan import Stale
from netpol.model.snapshot import Snapshot
from netpol.policy.verdict import Oracle


@dataclass(frozen=True, slots=True)
class Programming:
    """What a node's kernel is to hold, and the snapshot it was compiled from."""

    snapshot: Snapshot
    ruleset: Ruleset
    node: str


def program(target: Programming, kernel: Kernel, superseded: Sequence[Tables] = ()) -> Outcome:
    """Make the kernel hold the target's ruleset, writing only the difference, and cut the connections it denies (G11).

    `superseded` are the tables of other variants (`Keeper`). Connections are looked for whether
    or not a rule changes: an earlier run may have ended before it cut them.

    Raises KernelRefusal. Refused rules leave the kernel as it was.
    """
    outcome = Keeper(kernel, superseded, Stale.DESTROY).converge(target.ruleset)
    cut = Cutter(kernel, target.node).cut(target.snapshot, Oracle(target.snapshot), target.ruleset.sets)
    return replace(outcome, flows_cut=cut)
