"""What is under audit, beside what is enforced (X16)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from builders import BOTH, EGRESS, beta, namespace, node, pod, policy, rule, world
from hypothesis import given
from hypothesis import strategies as st
from questions import ask, egress, ingress
from worlds import all_addresses, snapshots

from netpol.model.objects import Namespace
from netpol.model.policies import Direction, Policy
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Enforcement, Extent
from netpol.policy.judgement import (
    AnnotationReference,
    Connection,
    Lack,
    NearestMiss,
    PolicyReference,
    Reason,
    Verdict,
)
from netpol.policy.verdict import Detail, Oracle

PODS = (pod("x/a", "10.0.0.1", labels="app=a", node="n1"), pod("x/b", "10.0.0.2", labels="app=b", node="n1"))
PLAIN, AUDITED = namespace("x"), namespace("x", under_audit=True)


def reference(name: str, rule: int | None = None) -> PolicyReference:
    return PolicyReference("NetworkPolicy", "x", name, rule)


@pytest.mark.parametrize(
    ("place", "closed"),
    [
        (PLAIN, policy("x/p", directions=BOTH, under_audit=True)),
        (AUDITED, policy("x/p", directions=BOTH)),
        (AUDITED, policy("x/p", directions=BOTH, under_audit=True)),
    ],
)
def test_a_policy_under_audit_isolates_nothing_and_tells_what_it_would_refuse(place: Namespace, closed: Policy) -> None:
    verdict = ask(world(place, *PODS, closed), "x/a", "x/b")
    assert (verdict.allowed, verdict.spared) == (True, True)
    for decision in (verdict.egress, verdict.ingress):
        assert (decision.allowed, decision.reason, decision.isolating) == (True, Reason.NOT_ISOLATED, ())
        refusal = decision.would_deny
        assert refusal is not None
        assert (refusal.allowed, refusal.direction) == (False, decision.direction)
        assert (refusal.reason, refusal.isolating) == (Reason.IMPLICIT_ISOLATION, (reference("p"),))


def test_the_annotation_is_under_audit_where_its_namespace_is() -> None:
    snapshot = world(
        namespace("x", deny=True, under_audit=True), *PODS, beta("x/p", "app=b", ingress=[rule(ports=["81/TCP"])])
    )
    decision = ingress(snapshot, "x/a", "x/b")
    assert (decision.allowed, decision.isolating) == (True, ())
    assert decision.would_deny is not None
    assert decision.would_deny.isolating == (AnnotationReference("x"),)
    assert decision.would_deny.nearest_miss == NearestMiss(
        reference("p", 0), (Lack.PORT,), "it allows 81/TCP, not 80/TCP"
    )
    assert ingress(snapshot, "x/a", "x/b", "81/TCP").would_deny is None
    assert egress(snapshot, "x/a", "x/b").would_deny is None, "B3: it isolates for ingress only"


def test_a_rule_under_audit_never_widens_what_is_allowed() -> None:
    for dry in (policy("x/dry", ingress=[rule()], under_audit=True), beta("x/dry", ingress=[rule()], under_audit=True)):
        snapshot = world(namespace("x", deny=True), *PODS, dry)
        decision = ingress(snapshot, "x/a", "x/b")
        assert not decision.allowed
        assert decision.isolating == (AnnotationReference("x"),)
        assert decision.nearest_miss is None, "no rule that is enforced could come near"
        assert decision.would_deny is None, "it is refused already"


def test_what_is_enforced_refuses_whatever_is_under_audit_beside_it() -> None:
    snapshot = world(PLAIN, *PODS, policy("x/firm"), policy("x/dry", under_audit=True))
    decision = ingress(snapshot, "x/a", "x/b")
    assert (decision.allowed, decision.isolating, decision.would_deny) == (False, (reference("firm"),), None)


def test_an_allowance_names_only_what_is_enforced() -> None:
    snapshot = world(
        PLAIN, *PODS, policy("x/firm", ingress=[rule()]), policy("x/dry", ingress=[rule()], under_audit=True)
    )
    decision = ingress(snapshot, "x/a", "x/b")
    assert (decision.policies, decision.isolating) == ((reference("firm", 0),), (reference("firm"),))
    assert decision.would_deny is None


def test_policies_under_audit_are_judged_together_with_those_that_are_enforced() -> None:
    """A dry run that isolates is no refusal where any rule, of whichever policy, would allow."""
    isolating = policy("x/dry", "app=b", under_audit=True)
    allowing = policy("x/more", "app=b", ingress=[rule()], under_audit=True)
    assert ingress(world(PLAIN, *PODS, isolating), "x/a", "x/b").would_deny is not None
    assert ingress(world(PLAIN, *PODS, isolating, allowing), "x/a", "x/b").would_deny is None
    enforced = replace(allowing, enforcement=Enforcement.ENFORCE)
    assert ingress(world(PLAIN, *PODS, isolating, enforced), "x/a", "x/b").reason is Reason.RULE


@pytest.mark.parametrize("source", ["node/n1", "x/b"])
def test_g8_g9_hold_under_audit_too(source: str) -> None:
    snapshot = world(PLAIN, node("n1", "192.168.0.1"), *PODS, policy("x/dry", directions=BOTH, under_audit=True))
    assert ingress(snapshot, source, "x/b").would_deny is None


def test_x2_the_policies_of_a_namespace_that_is_not_known_are_under_audit_by_themselves_only() -> None:
    dry, firm = policy("x/dry", under_audit=True), policy("x/firm")
    assert ask(world(*PODS, dry), "x/a", "x/b").spared
    assert not ask(world(*PODS, firm), "x/a", "x/b").allowed


def test_the_nearest_miss_of_what_would_refuse_is_worked_out_only_on_request() -> None:
    snapshot = world(PLAIN, *PODS, policy("x/dry", ingress=[rule(ports=["81/TCP"])], under_audit=True))
    connection = next(connections(snapshot))
    oracle = Oracle(snapshot)
    for detail, known in ((Detail.REASONS, False), (Detail.FULL, True)):
        refusal = oracle.judge(connection, detail).ingress.would_deny
        assert refusal is not None
        assert (refusal.nearest_miss is not None) is known


@pytest.mark.parametrize("under_audit", ["namespace", "policy"])
def test_what_is_under_audit_isolates_in_the_larger_extent_only(under_audit: str) -> None:
    place = namespace("x", deny=True, under_audit=under_audit == "namespace")
    closed = policy("x/p", directions=EGRESS, under_audit=under_audit == "policy")
    snapshot = world(place, *PODS, closed)
    enforced, every = Oracle(snapshot), Oracle(snapshot, extent=Extent.ALL)
    annotation = (AnnotationReference("x"),)
    assert enforced.isolating(PODS[0], Direction.INGRESS) == (annotation if under_audit == "policy" else ())
    assert enforced.isolating(PODS[0], Direction.EGRESS) == ()
    assert every.isolating(PODS[0], Direction.INGRESS) == annotation
    assert every.isolating(PODS[0], Direction.EGRESS) == (reference("p"),)


# --- over random worlds


def connections(snapshot: Snapshot) -> Iterator[Connection]:
    """A connection between any two addresses of one family, some of them of nobody."""
    oracle = Oracle(snapshot)
    ends = [oracle.end_at(each) for each in all_addresses(snapshot)]
    for source in ends:
        for destination in ends:
            assert source.address is not None
            assert destination.address is not None
            if source.address.version == destination.address.version and source is not destination:
                yield Connection(source, destination, Protocol.TCP, 80)


def verdicts(oracle: Oracle, snapshot: Snapshot) -> list[Verdict]:
    """What the oracle says of the connections of that snapshot."""
    return [oracle.judge(connection, Detail.FULL) for connection in connections(snapshot)]


def enforced_throughout(snapshot: Snapshot) -> Snapshot:
    """The world with nothing under audit."""
    spaces = {name: replace(each, enforcement=Enforcement.ENFORCE) for name, each in snapshot.namespaces.items()}
    policies = {name: replace(each, enforcement=Enforcement.ENFORCE) for name, each in snapshot.policies.items()}
    return replace(snapshot, namespaces=spaces, policies=policies)


def without_what_is_under_audit(snapshot: Snapshot) -> Snapshot:
    """The world from which all is taken that is under audit."""
    spaces = {
        name: replace(each, default_deny=False) if each.enforcement is Enforcement.AUDIT else each
        for name, each in snapshot.namespaces.items()
    }
    policies = {
        (place, name): each
        for (place, name), each in snapshot.policies.items()
        if each.enforcement is Enforcement.ENFORCE
        and (place not in spaces or spaces[place].enforcement is Enforcement.ENFORCE)
    }
    return replace(snapshot, namespaces=spaces, policies=policies)


def plain(verdict: Verdict) -> Verdict:
    """The verdict without what enforcing would refuse."""
    return Verdict(replace(verdict.egress, would_deny=None), replace(verdict.ingress, would_deny=None))


SMALL = snapshots(max_pods=6)


@given(SMALL)
def test_to_enforce_everything_is_to_look_at_everything(snapshot: Snapshot) -> None:
    everything = enforced_throughout(snapshot)
    expected = verdicts(Oracle(everything), everything)
    assert verdicts(Oracle(snapshot, extent=Extent.ALL), everything) == expected
    assert not any(each.egress.would_deny or each.ingress.would_deny for each in expected)


@given(SMALL)
def test_what_is_under_audit_changes_no_verdict(snapshot: Snapshot) -> None:
    less = without_what_is_under_audit(snapshot)
    assert [plain(each) for each in verdicts(Oracle(snapshot), snapshot)] == verdicts(Oracle(less), snapshot)


@given(SMALL)
def test_what_would_be_refused_is_what_all_policies_together_refuse(snapshot: Snapshot) -> None:
    everything = verdicts(Oracle(snapshot, extent=Extent.ALL), snapshot)
    for enforced, enforcing in zip(verdicts(Oracle(snapshot), snapshot), everything, strict=True):
        for now, then in ((enforced.egress, enforcing.egress), (enforced.ingress, enforcing.ingress)):
            assert now.would_deny == (then if now.allowed and not then.allowed else None)
        assert enforced.spared is (enforced.allowed and not enforcing.allowed)


@given(SMALL, st.data())
def test_one_more_policy_under_audit_never_opens_nor_closes(snapshot: Snapshot, data: st.DataObject) -> None:
    if snapshot.policies:
        key = data.draw(st.sampled_from(sorted(snapshot.policies)))
        rest = {name: each for name, each in snapshot.policies.items() if name != key}
        audited = replace(snapshot.policies[key], enforcement=Enforcement.AUDIT)
        with_it, without = replace(snapshot, policies={**rest, key: audited}), replace(snapshot, policies=rest)
        found = verdicts(Oracle(with_it), snapshot)
        assert [each.allowed for each in found] == [each.allowed for each in verdicts(Oracle(without), snapshot)]
