"""What the main thread looks after while it waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from netpol.bus import Subscription
from netpol.compiler.gates import pod_cidrs
from netpol.control.review import Review
from netpol.listing import listed
from netpol.model.networks import family_of
from netpol.model.objects import Node
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions
from netpol.telemetry.logs import Log
from netpol.telemetry.notices import NoticeBoard

REVIEW_SECONDS = 30.0

log = Log("agent")


class Round(Protocol):
    """Something that is looked after."""

    def make(self, now: float) -> None:
        """Whatever is due at `now` was looked at."""


class LateLists:
    """Says once which kinds are not listed at a time when they should be."""

    def __init__(self, subscriptions: Sequence[Subscription], late_at: float) -> None:
        self._subscriptions = tuple(subscriptions)
        self._late_at: float | None = late_at

    def make(self, now: float) -> None:
        """What is late at `now` was said."""
        if self._late_at is None or now < self._late_at:
            return
        if names := sorted({kind.value for each in self._subscriptions for kind in each.missing()}):
            self._late_at = None
            log.warning("not everything is listed yet: the kernel is left as it is", missing=listed(names, len(names)))


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
