from __future__ import annotations

import argparse
import json
from pathlib import Path

import manifest_directory
import pytest
from builders import block, namespace, pod, policy, rule, world

from netpol.command import matrix
from netpol.command.look import Look
from netpol.command.table import Outcomes
from netpol.errors import UsageError
from netpol.model.ports import ProtocolPort
from netpol.policy.verdict import Oracle


def run(directory: Path, *words: str) -> int:
    parser = argparse.ArgumentParser(exit_on_error=False)
    matrix.add_arguments(parser)
    return matrix.run(parser.parse_args(["-f", str(directory), *words]))


def test_json_answers_every_ordered_pair_for_every_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(manifest_directory.write(tmp_path), "-p", "6379/tcp", "-p", "53/UDP", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "6379/TCP": {
            "ops/shell": {"shop/redis": False, "shop/web": False},
            "shop/redis": {"ops/shell": True, "shop/web": False},
            "shop/web": {"ops/shell": True, "shop/redis": True},
        },
        "53/UDP": {
            "ops/shell": {"shop/redis": False, "shop/web": False},
            "shop/redis": {"ops/shell": True, "shop/web": False},
            "shop/web": {"ops/shell": True, "shop/redis": False},
        },
    }


def test_m2_the_semantics_flag_changes_the_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = manifest_directory.GUESTBOOK.replace("DefaultDeny", "None")
    for flag, answer in (("annotation", True), ("v1", False)):
        run(manifest_directory.write(tmp_path, text), "-p", "80/TCP", "-o", "json", f"--v1beta1-semantics={flag}")
        assert json.loads(capsys.readouterr().out)["80/TCP"]["ops/shell"]["shop/redis"] is answer


def test_the_table_is_the_default_and_is_plain_where_it_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(manifest_directory.write(tmp_path), "-p", "6379/TCP") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "           6379/TCP",
        "           1  2 3",
        "ops",
        "  1 shell  ·  ✗ ✗",
        "shop",
        "  2 redis  ✓  · ✗",
        "  3 web    ✓  ✓ ·",
        "",
        "pairs that may connect: 6379/TCP 3 of 6",
        "✓ allowed   ✗ refused   · itself   from rows to columns",
    ]


def test_a_port_that_is_none_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="PORT/PROTO"):
        run(tmp_path / "missing", "-p", "80")


def test_at_least_one_port_is_needed(tmp_path: Path) -> None:
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        run(manifest_directory.write(tmp_path))


def test_a_port_asked_for_twice_is_answered_once() -> None:
    snapshot = world(namespace("x"), pod("x/a", "10.0.0.1"), policy("x/p", ingress=[rule()]))
    ports = [ProtocolPort.parse(text) for text in ("80/TCP", "080/tcp", "ICMP")]
    assert matrix.matrix_of(Oracle(snapshot), snapshot.pods.values(), ports) == {
        "80/TCP": {"x/a": {}},
        "ICMP": {"x/a": {}},
    }


def test_there_is_a_grid_for_each_port_and_one_legend() -> None:
    text = matrix.matrix_text({"80/TCP": {"x/a": {}}, "81/TCP": {"x/a": {}}}, {}, {}, Outcomes.JUDGED, Look())
    assert text[0].split() == ["80/TCP", "81/TCP"]
    assert text[-3:-1] == ["", "pairs that may connect: 80/TCP 0 of 0, 81/TCP 0 of 0"]
    assert sum("allowed  " in line for line in text) == 1


def test_x12_pairs_whose_families_differ_are_counted_below_the_grids() -> None:
    snapshot = world(
        namespace("x"),
        *(pod(f"x/{name}", f"10.0.0.{number}", f"fd00::{number}") for number, name in enumerate("abc", 1)),
        policy("x/p", ingress=[rule([block("fd00::1/128")], ["80/TCP"]), rule([block("10.0.0.3/32")])]),
    )
    ports = [ProtocolPort.parse(text) for text in ("53/UDP", "80/TCP")]
    oracle, pods = Oracle(snapshot), snapshot.pods.values()
    answers = matrix.matrix_of(oracle, pods, ports)
    divisions = matrix.divisions_of(oracle, pods, ports, answers)
    assert divisions == {
        "53/UDP": [("x/c", "x/a"), ("x/c", "x/b")],
        "80/TCP": [("x/a", "x/b"), ("x/a", "x/c"), ("x/c", "x/a"), ("x/c", "x/b")],
    }
    assert matrix.matrix_text(answers, divisions, {}, Outcomes.JUDGED, Look())[-3:-1] == [
        "pairs that may connect: 53/UDP 2 of 6, 80/TCP 2 of 6",
        (
            "pairs with another answer over their other address family: 53/UDP 2, 80/TCP 4 "
            "(netpol explain x/c x/a 53/UDP)"
        ),
    ]


DUAL_STACK = """
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: x}
spec: {containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: x}
spec: {containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.2}, {ip: "fd00::2"}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: x}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "fd00::/16"}}]}]}
"""


def test_x12_json_answers_for_the_primary_family_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = manifest_directory.write(tmp_path, DUAL_STACK)
    assert run(directory, "-p", "80/TCP", "-o", "json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"80/TCP": {"x/a": {"x/b": False}, "x/b": {"x/a": False}}}
    assert captured.err == ""
    assert run(directory, "-p", "80/TCP") == 0
    assert "pairs with another answer over their other address family: 80/TCP 2 (" in capsys.readouterr().out


DRY_RUN = manifest_directory.GUESTBOOK.replace("annotations: {", "annotations: {netpol.io/enforcement: audit, ", 1)


def test_x16_pairs_that_enforcing_would_refuse_have_their_own_symbol_and_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    directory = manifest_directory.write(tmp_path, DRY_RUN)
    assert run(directory, "-p", "6379/TCP", "-p", "53/UDP") == 0
    assert capsys.readouterr().out.splitlines() == [
        "           6379/TCP   53/UDP",
        "           1  2 3     1  2 3",
        "ops",
        "  1 shell  ·  ! !     ·  ! !",
        "shop",
        "  2 redis  ✓  · !     ✓  · !",
        "  3 web    ✓  ✓ ·     ✓  ! ·",
        "",
        "pairs that may connect: 6379/TCP 6 of 6, 53/UDP 6 of 6",
        "pairs that enforcing would refuse: 6379/TCP 3, 53/UDP 4 (netpol explain ops/shell shop/redis 6379/TCP)",
        "✓ allowed   ✗ refused   · itself   ! allowed under audit   from rows to columns",
    ]


def test_x16_json_is_what_happens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(manifest_directory.write(tmp_path, DRY_RUN), "-p", "6379/TCP", "-o", "json") == 0
    rows = json.loads(capsys.readouterr().out)["6379/TCP"]
    assert [answer for row in rows.values() for answer in row.values()] == [True] * 6


@pytest.mark.parametrize("output", ["json", "table"])
def test_x16_as_if_enforced_is_what_would_happen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    words = ("-p", "6379/TCP", "-o", output)
    assert run(manifest_directory.write(tmp_path, DRY_RUN), *words, "--as-if-enforced") == 0
    supposed = capsys.readouterr().out
    assert run(manifest_directory.write(tmp_path), *words) == 0
    enforced = capsys.readouterr().out
    assert supposed == enforced.replace("may connect:", "may connect once everything is enforced:")
