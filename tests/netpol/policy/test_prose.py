"""A verdict in sentences; each test reads like a person's terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import BOTH, address, beta, namespace, node, pod, pods, policy, rule, world
from questions import ask

from netpol.model.networks import Family
from netpol.model.objects import Node
from netpol.model.policies import Direction
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.policy.ends import pair_of_one_family
from netpol.policy.judgement import (
    Connection,
    Decision,
    End,
    ExternalEnd,
    NodeEnd,
    PodEnd,
    PolicyReference,
    Reason,
    Verdict,
)
from netpol.policy.prose import dry_run_note, inert_policies_note, note_sentences, other_family_note, verdict_sentences
from netpol.policy.verdict import Oracle, no_common_family

PODS = (pod("web/a", "10.0.0.1", labels="app=a", node="n1"), pod("db/b", "10.0.0.2", node="n1"))
PLACES = (namespace("web"), namespace("db"), node("n1", "192.168.0.1"))


def said(snapshot: Snapshot, source: str, destination: str, protocol: Protocol = Protocol.TCP) -> list[str]:
    oracle = Oracle(snapshot)
    pair = pair_of_one_family(oracle.ends_named(source), oracle.ends_named(destination))
    assert pair is not None
    port = 80 if protocol.has_ports else None
    verdict = ask(snapshot, source, destination, f"80/{protocol.value}" if port else protocol.value)
    return verdict_sentences(Connection(*pair, protocol, port), verdict)


def test_an_open_connection() -> None:
    assert said(world(*PLACES, *PODS), "web/a", "db/b") == [
        "web/a may connect to db/b on 80/TCP.",
        "Nothing isolates web/a for egress.",
        "Nothing isolates db/b for ingress.",
    ]


def test_a_refusal_names_what_isolates_and_the_closest_rule() -> None:
    snapshot = world(
        *PLACES, *PODS, policy("db/deny"), policy("db/allow", ingress=[rule(), rule(ports=["81/TCP"])][1:])
    )
    assert said(snapshot, "web/a", "db/b") == [
        "web/a may not connect to db/b on 80/TCP.",
        "Nothing isolates web/a for egress.",
        (
            "db/b refuses it: it is isolated for ingress by NetworkPolicy db/allow and NetworkPolicy db/deny, "
            "and no rule allows this."
        ),
        "The closest is ingress[0] of NetworkPolicy db/allow: it allows 81/TCP, not 80/TCP.",
    ]


def test_a_refusal_where_there_are_no_rules_at_all() -> None:
    snapshot = world(namespace("db", deny=True), *PODS)
    assert said(snapshot, "web/a", "db/b", Protocol.ICMP) == [
        "web/a may not connect to db/b on ICMP.",
        "Nothing isolates web/a for egress.",
        (
            "db/b refuses it: it is isolated for ingress by the DefaultDeny annotation of namespace db, "
            "and no rule allows it anything."
        ),
    ]


def test_an_allowance_names_the_rules() -> None:
    snapshot = world(
        namespace("db", deny=True),
        *PODS,
        beta("db/in", ingress=[rule([pods("app=none")]), rule()]),
        policy("web/out", egress=[rule()]),
    )
    assert said(snapshot, "web/a", "db/b") == [
        "web/a may connect to db/b on 80/TCP.",
        "It may leave web/a by egress[0] of NetworkPolicy web/out.",
        "It may enter db/b by ingress[1] of NetworkPolicy db/in.",
    ]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "ingress[0] of NetworkPolicy db/p"),
        (2, "ingress[0] of NetworkPolicy db/p and ingress[1] of NetworkPolicy db/p"),
        (
            3,
            "ingress[0] of NetworkPolicy db/p, ingress[1] of NetworkPolicy db/p and ingress[2] of NetworkPolicy db/p",
        ),
        (5, "ingress[0] of NetworkPolicy db/p, ingress[1] of NetworkPolicy db/p and 3 more"),
    ],
)
def test_long_lists_are_cut_short(count: int, words: str) -> None:
    snapshot = world(*PLACES, *PODS, policy("db/p", ingress=[rule()] * count))
    assert said(snapshot, "web/a", "db/b")[-1] == f"It may enter db/b by {words}."


def test_ends_that_are_no_pods() -> None:
    assert said(world(*PLACES, *PODS), "8.8.8.8", "node/n1") == [
        "8.8.8.8 may connect to node/n1 on 80/TCP.",
        "8.8.8.8 is outside the cluster, and policies judge only what pods send and receive.",
        "node/n1 is a node, and policies judge only what pods send and receive.",
    ]


def test_g8_the_own_node() -> None:
    assert said(world(*PLACES, *PODS, policy("web/closed")), "node/n1", "web/a")[-1] == (
        "node/n1 is the node that web/a runs on, which may always reach it, as the kubelet's probes must."
    )


def test_g9_what_holds_for_both_sides_is_said_once() -> None:
    assert said(world(*PLACES, *PODS, policy("web/closed", directions=BOTH)), "web/a", "web/a") == [
        "web/a may connect to web/a on 80/TCP.",
        "It never leaves web/a's own network namespace, where no policy can refuse it.",
    ]


def test_ends_without_a_common_family_are_told_so_once() -> None:
    four, six = PodEnd(PODS[0], PODS[0].addresses[0]), PodEnd(pod("db/six", "fd00::6"), address("fd00::6"))
    connection = Connection(four, six, Protocol.TCP, 80)
    assert verdict_sentences(connection, no_common_family(connection)) == [
        "web/a may not connect to db/six on 80/TCP.",
        "web/a and db/six have no address family in common, so no packet can pass between them.",
    ]


DUAL = pod("web/dual", "10.0.0.3", "fd00::3")


@pytest.mark.parametrize(
    ("source", "destination", "strangers"),
    [
        ("fd00::3", "web/a", "fd00::3 (an address of web/dual) and web/a"),
        ("web/a", "fd00::3", "web/a and fd00::3 (an address of web/dual)"),
        ("fd00::3", "10.0.0.3", "fd00::3 (an address of web/dual) and 10.0.0.3 (an address of web/dual)"),
        ("fd00::3", "192.168.0.1", "fd00::3 (an address of web/dual) and node/n1"),
        ("2001:db8::1", "web/a", "2001:db8::1 and web/a"),
    ],
)
def test_where_another_address_would_do_only_the_one_that_was_meant_has_no_common_family(
    source: str, destination: str, strangers: str
) -> None:
    oracle = Oracle(world(*PLACES, *PODS, DUAL))
    ends = oracle.ends_named(source)[0], oracle.ends_named(destination)[0]
    connection = Connection(*ends, Protocol.TCP, 80)
    assert f"{strangers} have no address family in common, so no packet can pass between them." in verdict_sentences(
        connection, no_common_family(connection)
    )


@pytest.mark.parametrize(
    ("source", "destination", "answer"),
    [
        ("web/dual", "web/a", "web/dual (10.0.0.3) may connect to web/a on 80/TCP."),
        ("web/a", "web/dual", "web/a may connect to web/dual (10.0.0.3) on 80/TCP."),
        ("web/dual", "fd00::3", "web/dual (fd00::3) may connect to web/dual (fd00::3) on 80/TCP."),
        ("node/n2", "web/dual", "node/n2 (192.168.0.2) may connect to web/dual (10.0.0.3) on 80/TCP."),
        ("2001:db8::1", "web/dual", "2001:db8::1 may connect to web/dual (fd00::3) on 80/TCP."),
    ],
)
def test_of_an_end_with_several_addresses_the_one_that_is_judged_is_named(
    source: str, destination: str, answer: str
) -> None:
    assert said(world(*PLACES, *PODS, DUAL, node("n2", "192.168.0.2", "fd00::ffff")), source, destination)[0] == answer


@pytest.mark.parametrize(("allowed", "word"), [(True, "allowed"), (False, "refused")])
def test_x12_the_other_family_s_answer(allowed: bool, word: str) -> None:
    sides = {side: Decision(side, allowed or side is Direction.EGRESS, Reason.NOT_ISOLATED) for side in Direction}
    verdict = Verdict(sides[Direction.EGRESS], sides[Direction.INGRESS])
    connection = Connection(NodeEnd(Node("n9"), None), PodEnd(DUAL, address("fd00::3")), Protocol.TCP, 80)
    assert other_family_note(Family.IPV6, connection, verdict) == f"Over IPv6, from node/n9 to fd00::3, it is {word}."


def test_b3_policies_without_effect_are_told_what_makes_them_count() -> None:
    assert inert_policies_note(PODS[0], [beta("web/p"), beta("web/q")]) == (
        "web/a is selected by NetworkPolicy web/p and NetworkPolicy web/q without effect: extensions/v1beta1 policies "
        "count only in a namespace annotated DefaultDeny, and web is not. The annotation "
        'net.beta.kubernetes.io/network-policy: {"ingress":{"isolation":"DefaultDeny"}} on it makes them count, '
        "and so does --v1beta1-semantics=v1."
    )


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("direction", Direction)
def test_every_reason_has_words_for_both_sides(reason: Reason, direction: Direction) -> None:
    end = PodEnd(PODS[0], PODS[0].addresses[0])
    reference = (PolicyReference("NetworkPolicy", "web", "p", 0),)
    sides = {
        side: Decision(side, allowed=True, reason=reason if side is direction else Reason.NOT_ISOLATED)
        for side in Direction
    }
    sides[direction] = replace(sides[direction], policies=reference, isolating=reference)
    verdict = Verdict(sides[Direction.EGRESS], sides[Direction.INGRESS])
    lines = verdict_sentences(Connection(end, end, Protocol.TCP, 80), verdict)
    assert len(lines) == 3
    assert all("web/a" in line for line in lines)


NODES = (node("n1", "192.168.0.1", pod_cidrs=["10.0.0.0/24", "fd00::/64"]), node("n2", pod_cidrs=["10.0.1.0/24"]))
OLD, NEW = (PodEnd(pod(name, "10.0.0.1"), address("10.0.0.1")) for name in ("web/old", "web/new"))
AT_N1 = NodeEnd(NODES[0], address("192.168.0.1"))


def outside(text: str) -> ExternalEnd:
    return ExternalEnd(address(text))


@pytest.mark.parametrize(
    ("asked", "meant", "judged", "notes"),
    [
        ("web/old", OLD, OLD, []),
        (
            "web/old",
            OLD,
            NEW,
            ["10.0.0.1 of web/old is also held by the newer web/new, which is judged in its place."],
        ),
        ("node/n1", AT_N1, AT_N1, []),
        ("192.168.0.1", AT_N1, AT_N1, []),
        ("web/host", AT_N1, AT_N1, ["web/host uses the network of node/n1, and is judged as that node."]),
        (
            "node/n9",
            NodeEnd(Node("n9"), None),
            NodeEnd(Node("n9"), None),
            ["No address of node/n9 is known, so no ipBlock matches it."],
        ),
        ("8.8.8.8", outside("8.8.8.8"), outside("8.8.8.8"), []),
        (
            "10.0.1.9",
            outside("10.0.1.9"),
            outside("10.0.1.9"),
            [
                (
                    "10.0.1.9 lies in the pod range of node/n2, and no pod or node is known to have it: "
                    "node/n2 drops its packets until a pod with it is known."
                )
            ],
        ),
        (
            "fd00::9",
            outside("fd00::9"),
            outside("fd00::9"),
            [
                (
                    "fd00::9 lies in the pod range of node/n1, and no pod or node is known to have it: "
                    "node/n1 drops its packets until a pod with it is known."
                )
            ],
        ),
    ],
)
def test_g12_x1_v9_notes_say_what_the_policies_do_not(asked: str, meant: End, judged: End, notes: list[str]) -> None:
    assert note_sentences(asked, meant, judged, NODES) == notes


@pytest.mark.parametrize(
    ("snapshot", "isolating"),
    [
        (world(*PLACES, *PODS, policy("db/p", under_audit=True)), "NetworkPolicy db/p (under audit)"),
        (
            world(namespace("db", deny=True, under_audit=True), *PODS, policy("db/p")),
            "the DefaultDeny annotation of namespace db (under audit) and NetworkPolicy db/p (under audit)",
        ),
    ],
)
def test_x16_what_passes_by_dry_run_only(snapshot: Snapshot, isolating: str) -> None:
    assert said(snapshot, "web/a", "db/b") == [
        "web/a may connect to db/b on 80/TCP, but only while policies are under audit.",
        "Nothing isolates web/a for egress.",
        "Nothing that is enforced isolates db/b for ingress.",
        (
            f"Were everything enforced, db/b would refuse it: it would be isolated for ingress by {isolating}, "
            "and no rule allows it anything."
        ),
    ]


def test_x16_the_closest_rule_of_what_is_under_audit() -> None:
    dry = policy("web/p", egress=[rule(ports=["81/TCP"])], directions=BOTH, under_audit=True)
    assert said(world(*PLACES, *PODS, dry), "web/a", "db/b")[1:4] == [
        "Nothing that is enforced isolates web/a for egress.",
        (
            "Were everything enforced, web/a would refuse it: it would be isolated for egress by NetworkPolicy web/p "
            "(under audit), and no rule allows this."
        ),
        "The closest is egress[0] of NetworkPolicy web/p: it allows 81/TCP, not 80/TCP.",
    ]


def test_x16_what_one_side_refuses_and_the_other_would() -> None:
    snapshot = world(*PLACES, *PODS, policy("db/p"), policy("web/p", directions=BOTH, under_audit=True))
    sentences = said(snapshot, "web/a", "db/b")
    assert sentences[0] == "web/a may not connect to db/b on 80/TCP."
    assert "web/a would refuse it" in sentences[2]
    assert sentences[3].startswith("db/b refuses it: it is isolated for ingress by NetworkPolicy db/p, and")


IN, B = Direction.INGRESS, PODS[1]
DRY, FIRM = PolicyReference("NetworkPolicy", "db", "dry"), PolicyReference("NetworkPolicy", "db", "firm")
OPEN = Decision(IN, allowed=True, reason=Reason.NOT_ISOLATED)
REFUSED = Decision(IN, allowed=False, reason=Reason.IMPLICIT_ISOLATION, isolating=(FIRM,))
REFUSED_BY_ALL = replace(REFUSED, isolating=(DRY, FIRM))
ALLOWED = Decision(IN, allowed=True, reason=Reason.RULE, policies=(replace(DRY, rule=0),), isolating=(DRY,))


@pytest.mark.parametrize(
    ("enforced", "enforcing", "note"),
    [
        (OPEN, OPEN, None),
        (REFUSED, REFUSED, None),
        (replace(OPEN, would_deny=REFUSED_BY_ALL), REFUSED_BY_ALL, None),
        (REFUSED, ALLOWED, "Were everything enforced, db/b would allow it by ingress[0] of NetworkPolicy db/dry."),
        (
            REFUSED,
            REFUSED_BY_ALL,
            "Under audit, and so without effect on the ingress of db/b: NetworkPolicy db/dry.",
        ),
        (OPEN, ALLOWED, "Under audit, and so without effect on the ingress of db/b: NetworkPolicy db/dry."),
    ],
)
def test_x16_what_is_under_audit_is_noted_where_the_verdict_does_not_tell(
    enforced: Decision, enforcing: Decision, note: str | None
) -> None:
    assert dry_run_note(enforced, enforcing, B) == note
