"""One kernel that is kept equal to a ruleset, and what is known of it without asking."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from netpol.compiler.ruleset import Ruleset
from netpol.dataplane.apply import Kernel, apply, left_in
from netpol.dataplane.clearing import clear_tables
from netpol.dataplane.kernel import Tables
from netpol.dataplane.outcome import Outcome
from netpol.dataplane.plan import Held, Stale, plan
from netpol.dataplane.shadow import Shadow
from netpol.dataplane.steps import Step, references_first
from netpol.errors import KernelRefusal
from netpol.model.networks import Family

ATTEMPTS = 3


class Touched(Protocol):
    """What a change is about, by name; `chains` are the names of both families."""

    @property
    def sets(self) -> frozenset[str]:
        """The sets that it makes, changes or does without."""

    @property
    def chains(self) -> frozenset[str]:
        """The chains that it makes, changes or does without."""


class Keeper:
    """Writes differences only. After a refusal nothing is taken for known until `converge` has read it again.

    `superseded` are the tables of other variants. What an earlier run left there goes once the
    kernel's own tables judge every packet, and only then do the sets go that it used.

    With `Stale.KEEP`, sets that are not desired any more stay until `sweep` takes them away.
    """

    def __init__(self, kernel: Kernel, superseded: Sequence[Tables] = (), stale_sets: Stale = Stale.KEEP) -> None:
        self._kernel = kernel
        self._superseded = superseded
        self._stale_sets = stale_sets
        self._shadow: Shadow | None = None
        self._stale: set[str] = set()

    @property
    def is_certain(self) -> bool:
        """True where the kernel is known to hold what it was last told."""
        return self._shadow is not None

    @property
    def has_stale(self) -> bool:
        """True where `sweep` may have something to do."""
        return self._shadow is not None and bool(self._stale)

    def doubt(self) -> None:
        """What the kernel holds is not known any more."""
        self._shadow = None

    def converge(self, ruleset: Ruleset) -> Outcome:
        """The kernel holds the ruleset, after reading all that it held; returns what had to be done.

        Raises KernelRefusal. Refused rules leave the kernel as it was.
        """
        self._shadow = None
        former = [tables for tables in self._superseded if any(left_in(tables, family) for family in Family)]
        first: tuple[Step, ...] = ()
        if former:
            first, _ = self._apply(ruleset.tables, partial(_with_stale_sets, ruleset))
        cleared = sum(map(_clear, former))
        # What was superseded once is looked for once: nobody else writes under our names.
        self._superseded = ()
        steps, held = self._apply(ruleset.tables, lambda _: ruleset)
        self._shadow = Shadow(held.beside(ruleset))
        self._shadow.follow(steps)
        self._stale = set(self._shadow.sets.keys() - ruleset.sets.keys())
        return Outcome(first + steps, cleared)

    def change(self, part: Ruleset, touched: Touched) -> Outcome:
        """The kernel holds `part` under the touched names; returns what had to be done. Raises KernelRefusal."""
        if self._shadow is None:
            raise KernelRefusal("it is not known what the kernel holds")
        shadow, self._shadow = self._shadow, None
        steps = plan(part, shadow.part(touched.sets, touched.chains), Stale.KEEP)
        apply(steps, self._kernel)
        shadow.follow(steps)
        self._shadow = shadow
        self._stale -= part.sets.keys()
        self._stale |= {name for name in touched.sets - part.sets.keys() if name in shadow.sets}
        return Outcome(steps)

    def estranged(self) -> frozenset[str]:
        """The sets that others have changed, as far as that shows without their members. Raises KernelRefusal."""
        return frozenset() if self._shadow is None else self._shadow.estranged(self._kernel.sets.survey())

    def sweep(self) -> bool:
        """One set that nothing asks for any more is gone; False where none can go now. Raises KernelRefusal."""
        if self._shadow is None:
            return False
        for each in references_first(self._shadow.sets[name] for name in self._stale):
            if self._kernel.sets.destroy_unused(each.name):
                self._shadow.forget_set(each.name)
                self._stale.discard(each.name)
                return True
        return False

    def _apply(self, families: Collection[Family], desired: Callable[[Held], Ruleset]) -> tuple[tuple[Step, ...], Held]:
        """The steps applied, and what was held before them; where another writer changed that, it is read again."""
        held = self._kernel.read(families)
        attempts_left = ATTEMPTS
        while True:
            steps = plan(desired(held), held, self._stale_sets)
            try:
                apply(steps, self._kernel)
            except KernelRefusal:
                attempts_left -= 1
                before, held = held, self._kernel.read(families)
                if not attempts_left or held == before:
                    raise
            else:
                return steps, held


def _with_stale_sets(ruleset: Ruleset, held: Held) -> Ruleset:
    """The ruleset, and beside it the sets that are not its own any more."""
    return replace(ruleset, sets={**held.sets, **ruleset.sets})


def _clear(tables: Tables) -> int:
    """How many chains are gone; KernelRefusal where some are not."""
    cleared = clear_tables(tables, [family for family in Family if left_in(tables, family)])
    if cleared.left:
        raise KernelRefusal("; ".join(cleared.left))
    return cleared.chains
