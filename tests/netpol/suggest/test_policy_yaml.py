"""Suggestions as text: comments for people, objects for a cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from audit_records import refusal
from builders import BOTH, namespace, pod, policy, world

from netpol.audit.record import Action, ExternalParty, PodParty
from netpol.model.policies import Direction
from netpol.source.composer import parts
from netpol.suggest.needs import Tally
from netpol.suggest.policy_yaml import policy_yaml
from netpol.suggest.suggestions import Breadth, Suggestions, suggest

WEB = PodParty("x", "web", "uid-of-x-web", "10.0.0.1", "Deployment/web")
CLIENT = PodParty("y", "client", "uid-of-y-client", "10.0.0.2", "")


def suggestions(
    label: str = "web", *, under_audit: bool = False, breadth: Breadth = Breadth.NAMED_PORTS
) -> Suggestions:
    snapshot = world(
        namespace("x"),
        namespace("y"),
        pod("x/web", "10.0.0.1", labels=f"app={label}", workload="Deployment/web"),
        pod("y/client", "10.0.0.2", labels="app=client"),
        policy("x/closed", directions=BOTH, under_audit=under_audit),
    )
    records = [
        refusal(WEB, CLIENT, 8080, count=12),
        refusal(WEB, CLIENT, 8080, count=1, action=Action.WOULD_DENY),
        refusal(WEB, CLIENT, None, "ICMP", count=3),
        refusal(WEB, ExternalParty("198.51.100.1"), 53, "UDP", direction=Direction.EGRESS),
    ]
    return suggest(records, snapshot, breadth)


def test_each_document_says_what_it_is_for_and_the_end_what_nothing_is_for() -> None:
    comments = [line for line in policy_yaml(suggestions()).splitlines() if line.startswith(("#", "---"))]
    assert comments == [
        "---",
        "# egress of x/Deployment/web:",
        "#   to 198.51.100.1 on 53/UDP: 1 packet in 1 record",
        "---",
        "# ingress of x/Deployment/web:",
        "#   from y/client on 8080/TCP: 13 packets in 2 records",
        "# Nothing is suggested for:",
        (
            "#   x/Deployment/web ingress from y/client on what has no ports: only a rule without ports allows this, "
            "which opens every port (--all-ports) (3 packets in 1 record)"
        ),
    ]


def test_a_rule_for_every_port_says_what_it_is_for() -> None:
    text = policy_yaml(suggestions(breadth=Breadth.ALL_PORTS))
    assert "#   from y/client on every port, for what has none: 3 packets in 1 record\n" in text
    assert "Nothing" not in text


def test_x16_a_policy_under_audit_says_what_becomes_of_it() -> None:
    text = policy_yaml(suggestions(under_audit=True))
    assert text.count("# Under audit, as what would isolate these pods is: it must be enforced when that is.\n") == 2
    assert text.count("netpol.io/enforcement: audit\n") == 2
    assert "Under audit" not in policy_yaml(suggestions())


def test_the_objects_are_those_that_were_proved() -> None:
    found = suggestions()
    assert list(yaml.safe_load_all(policy_yaml(found))) == [each.document for each in found.suggested]
    assert [value for _, value in parts(policy_yaml(found))] == [each.document for each in found.suggested]


@pytest.mark.parametrize("value", ["1e3", "123", "0x1F", "1.5", "on", "No", "y", "null", "true", "1_000", "2026-01-02"])
def test_a_label_that_looks_like_something_else_is_quoted(value: str) -> None:
    """Readers of YAML differ in what they take for a number or a truth."""
    assert f'app: "{value}"\n' in policy_yaml(suggestions(value))


def test_a_plain_word_is_not() -> None:
    assert "app: web-1.front\n" in policy_yaml(suggestions("web-1.front"))


def test_no_policy_is_said_to_be_none() -> None:
    assert policy_yaml(Suggestions((), {}, Tally(), {})) == "# There is no policy to add.\n"


def test_what_a_log_says_ends_no_comment() -> None:
    hostile = {"x\napiVersion: v1\u2028kind: Secret\r: gone": Tally(1, 1)}
    text = policy_yaml(replace(Suggestions((), {}, Tally(), {}), left_out=hostile))
    assert all(line.startswith("# ") for line in text.splitlines())
    assert list(yaml.safe_load_all(text)) in ([], [None])
