"""The audit log of a lab: what the nodes' kernels refuse while packets are tried, in one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from netpol.audit.clock import wall_clock
from netpol.audit.recorder import Recorder
from netpol.audit.recording import recording
from netpol.bus import Bus
from netpol.lab.lab import Lab
from netpol.model.facts import Kind, lists
from netpol.model.moments import Moment
from netpol.model.snapshot import Snapshot
from netpol.settings import AuditSettings, LogFile, NodeOptions
from netpol.telemetry.metrics import Metrics
from netpol.trigger import Trigger

WINDOW_SECONDS = 1.0


class LabRecorders:
    """The recorders of all nodes of a lab, told of the same cluster."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = recorders
        self._bus = Bus()
        self._news = self._bus.subscribe(tuple(Kind), Trigger())
        self._began: Moment = 0

    def follow(self, snapshot: Snapshot) -> None:
        """The nodes' kernels hold what the snapshot asks for."""
        self._bus.replace_all(lists(snapshot))
        facts = self._news.take()
        ended = wall_clock()
        for recorder in self._recorders:
            recorder.follow(facts, self._began, ended)

    def expect(self) -> None:
        """The nodes are about to be programmed anew."""
        self._began = wall_clock()


@contextmanager
def recorded(lab: Lab, path: Path) -> Iterator[LabRecorders]:
    """Inside, what the kernels of the lab's nodes refuse is recorded; after it the file at `path` has all of it."""
    settings = AuditSettings(LogFile(str(path)), window_seconds=WINDOW_SECONDS)
    with ExitStack() as stack:
        yield LabRecorders(
            [
                stack.enter_context(
                    recording(NodeOptions(node), settings, Metrics(), lab.namespace(f"node/{node}").entered)
                )
                for node in lab.nodes
            ]
        )
