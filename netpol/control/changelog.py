"""A line of the log for each change that reached the kernel."""

from __future__ import annotations

from collections.abc import Sequence

from netpol.dataplane.outcome import Outcome
from netpol.model.facts import Fact
from netpol.telemetry.logs import Log

MOST_LINES = 10
"""How many objects of one batch have lines of their own."""


def tell(log: Log, facts: Sequence[Fact], outcome: Outcome, seconds: float) -> None:
    """Each object that changed is named, with what became of it; of many only the first and their number."""
    for fact in facts[:MOST_LINES]:
        happened = "gone" if fact.value is None else "changed"
        log.info(f"{fact.key.kind.value} {happened}", name=_name(fact), done=outcome, ms=seconds * 1000)
    if len(facts) > MOST_LINES:
        log.info("more objects changed in the same batch", count=len(facts) - MOST_LINES)


def _name(fact: Fact) -> str:
    return "/".join(filter(None, fact.key.object_name))
