"""A verdict in sentences for the person who runs the cluster."""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import chain

from netpol.listing import listed
from netpol.model.networks import Address, Family
from netpol.model.objects import ISOLATION_ANNOTATION, Node, Pod
from netpol.model.policies import Direction, Policy
from netpol.policy.judgement import (
    AnnotationReference,
    Connection,
    Decision,
    End,
    ExternalEnd,
    NodeEnd,
    PodEnd,
    PolicyReference,
    Reason,
    Reference,
    Verdict,
)

_MOST_LISTED = 3


def verdict_sentences(connection: Connection, verdict: Verdict) -> list[str]:
    """The answer, then why each side gives it; what is said of both sides is said once."""
    source, destination = connection.source, connection.destination
    may = "may" if verdict.allowed else "may not"
    proviso = ", but only while policies are under audit" if verdict.spared else ""
    return list(
        dict.fromkeys(
            (
                f"{_located(source)} {may} connect to {_located(destination)} on {connection.protocol_port}{proviso}.",
                *_decision_sentences(verdict.egress, source, destination),
                *_decision_sentences(verdict.ingress, destination, source),
            )
        )
    )


def _decision_sentences(decision: Decision, own: End, peer: End) -> Iterable[str]:
    ingress = decision.direction is Direction.INGRESS
    match decision.reason:
        case Reason.RULE:
            rules = listed(
                (_rule_words(reference, decision.direction) for reference in decision.policies), _MOST_LISTED
            )
            yield f"It may {'enter' if ingress else 'leave'} {own} by {rules}."
        case Reason.NOT_ISOLATED:
            nothing = "Nothing" if decision.would_deny is None else "Nothing that is enforced"
            yield f"{nothing} isolates {own} for {decision.direction.value}."
        case Reason.NOT_A_POD:
            kind = "a node" if isinstance(own, NodeEnd) else "outside the cluster"
            yield f"{own} is {kind}, and policies judge only what pods send and receive."
        case Reason.OWN_NODE:
            yield f"{peer} is the node that {own} runs on, which may always reach it, as the kubelet's probes must."
        case Reason.OWN_ADDRESS:
            yield f"It never leaves {own}'s own network namespace, where no policy can refuse it."
        case Reason.NO_COMMON_FAMILY:
            yield _strangers(own, peer) if ingress else _strangers(peer, own)
        case Reason.IMPLICIT_ISOLATION:
            yield from _refusal_sentences(decision, f"{own} refuses it: it is isolated", decision.isolating)
    if decision.would_deny is not None:
        refuses = f"Were everything enforced, {own} would refuse it: it would be isolated"
        yield from _refusal_sentences(decision.would_deny, refuses, decision.isolating)


def _refusal_sentences(decision: Decision, refuses: str, in_force: Container[Reference]) -> Iterable[str]:
    """Why it is refused, after the words of `refuses`; what isolates and is not in force is under audit (X16)."""
    direction, miss = decision.direction, decision.nearest_miss
    names = (f"{_isolation_words(each)}{'' if each in in_force else ' (under audit)'}" for each in decision.isolating)
    isolating = listed(names, _MOST_LISTED)
    refusal = f"{refuses} for {direction.value} by {isolating}, and"
    if miss is None:
        yield f"{refusal} no rule allows it anything."
    else:
        yield f"{refusal} no rule allows this."
        yield f"The closest is {_rule_words(miss.policy, direction)}: {miss.detail}."


def _strangers(destination: End, source: End) -> str:
    return (
        f"{_stranger(source, destination)} and {_stranger(destination, source)} have no address family in common, "
        "so no packet can pass between them."
    )


def _stranger(end: End, other: End) -> str:
    """The end, or only the address that is meant of it where another of its addresses has the other's family."""
    for address in _addresses(end):
        if other.address is not None and address.version == other.address.version:
            return f"{end.address} (an address of {end})"
    return str(end)


def _located(end: End) -> str:
    """The end, and the address that is meant where it has several."""
    return f"{end} ({end.address})" if len(_addresses(end)) > 1 else str(end)


def _addresses(end: End) -> tuple[Address, ...]:
    match end:
        case PodEnd():
            return end.pod.addresses
        case NodeEnd():
            return end.node.addresses
        case ExternalEnd():
            return (end.address,)


def _rule_words(reference: PolicyReference, direction: Direction) -> str:
    return f"{direction.value}[{reference.rule}] of {_policy_words(reference)}"


def _isolation_words(reference: Reference) -> str:
    if isinstance(reference, AnnotationReference):
        return f"the DefaultDeny annotation of namespace {reference.name}"
    return _policy_words(reference)


def _policy_words(reference: PolicyReference) -> str:
    return f"{reference.kind} {reference.namespace}/{reference.name}"


def note_sentences(asked: str, meant: End, judged: End, nodes: Iterable[Node]) -> list[str]:
    """What a person should know of one end: who it really is, and what the policies alone do not say.

    `asked` is the person's name for it, `meant` what that stands for, `judged` who holds the address (X1).
    """
    return list(chain(_identity_notes(asked, meant, judged), _address_notes(judged, nodes)))


def other_family_note(family: Family, connection: Connection, verdict: Verdict) -> str:
    """That the same question has another answer over this family."""
    source, destination = connection.source, connection.destination
    return (
        f"Over IPv{family.value}, from {source.address or source} to {destination.address or destination}, "
        f"it is {'allowed' if verdict.allowed else 'refused'}."
    )


def dry_run_note(enforced: Decision, enforcing: Decision, pod: Pod) -> str | None:
    """What is under audit for this side of the connection, where the verdict's own sentences do not tell (X16).

    `enforcing` is the decision that there would be if everything were enforced.
    """
    direction = enforced.direction
    if enforcing.allowed and not enforced.allowed:
        rules = listed((_rule_words(each, direction) for each in enforcing.policies), _MOST_LISTED)
        return f"Were everything enforced, {pod} would allow it by {rules}."
    withheld = [each for each in enforcing.isolating if each not in enforced.isolating]
    if enforced.would_deny is None and withheld:
        names = listed(map(_isolation_words, withheld), _MOST_LISTED)
        return f"Under audit, and so without effect on the {direction.value} of {pod}: {names}."
    return None


def inert_policies_note(pod: Pod, policies: Iterable[Policy]) -> str:
    """That these policies select the pod and have no effect, as its namespace is not annotated (B3), and what helps."""
    names = listed((_policy_words(PolicyReference.to(policy)) for policy in policies), _MOST_LISTED)
    return (
        f"{pod} is selected by {names} without effect: extensions/v1beta1 policies count only in a namespace annotated "
        f"DefaultDeny, and {pod.namespace} is not. The annotation {ISOLATION_ANNOTATION}: "
        '{"ingress":{"isolation":"DefaultDeny"}} on it makes them count, and so does --v1beta1-semantics=v1.'
    )


def _identity_notes(asked: str, meant: End, judged: End) -> Iterable[str]:
    if isinstance(meant, NodeEnd) and asked not in (str(meant), str(meant.address)):
        yield f"{asked} uses the network of {meant}, and is judged as that node."
    if isinstance(meant, PodEnd) and str(meant) != str(judged):
        yield f"{meant.address} of {meant} is also held by the newer {judged}, which is judged in its place."


def _address_notes(judged: End, nodes: Iterable[Node]) -> Iterable[str]:
    if isinstance(judged, NodeEnd) and judged.address is None:
        yield f"No address of {judged} is known, so no ipBlock matches it."
    if isinstance(judged, ExternalEnd):
        yield from (
            f"{judged} lies in the pod range of {node}, and no pod or node is known to have it: "
            f"{node} drops its packets until a pod with it is known."
            for node in nodes
            if _in_pod_range(judged.address, node)
        )


def _in_pod_range(address: Address, node: Node) -> bool:
    return any(address in network for network in node.pod_cidrs)
