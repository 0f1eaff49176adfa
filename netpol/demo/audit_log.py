"""The audit log of a lab: what the nodes' kernels refuse while packets are tried, in one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from netpol.audit.clock import wall_clock
from netpol.audit.recording import recording
from netpol.bus import Bus
from netpol.control.pending import PendingFacts
from netpol.lab.lab import Lab
from netpol.model.facts import Kind, lists
from netpol.model.snapshot import Snapshot
from netpol.settings import AuditSettings, NodeOptions, RecordFile
from netpol.telemetry.metrics import Metrics
from netpol.trigger import Trigger

WINDOW_SECONDS = 1.0


class LabRecorders:
    """The recorders of all nodes of a lab, each told of the same cluster once its node's kernel holds it."""

    def __init__(self, pending: Sequence[PendingFacts]) -> None:
        self._pending = pending
        self._bus = Bus()
        self._news = self._bus.subscribe(tuple(Kind), Trigger())

    @contextmanager
    def programming(self, snapshot: Snapshot) -> Iterator[None]:
        """Inside, the nodes' kernels are brought to what the snapshot asks for; after it they hold it."""
        self._bus.replace_all(lists(snapshot))
        facts = self._news.take()
        for each in self._pending:
            each.take(facts)
        yield
        for each in self._pending:
            each.settle()


@contextmanager
def recorded(lab: Lab, path: Path) -> Iterator[LabRecorders]:
    """Inside, what the kernels of the lab's nodes refuse is recorded; after it the file at `path` has all of it."""
    settings = AuditSettings(RecordFile(path), window_seconds=WINDOW_SECONDS)
    with ExitStack() as stack:
        recorders = [
            stack.enter_context(
                recording(NodeOptions(node), settings, Metrics(), lab.namespace(f"node/{node}").entered)
            )
            for node in lab.nodes
        ]
        yield LabRecorders([PendingFacts(recorder.follow, wall_clock) for recorder in recorders])
