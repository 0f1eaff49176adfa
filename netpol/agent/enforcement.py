"""What the agent has for the firewall alone: its thread, the audit log, and a review of what policies mean.

Apart from the crew, which has no use for it where only Services are served: the compiler, the oracle and the audit log
are more than a quarter of the modules of its own that the agent loads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from netpol.agent.firewall_thread import FirewallThread
from netpol.agent.own_writes import WritesOfAll
from netpol.audit.clock import wall_clock
from netpol.audit.recording import recording
from netpol.bus import Bus, Subscription
from netpol.compiler.gates import pod_cidrs
from netpol.control import firewall
from netpol.control.pending import PendingFacts
from netpol.control.review import Review
from netpol.model.networks import family_of
from netpol.model.objects import Node
from netpol.model.snapshot import Snapshot
from netpol.settings import AgentSettings, NodeOptions, Variant
from netpol.telemetry.health import Health
from netpol.telemetry.logs import Log
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard

REVIEW_SECONDS = 30.0

log = Log("agent")


class PolicyReview:
    """Looks now and then for policies that mean nothing (M7), once everything is listed."""

    def __init__(self, node: NodeOptions, subscription: Subscription, snapshot: Snapshot, notices: NoticeBoard) -> None:
        self._node = node
        self._subscription = subscription
        self._snapshot = snapshot
        self._review = Review(node.name, snapshot, notices)
        self._review_at = 0.0

    def make(self, now: float) -> None:
        """Where it was due at `now`, the policies were looked at."""
        known = self._snapshot
        if self._subscription.missing() or not (known.pods or known.namespaces) or now < self._review_at:
            return
        if not self._review_at:
            _warn_of_unknown_ranges(known.nodes.get(self._node.name), self._node)
        self._review_at = now + REVIEW_SECONDS
        try:
            self._review.look()
        except Exception:
            # It is a courtesy to the authors of policies, and no reason for the agent to end.
            log.exception("policies could not be reviewed")


def _warn_of_unknown_ranges(node: Node | None, options: NodeOptions) -> None:
    """Where the node's pod range is not known, a new pod is open until its policies are in force (G12)."""
    known = {family_of(cidr) for cidr in pod_cidrs(node, options)}
    for family in options.families:
        if family not in known and not options.fail_open:
            log.warning("the node's pod range is not known: --pod-cidr may say it", family=f"IPv{family.value}")


class Enforcement(NamedTuple):
    """The thread, not started yet, and what the main thread looks after for it."""

    thread: FirewallThread
    review: PolicyReview


def open_enforcement(
    settings: AgentSettings,
    variant: Variant,
    bus: Bus,
    metrics: Metrics,
    health: Health,
    notices: NoticeBoard,
    own: WritesOfAll,
    on_first: Callable[[], None],
    stack: ExitStack,
) -> Enforcement:
    """The firewall as it is to run; `stack` ends its audit log, `on_first` is called once the kernel is programmed."""
    health.expect_programmed(firewall.PART)
    recorder = stack.enter_context(recording(settings.node, settings.audit, metrics))
    pending = PendingFacts(recorder.follow, wall_clock)
    instruments = firewall.Instruments(metrics, health, time.monotonic)
    thread = FirewallThread(settings, variant, bus, instruments, pending, own, on_first)
    return Enforcement(thread, PolicyReview(settings.node, thread.subscription, thread.engine.snapshot, notices))
