"""What is judged where a name stands for several ends, and what is said beside the verdict."""

from __future__ import annotations

import pytest
from builders import beta, block, namespace, node, pod, policy, rule, world

from netpol.errors import UsageError
from netpol.model.objects import Namespace
from netpol.model.policies import Policy
from netpol.model.ports import ProtocolPort
from netpol.policy.explanation import explain

HTTP = ProtocolPort.parse("80/TCP")


def test_x1_the_ends_are_those_asked_for_and_the_newer_pod_is_judged() -> None:
    snapshot = world(
        namespace("x"),
        pod("x/old", "10.0.0.1", labels="app=old", created="2024-01-01T00:00:00Z"),
        pod("x/new", "10.0.0.1", labels="app=new", created="2024-01-02T00:00:00Z"),
        pod("x/c", "10.0.0.3"),
        policy("x/closed", "app=old"),
    )
    said = explain(snapshot, "x/c", "x/old", HTTP)
    assert (str(said.destination), str(said.connection.destination)) == ("x/old", "x/new")
    assert said.verdict.allowed
    assert said.notes == ("10.0.0.1 of x/old is also held by the newer x/new, which is judged in its place.",)


@pytest.mark.parametrize(
    ("source", "destination", "egress", "ingress"),
    [
        ("x/four", "x/six", "no-common-family", "no-common-family"),
        ("2001:db8::1", "x/four", "not-a-pod", "no-common-family"),
        ("x/four", "2001:db8::1", "no-common-family", "not-a-pod"),
    ],
)
def test_g4_no_common_family_is_a_no(source: str, destination: str, egress: str, ingress: str) -> None:
    snapshot = world(namespace("x"), pod("x/four", "10.0.0.1"), pod("x/six", "fd00::1"))
    explanation = explain(snapshot, source, destination, HTTP)
    assert not explanation.verdict.allowed
    assert [explanation.verdict.egress.reason.value, explanation.verdict.ingress.reason.value] == [egress, ingress]
    assert any("no address family in common" in line for line in explanation.sentences)


def test_a_dual_stack_pair_uses_the_destinations_primary_family() -> None:
    snapshot = world(
        namespace("x"), pod("x/a", "10.0.0.1", "fd00::1"), pod("x/b", "fd00::2", "10.0.0.2"), pod("x/c", "10.0.0.3")
    )
    for source, address in (("x/a", "fd00::2"), ("x/c", "10.0.0.2")):
        explanation = explain(snapshot, source, "x/b", HTTP)
        assert str(explanation.connection.destination.address) == address


DUAL = (namespace("x"), pod("x/a", "10.0.0.1", "fd00::1"), pod("x/b", "10.0.0.2", "fd00::2"))


@pytest.mark.parametrize(
    ("network", "allowed", "note"),
    [
        ("fd00::/16", False, "Over IPv6, from fd00::1 to fd00::2, it is allowed."),
        ("10.0.0.0/8", True, "Over IPv6, from fd00::1 to fd00::2, it is refused."),
    ],
)
def test_x12_another_answer_of_the_other_family_is_noted(network: str, allowed: bool, note: str) -> None:
    said = explain(world(*DUAL, policy("x/p", ingress=[rule([block(network)])])), "x/a", "x/b", HTTP)
    assert said.verdict.allowed is allowed
    assert said.notes == (note,)


@pytest.mark.parametrize(
    ("source", "destination", "ports"),
    [("x/a", "x/b", ["81/TCP"]), ("x/a", "x/b", None), ("x/a", "fd00::2", ["80/TCP"]), ("x/four", "x/b", ["80/TCP"])],
)
def test_x12_families_that_agree_or_are_not_both_meant_are_not_noted(
    source: str, destination: str, ports: list[str] | None
) -> None:
    peers = None if ports is None else [block("fd00::/16")]
    snapshot = world(*DUAL, pod("x/four", "10.0.0.4"), policy("x/p", ingress=[rule(peers, ports)]))
    assert explain(snapshot, source, destination, HTTP).notes == ()


def test_x1_x12_the_other_family_is_judged_by_who_holds_its_addresses() -> None:
    snapshot = world(
        *DUAL, pod("x/new", "fd00::2", labels="app=new", created="2024-01-02T00:00:00Z"), policy("x/p", "app=new")
    )
    assert explain(snapshot, "x/a", "x/b", HTTP).notes == ("Over IPv6, from fd00::1 to fd00::2, it is refused.",)


@pytest.mark.parametrize("noted", [1, 2, 5])
def test_b3_policies_without_effect_on_the_destination_are_noted(noted: int) -> None:
    inert = [beta(f"x/p{number}", "app=b") for number in range(noted)]
    snapshot = world(
        namespace("x"),
        namespace("y"),
        pod("x/a", "10.0.0.1"),
        pod("x/b", "10.0.0.2", labels="app=b"),
        *inert,
        beta("x/of-others", "app=c"),
        beta("y/of-others"),
        policy("x/counts", ingress=[rule()]),
    )
    (note,) = explain(snapshot, "x/a", "x/b", HTTP).notes
    names = {
        1: "NetworkPolicy x/p0",
        2: "NetworkPolicy x/p0 and NetworkPolicy x/p1",
        5: "NetworkPolicy x/p0, NetworkPolicy x/p1 and 3 more",
    }
    assert note.startswith(f"x/b is selected by {names[noted]} without effect: ")
    assert explain(snapshot, "x/b", "x/a", HTTP).notes == ()
    assert explain(snapshot, "x/b", "8.8.8.8", HTTP).notes == ()


@pytest.mark.parametrize(
    ("places", "chosen"), [((namespace("x", deny=True),), beta("x/p")), ((namespace("x"),), policy("x/p"))]
)
def test_b3_policies_that_count_are_not_noted(places: tuple[Namespace, ...], chosen: Policy) -> None:
    snapshot = world(*places, pod("x/a", "10.0.0.1"), pod("x/b", "10.0.0.2"), chosen)
    assert explain(snapshot, "x/a", "x/b", HTTP).notes == ()


def test_b3_x2_a_namespace_that_is_not_known_is_not_annotated() -> None:
    (note,) = explain(world(pod("x/a", "10.0.0.1"), beta("x/p")), "8.8.8.8", "x/a", HTTP).notes
    assert "x is not" in note


def test_a_note_that_concerns_both_ends_is_given_once() -> None:
    notes = explain(world(node("n9")), "node/n9", "node/n9", HTTP).notes
    assert notes == ("No address of node/n9 is known, so no ipBlock matches it.",)


def test_the_sentences_are_the_verdict_s_and_then_the_notes() -> None:
    snapshot = world(pod("x/a", "10.0.0.1"), pod("x/host", "192.168.0.1", node="n1", host_network=True))
    explanation = explain(snapshot, "x/a", "x/host", HTTP)
    assert explanation.sentences[0] == "x/a may connect to node/n1 on 80/TCP."
    assert explanation.sentences[-1] == "Note: x/host uses the network of node/n1, and is judged as that node."


def test_a_name_that_stands_for_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="no pod is named x/b"):
        explain(world(pod("x/a", "10.0.0.1")), "x/a", "x/b", HTTP)


def test_x16_what_is_under_audit_is_noted_of_each_end_that_is_a_pod() -> None:
    dry = [policy(f"x/{name}", egress=[rule()], ingress=[rule()], under_audit=True) for name in ("p", "q")]
    snapshot = world(namespace("x"), pod("x/a", "10.0.0.1"), pod("x/b", "10.0.0.2"), *dry)
    names = "NetworkPolicy x/p and NetworkPolicy x/q"
    of_a = f"Under audit, and so without effect on the egress of x/a: {names}."
    of_b = f"Under audit, and so without effect on the ingress of x/b: {names}."
    assert explain(snapshot, "x/a", "x/b", HTTP).notes == (of_a, of_b)
    assert explain(snapshot, "x/a", "8.8.8.8", HTTP).notes == (of_a,)
    assert explain(snapshot, "8.8.8.8", "x/b", HTTP).notes == (of_b,)


def test_x16_a_rule_under_audit_that_would_allow_is_noted() -> None:
    dry = policy("x/dry", ingress=[rule()], under_audit=True)
    snapshot = world(namespace("x"), pod("x/a", "10.0.0.1"), policy("x/closed"), dry)
    said = explain(snapshot, "8.8.8.8", "x/a", HTTP)
    assert not said.verdict.allowed
    assert said.notes == ("Were everything enforced, x/a would allow it by ingress[0] of NetworkPolicy x/dry.",)


def test_x16_what_enforcing_would_refuse_is_in_the_verdict_and_in_no_note() -> None:
    snapshot = world(
        namespace("x"), pod("x/a", "10.0.0.1"), policy("x/dry", ingress=[rule(ports=["81/TCP"])], under_audit=True)
    )
    said = explain(snapshot, "8.8.8.8", "x/a", HTTP)
    assert said.verdict.spared
    assert said.verdict.ingress.would_deny is not None
    assert said.verdict.ingress.would_deny.nearest_miss is not None
    assert said.notes == ()
