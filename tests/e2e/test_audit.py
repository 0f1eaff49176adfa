"""The audit log of an agent that the manifests rolled out, read in its pod, as an operator does."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from record_schema import conforming
from testbed.agent import answer
from testbed.daemonset import netpol
from testbed.live_cluster import LiveCluster
from testbed.node_files import OUTSIDE_V4
from testbed.running_agent import METRICS_PORT
from testbed.workloads import (
    CLOSED,
    PORT,
    LiveNamespace,
    LivePod,
    Rule,
    deployment,
    policy,
    reaches_from,
)
from waiting import wait_until

from netpol.audit.record import (
    ANNOTATION_KIND,
    Action,
    Cause,
    ExternalParty,
    PodParty,
    PolicyEntry,
    Record,
    decode,
    encode,
)

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("firewall")]

SINCE = "--since=5m"
GROUNDS = ("reason", "policies", "isolating", "nearest_miss")
FRIENDS: Rule = {
    "from": [{"podSelector": {"matchLabels": {"role": "friend"}}}],
    "ports": [{"protocol": "TCP", "port": PORT}],
}


def records(cluster: LiveCluster, *flags: str) -> list[Record]:
    """What `netpol audit` prints for programs, each record as the schema has it."""
    printed = netpol(cluster, "audit", "-o", "json", SINCE, *flags)
    return [conforming(decode(line.encode())) for line in printed.splitlines()]


def first_record(about: LivePod, wanted: Callable[[Record], bool]) -> Record:
    """The first record about the pod that is wanted, once it is there."""
    flag = f"--pod={about}"
    found = wait_until(
        lambda: [each for each in records(about.cluster, flag) if wanted(each)], f"a record of {about.name}"
    )
    return found[0]


def refusal(subject: LivePod, peer: LivePod, v4_or_v6: int, action: Action = Action.DENY) -> Record:
    """The record of what was refused, or would be, between these addresses of the two."""
    addresses = (subject.addresses[v4_or_v6], peer.addresses[v4_or_v6])

    def wanted(record: Record) -> bool:
        ends = (record.subject, record.peer)
        return record.action is action and tuple(end.ip for end in ends if isinstance(end, PodParty)) == addresses

    return first_record(subject, wanted)


def party(pod: LivePod, workload: str, v4_or_v6: int = 0) -> PodParty:
    """The pod as a record should name it."""
    uid = pod.cluster.kubectl("-n", pod.namespace, "get", "pod", pod.name, "-o", "jsonpath={.metadata.uid}")
    return PodParty(pod.namespace, pod.name, uid, pod.addresses[v4_or_v6], workload)


def entry(namespace: LiveNamespace, name: str, rule: int | None = None) -> PolicyEntry:
    """The policy as a record should name it."""
    metadata = json.loads(namespace.kubectl("get", "networkpolicy", name, "-o", "json"))["metadata"]
    return PolicyEntry("NetworkPolicy", namespace.name, name, metadata["uid"], metadata["generation"], rule)


def explained(source: LivePod, destination: LivePod) -> dict[str, Any]:
    """What `netpol explain` says of the ingress side."""
    ends = (str(source), str(destination))
    printed = netpol(source.cluster, "explain", *ends, f"{PORT}/TCP", "-o", "json")
    ingress: dict[str, Any] = json.loads(printed)["ingress"]
    return ingress


def grounds(of: dict[str, Any]) -> dict[str, object]:
    """The part that a record and an explanation have in common."""
    return {key: of[key] for key in GROUNDS}


def test_a_refusal_says_who_whom_and_why_as_explain_does(
    live_cluster: LiveCluster, namespace: LiveNamespace, other: LivePod
) -> None:
    namespace.apply(deployment("web"))
    (web,) = namespace.pods_of("web")
    namespace.annotate(CLOSED)
    other.until_it_meets_silence(web.addresses[0])
    # What came over IPv6 is in records of its own; the second state of the policy has the generation 2.
    namespace.apply(policy("friends", {"deployment": "web"}, {}))
    other.until_it_reaches(web.addresses[1])
    namespace.apply(policy("friends", {"deployment": "web"}, FRIENDS))
    other.until_it_meets_silence(web.addresses[1])

    annotation, both = refusal(web, other, 0), refusal(web, other, 1)
    assert (annotation.subject, annotation.peer) == (party(web, "Deployment/web"), party(other, "Deployment/client"))
    assert (both.subject, both.peer) == (party(web, "Deployment/web", 1), party(other, "Deployment/client", 1))
    for record in (annotation, both):
        assert (record.reason, record.direction) == (Cause.IMPLICIT_ISOLATION, "ingress")
        assert (record.protocol, record.dst_port) == ("TCP", PORT)
    assert [each.kind for each in annotation.isolating] == [ANNOTATION_KIND]
    assert annotation.nearest_miss is None
    friends = entry(namespace, "friends")
    assert friends.generation == 2
    assert both.isolating == (*annotation.isolating, friends)
    miss = both.nearest_miss
    assert miss is not None
    assert (miss.name, miss.uid, miss.generation, miss.rule) == (friends.name, friends.uid, 2, 0)

    assert grounds(json.loads(encode(both))) == grounds(explained(other, web))

    ends = (str(other), str(web))
    heading, *rows = netpol(live_cluster, "audit", SINCE, f"--pod={web}").splitlines()
    assert heading.startswith("TIME ")
    assert len(rows) == 2
    assert all(end in row for end in ends for row in rows)
    assert f"NetworkPolicy {namespace}/friends" in rows[1]
    _, *totals = netpol(live_cluster, "audit", "--summary", SINCE, f"--namespace={namespace}").splitlines()
    assert len(totals) == 1
    assert f"{namespace}/Deployment/web " in totals[0]
    assert f"{other.namespace}/Deployment/client " in totals[0]
    assert counted(namespace) == {
        ("deny", "implicit-isolation", ANNOTATION_KIND): refused(web, annotation.isolating),
        ("deny", "implicit-isolation", "(several)"): refused(web, both.isolating),
    }


def refused(pod: LivePod, isolating: tuple[PolicyEntry, ...]) -> int:
    """How many packets the records of the pod count that are of refusals by these."""
    flag = f"--pod={pod}"
    return sum(record.count for record in records(pod.cluster, flag) if record.isolating == isolating)


def counted(namespace: LiveNamespace) -> dict[tuple[str, str, str], float]:
    """The agent's metric of packets with verdicts on pods of the namespace, by action, reason and policy."""
    text = answer(namespace.cluster, METRICS_PORT, "metrics")
    assert text is not None
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {
        (sample.labels["action"], sample.labels["reason"], sample.labels["policy"]): sample.value
        for sample in samples
        if sample.name == "netpol_audit_packets_total" and sample.labels["namespace"] == namespace.name
    }


def test_a_dry_run_tells_what_enforcing_refuses_and_what_is_suggested_allows_just_that(
    live_cluster: LiveCluster, namespace: LiveNamespace, other: LivePod
) -> None:
    namespace.apply(deployment("web"), deployment("stranger"), policy("closed", {"deployment": "web"}))
    (web,) = namespace.pods_of("web")
    (stranger,) = namespace.pods_of("stranger")
    other.until_it_meets_silence(web.addresses[0])
    namespace.annotate("netpol.io/enforcement=audit")
    other.until_it_reaches(web.addresses[0])
    record = refusal(web, other, 0, Action.WOULD_DENY)
    assert record.reason is Cause.IMPLICIT_ISOLATION
    assert record.isolating == (entry(namespace, "closed"),)
    now = explained(other, web)
    assert now["allowed"]
    assert grounds(json.loads(encode(record))) == grounds(now["would_deny"])
    namespace.annotate("netpol.io/enforcement-")
    other.until_it_meets_silence(web.addresses[0])

    suggestion = netpol(live_cluster, "audit", "suggest", SINCE, f"--namespace={namespace}")
    live_cluster.kubectl("apply", "--dry-run=server", "-f", "-", given=suggestion)
    assert not other.reaches(web.addresses[0], seconds=0.5)
    live_cluster.kubectl("apply", "-f", "-", given=suggestion)
    for address in web.addresses:
        other.until_it_reaches(address)
        assert not stranger.reaches(address, seconds=0.5)
        assert not other.reaches(address, PORT + 1, seconds=0.5)
    assert other.reaches(stranger.addresses[0])
    assert not reaches_from(live_cluster.outside(), web.addresses[0], seconds=0.5)


def test_what_a_rule_allows_is_recorded_and_who_is_refused_is_told_where_a_namespace_says_so(
    namespace: LiveNamespace, other: LivePod
) -> None:
    namespace.annotate("netpol.io/audit=allow", "netpol.io/deny-action=reject")
    friends = policy("friends", {"deployment": "web"}, FRIENDS)
    namespace.apply(deployment("web"), deployment("friend", role="friend"), friends)
    (web,) = namespace.pods_of("web")
    (friend,) = namespace.pods_of("friend")
    for address in web.addresses:
        wait_until(functools.partial(is_told, other, address), f"{other} is told that {address} is not for it")
    friend.until_it_reaches(web.addresses[0])
    allowed = first_record(friend, lambda each: each.action is Action.ALLOW)
    assert (allowed.subject, allowed.peer) == (party(web, "Deployment/web"), party(friend, "Deployment/friend"))
    assert (allowed.reason, allowed.direction) == (Cause.RULE, "ingress")
    assert allowed.policies == (entry(namespace, "friends", rule=0),)
    assert refusal(web, other, 0).isolating == (entry(namespace, "friends"),)


def is_told(pod: LivePod, address: str) -> bool:
    """Whether a connection is refused aloud; one that meets silence takes longer than anybody waits for it here."""
    try:
        pod.reaches(address, seconds=60)
    except AssertionError as said:
        return "REFUSED" in str(said)
    return False


def test_pods_that_are_gone_are_still_named(
    live_cluster: LiveCluster, namespace: LiveNamespace, other: LivePod
) -> None:
    namespace.apply(deployment("web"), policy("closed", {"deployment": "web"}))
    (web,) = namespace.pods_of("web")
    there = party(web, "Deployment/web")
    other.until_it_meets_silence(web.addresses[0])
    namespace.kubectl("delete", "deployment", "web", "--cascade=foreground", "--wait")
    assert not namespace.kubectl("get", "pods", "-o", "name")
    assert refusal(web, other, 0).subject == there

    def refused_as_unknown() -> list[Record]:
        assert not reaches_from(live_cluster.outside(), web.addresses[0], seconds=0.5)
        flag = f"--pod={web}"
        return [each for each in records(live_cluster, flag) if each.reason is Cause.UNKNOWN_POD]

    record = wait_until(refused_as_unknown, "a record of what was sent to it later")[0]
    assert record.subject == msgspec.structs.replace(there, gone=True)
    assert record.peer == ExternalParty(OUTSIDE_V4)
