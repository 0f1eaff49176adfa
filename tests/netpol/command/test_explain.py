from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import manifest_directory
import msgspec
import pytest
from builders import BOTH, beta, namespace, node, pod, pods, policy, rule, world

from netpol.audit.record import PolicyEntry
from netpol.command import explain
from netpol.errors import UsageError
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy import explanation


def run(directory: Path, *words: str) -> int:
    parser = argparse.ArgumentParser(exit_on_error=False)
    explain.add_arguments(parser)
    return explain.run(parser.parse_args(["-f", str(directory), *words]))


def answer(snapshot: Snapshot, source: str, destination: str, port: str = "80/TCP") -> explain.Json:
    explained = explanation.explain(snapshot, source, destination, ProtocolPort.parse(port))
    encoded = json.dumps(explain.explanation_json(explained))
    decoded: explain.Json = json.loads(encoded)
    return decoded


OPEN = {
    "allowed": True,
    "reason": "not-isolated",
    "policies": [],
    "isolating": [],
    "nearest_miss": None,
    "would_deny": None,
}
ANNOTATION = {
    "kind": "DefaultDenyAnnotation",
    "uid": "",
    "generation": 0,
    "rule": None,
    "annotation": "net.beta.kubernetes.io/network-policy",
}
NO_POD = {**OPEN, "reason": "not-a-pod"}


def test_json_of_a_refusal_by_annotation_and_beta_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(manifest_directory.write(tmp_path), "ops/shell", "shop/redis", "6379/tcp", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "source": "ops/shell",
        "source_address": "10.244.2.4",
        "destination": "shop/redis",
        "destination_address": "10.244.1.2",
        "port": "6379/TCP",
        "allowed": False,
        "egress": OPEN,
        "ingress": {
            "allowed": False,
            "reason": "implicit-isolation",
            "policies": [],
            "isolating": [ANNOTATION | {"namespace": "shop", "name": "shop"}],
            "nearest_miss": {
                "kind": "NetworkPolicy",
                "namespace": "shop",
                "name": "redis",
                "uid": "",
                "generation": 0,
                "rule": 0,
                "lacked": ["peer label", "namespace label"],
                "detail": "it wants pods with tier=frontend, and ops/shell has no tier; "
                "it wants pods of namespace shop, and ops/shell is in ops",
            },
            "would_deny": None,
        },
        "notes": [],
    }


def test_text_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(manifest_directory.write(tmp_path), "10.244.1.3", "10.244.1.2", "80/TCP") == 0
    assert capsys.readouterr().out.splitlines() == [
        "shop/web may not connect to shop/redis on 80/TCP.",
        "Nothing isolates shop/web for egress.",
        (
            "shop/redis refuses it: it is isolated for ingress by the DefaultDeny annotation of namespace shop, "
            "and no rule allows this."
        ),
        "The closest is ingress[0] of NetworkPolicy shop/redis: it allows 6379/TCP, not 80/TCP.",
    ]


def test_notes_are_part_of_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(manifest_directory.write(tmp_path), "ops/exporter", "10.244.1.99", "80/TCP") == 0
    assert capsys.readouterr().out.splitlines() == [
        "node/n1 may connect to 10.244.1.99 on 80/TCP.",
        "node/n1 is a node, and policies judge only what pods send and receive.",
        "10.244.1.99 is outside the cluster, and policies judge only what pods send and receive.",
        "Note: ops/exporter uses the network of node/n1, and is judged as that node.",
        (
            "Note: 10.244.1.99 lies in the pod range of node/n1, and no pod or node is known to have it: "
            "node/n1 drops its packets until a pod with it is known."
        ),
    ]


def entry(name: str, rule: int | None = None) -> dict[str, object]:
    """A policy of namespace x as JSON has it."""
    identity = {"kind": "NetworkPolicy", "namespace": "x", "name": name, "uid": f"uid-of-x-{name}"}
    return identity | {"generation": 0, "rule": rule, "annotation": None}


class _Side(msgspec.Struct):
    """The part of a side's JSON that audit records have too."""

    isolating: tuple[PolicyEntry, ...]


def test_json_of_an_allowance_names_rules_and_what_isolates() -> None:
    snapshot = world(
        namespace("x", deny=True),
        namespace("y"),
        pod("x/a", "10.0.0.1"),
        pod("y/b", "10.0.0.2"),
        beta("x/old", ingress=[rule([pods("app=none")]), rule()]),
        policy("x/new"),
    )
    said = answer(snapshot, "y/b", "x/a", "ICMP")
    assert (said["allowed"], said["port"]) == (True, "ICMP")
    assert said["ingress"] == {
        "allowed": True,
        "reason": "rule",
        "policies": [entry("old", rule=1)],
        "isolating": [ANNOTATION | {"namespace": "x", "name": "x"}, entry("new")],
        "nearest_miss": None,
        "would_deny": None,
    }


def test_x16_json_tells_what_enforcing_would_refuse() -> None:
    dry = policy("x/dry", ingress=[rule(ports=["81/TCP"])], under_audit=True)
    snapshot = world(namespace("x"), namespace("y"), pod("x/a", "10.0.0.1"), pod("y/b", "10.0.0.2"), dry)
    said = answer(snapshot, "y/b", "x/a")
    assert (said["allowed"], said["egress"]) == (True, OPEN)
    assert said["ingress"] == OPEN | {
        "would_deny": {
            "reason": "implicit-isolation",
            "policies": [],
            "isolating": [entry("dry")],
            "nearest_miss": {
                **{key: value for key, value in entry("dry", rule=0).items() if key != "annotation"},
                "lacked": ["port"],
                "detail": "it allows 81/TCP, not 80/TCP",
            },
        }
    }
    assert answer(snapshot, "y/b", "x/a", "81/TCP")["ingress"] == OPEN


def test_entries_are_those_of_the_audit_log() -> None:
    snapshot = world(namespace("x"), pod("x/a", "10.0.0.1"), replace(policy("x/p"), generation=7))
    ingress = answer(snapshot, "8.8.8.8", "x/a")["ingress"]
    entries = msgspec.convert(ingress, _Side).isolating
    assert entries == (PolicyEntry("NetworkPolicy", "x", "p", "uid-of-x-p", 7),)


@pytest.mark.parametrize(
    ("source", "shown"),
    [("x/host", "node/n1"), ("192.168.0.1", "node/n1"), ("node/n1", "node/n1"), ("8.8.8.8", "8.8.8.8")],
)
def test_g1_v9_an_end_that_is_no_actionable_pod_is_allowed_on_its_side(source: str, shown: str) -> None:
    snapshot = world(
        namespace("x"),
        pod("x/a", "10.0.0.1", node="n2"),
        pod("x/host", "192.168.0.1", node="n1", host_network=True),
        node("n1", "192.168.0.1"),
        policy("x/closed", directions=BOTH),
    )
    said = answer(snapshot, source, "x/a")
    assert said["source"] == shown
    assert said["egress"] == NO_POD
    assert said["allowed"] is False


def test_x12_json_tells_the_addresses_that_were_judged() -> None:
    snapshot = world(
        namespace("x"), pod("x/a", "10.0.0.1", "fd00::1"), pod("x/b", "10.0.0.2", "fd00::2"), node("n9"), policy("x/p")
    )
    for source, destination, addresses in (
        ("x/a", "x/b", ("10.0.0.1", "10.0.0.2")),
        ("x/a", "fd00::2", ("fd00::1", "fd00::2")),
        ("node/n9", "x/b", (None, "10.0.0.2")),
    ):
        said = answer(snapshot, source, destination)
        assert (said["source_address"], said["destination_address"]) == addresses


@pytest.mark.parametrize("words", [("shop/nobody", "shop/web"), ("shop/web", "shop/nobody")])
def test_an_unknown_end_is_a_usage_error(tmp_path: Path, words: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="no pod is named shop/nobody"):
        run(manifest_directory.write(tmp_path), *words, "80/TCP")


def test_a_port_that_is_none_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="PORT/PROTO"):
        run(tmp_path / "missing", "x/a", "x/b", "http")
