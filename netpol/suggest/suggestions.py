"""The smallest policies to add so that what a log tells was refused is allowed, and nothing else is opened.

Policies are additive (B12): a policy that is added takes nothing away. But it isolates the
pods it selects (V1), so one is suggested only where all of them are isolated already.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netpol.audit.record import Record
from netpol.model.labels import Labels
from netpol.model.objects import Namespace
from netpol.model.policies import Direction, Semantics
from netpol.model.ports import Protocol, ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Enforcement, Extent
from netpol.policy.ends import Ends
from netpol.policy.lookups import Lookups
from netpol.source.objects import NAME_LABEL
from netpol.source.policies import decode_policy
from netpol.suggest.drafts import Dialect, Draft, PodTerm, Term
from netpol.suggest.extents import Oracles, by_extent
from netpol.suggest.needs import Need, Tally, Wish, needs_of
from netpol.suggest.proof import Suggestion, Unproved, prove
from netpol.suggest.workloads import Workload, Workloads


class Breadth(enum.Enum):
    """What is suggested for packets that no port entry can name, such as ICMP (G10)."""

    NAMED_PORTS = "named-ports"
    """Nothing."""
    ALL_PORTS = "all-ports"
    """A rule without ports, which opens every port to that peer."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What there is to say of a log."""

    suggested: tuple[Suggestion, ...]
    left_out: Mapping[str, Tally]
    """What is refused, or cannot be judged, and nothing is suggested for; by a line that says what and why."""
    allowed: Tally
    """What the policies allow by now."""
    passed_over: Mapping[str, Tally]
    """What is no refusal, or one that no NetworkPolicy can lift; by the records' reason."""


def suggest(
    records: Iterable[Record],
    snapshot: Snapshot,
    breadth: Breadth = Breadth.NAMED_PORTS,
    semantics: Semantics = Semantics.V1,
) -> Suggestions:
    """What to add to the cluster's policies; each is proved to do what it is for, and to be needed to its last part.

    `semantics` are those that policies of the cluster would follow, for one that has none.
    """
    lookups = Lookups.of(snapshot)
    workloads = Workloads(snapshot, lookups)
    before = by_extent(snapshot, lookups)
    needs = needs_of(records, workloads, Ends(snapshot, lookups), before)
    naming = _Naming(snapshot, workloads, before, breadth, semantics)
    wanted: dict[_Subject, list[tuple[Term, Need]]] = {}
    left_out = dict(needs.gone)
    for need in needs.refused:
        subject = _Subject(need.wish.subject, need.wish.direction, need.wish.extent)
        try:
            naming.require_subject(subject)
            term = naming.term(need.wish)
        except _Unnameable as reason:
            line = f"{need.wish}: {reason}"
            left_out[line] = left_out.get(line, Tally()) + need.tally
        else:
            wanted.setdefault(subject, []).append((term, need))
    taken = {f"{policy}" for policy in snapshot.policies.values()}
    suggested = []
    for subject, terms in sorted(wanted.items(), key=lambda item: item[0].order):
        suggested.append(_suggestion(naming.draft(subject, terms), terms, taken))
        taken.add(str(suggested[-1].policy))
    prove(suggested, snapshot, before, workloads.pods())
    return Suggestions(tuple(suggested), left_out, needs.allowed, needs.passed_over)


def _suggestion(draft: Draft, terms: Iterable[tuple[Term, Need]], taken: set[str]) -> Suggestion:
    """The draft with what it is for; what is judged is what the reader of manifests makes of the object."""
    document = draft.document(taken)
    policy, notices = decode_policy(document, draft.dialect.semantics)
    if notices:
        raise Unproved(str(notices[0]))
    return Suggestion(document, policy, tuple(need for _, need in terms))


@dataclass(frozen=True, slots=True)
class _Subject:
    """Whom a policy is for, in one direction; `extent` is of the policies that it is to be one of."""

    workload: Workload
    direction: Direction
    extent: Extent

    @property
    def order(self) -> tuple[str, str, str, str]:
        return self.workload.namespace, self.workload.name, self.direction.value, self.extent.value


class _Unnameable(Exception):
    """No policy can allow this and nothing else; the text says why."""


class _Naming:
    """How policies name what the needs of one snapshot are of."""

    def __init__(
        self,
        snapshot: Snapshot,
        workloads: Workloads,
        before: Oracles,
        breadth: Breadth,
        semantics: Semantics,
    ) -> None:
        self._snapshot = snapshot
        self._workloads = workloads
        self._oracles = before
        self._breadth = breadth
        self._semantics: dict[str, set[Semantics]] = {}
        for policy in snapshot.policies.values():
            self._semantics.setdefault(policy.namespace, set()).add(policy.semantics)
        self._semantics_elsewhere = set().union(*self._semantics.values()) or {semantics}

    def require_subject(self, subject: _Subject) -> None:
        """_Unnameable where a policy for the subject would select others, or isolate a pod."""
        self._labels(subject.workload)
        oracle = self._oracles[subject.extent]
        for pod in subject.workload.pods:
            if not oracle.isolating(pod, subject.direction):
                raise _Unnameable(f"a policy for it would isolate {pod} for {subject.direction.value}")

    def term(self, wish: Wish) -> Term:
        """How a rule names the wish's partner; _Unnameable where none can, or none the port."""
        dialect = self._dialect(wish.subject, wish.direction)
        if wish.port.port is None and self._breadth is Breadth.NAMED_PORTS:
            raise _Unnameable("only a rule without ports allows this, which opens every port (--all-ports)")
        if dialect is Dialect.BETA and wish.port.protocol is Protocol.SCTP:
            raise _Unnameable(f"{dialect.value} has no SCTP (B9)")
        partner = wish.partner
        if not isinstance(partner, Workload):
            if dialect is Dialect.BETA:
                raise _Unnameable(f"{dialect.value} names no addresses")
            return partner
        labels = self._labels(partner)
        if partner.namespace == wish.subject.namespace:
            return PodTerm.of(labels)
        if dialect is Dialect.BETA:
            raise _Unnameable(f"{dialect.value} names pods of another namespace only all together (B10)")
        named = [
            namespace.name
            for namespace in self._snapshot.namespaces.values()
            if namespace.labels.get(NAME_LABEL) == partner.namespace
        ]
        if named != [partner.namespace]:
            raise _Unnameable(f"the label {NAME_LABEL}={partner.namespace} does not name that namespace (G7)")
        return PodTerm.of(labels, partner.namespace)

    def draft(self, subject: _Subject, terms: Iterable[tuple[Term, Need]]) -> Draft:
        """The policy that allows what the subject needs."""
        ports_of: dict[Term, frozenset[ProtocolPort] | None] = {}
        for term, need in terms:
            before = ports_of.get(term, frozenset())
            ports_of[term] = None if before is None or need.wish.port.port is None else before | {need.wish.port}
        return Draft(
            self._dialect(subject.workload, subject.direction),
            subject.workload.namespace,
            subject.workload.name,
            PodTerm.of(self._labels(subject.workload)),
            subject.direction,
            self._enforcement(subject),
            ports_of,
        )

    def _labels(self, workload: Workload) -> Labels:
        labels = self._workloads.labels(workload)
        if labels is None:
            raise _Unnameable(f"no labels tell {workload} from the other pods of its namespace")
        return labels

    def _enforcement(self, subject: _Subject) -> Enforcement:
        """Under audit where what isolates the subject is, which a policy that is enforced would make an isolation.

        Where the whole namespace is, nothing need be said (X16).
        """
        if subject.extent is Extent.ENFORCED:
            return Enforcement.ENFORCE
        stated = self._namespace(subject.workload).enforcement
        return Enforcement.ENFORCE if stated is Enforcement.AUDIT else Enforcement.AUDIT

    def _dialect(self, workload: Workload, direction: Direction) -> Dialect:
        """The older API where the namespace's annotation isolates and its policies are all of that (M4).

        A namespace without policies is taken to be as the others are, and a cluster without any as it was said to be.
        """
        if direction is Direction.EGRESS or not self._namespace(workload).default_deny:
            return Dialect.V1
        semantics = self._semantics.get(workload.namespace, self._semantics_elsewhere)
        return Dialect.BETA if semantics == {Semantics.ANNOTATION} else Dialect.V1

    def _namespace(self, workload: Workload) -> Namespace:
        return self._snapshot.namespaces.get(workload.namespace) or Namespace(workload.namespace)
