"""Policies that would allow what was refused are printed as YAML, and the rest is accounted for."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import manifest_directory
import pytest
from audit_records import refusal, write

from netpol.audit.record import Action, Cause, NodeParty, PodParty
from netpol.cli import main
from netpol.command import audit_suggest, explain
from netpol.settings import PolicyOptions
from netpol.source.manifests import load

REDIS = PodParty("shop", "redis", "", "10.244.1.2", "")
WEB = PodParty("shop", "web", "", "10.244.1.3", "")
SHELL = PodParty("ops", "shell", "", "10.244.2.4", "")

RECORDS = [
    refusal(REDIS, WEB, 6380, count=5),
    refusal(REDIS, WEB, 6379, count=2),
    refusal(REDIS, SHELL, 6379, count=7),
    refusal(REDIS, NodeParty("n1", "192.168.0.1"), reason=Cause.INVALID, count=11),
    refusal(REDIS, WEB, 9999, action=Action.ALLOW, reason=Cause.RULE, count=13),
    refusal(WEB, REDIS, None, "ICMP", action=Action.WOULD_DENY, count=17),
]


def run(directory: Path, *words: str) -> int:
    parser = argparse.ArgumentParser(exit_on_error=False)
    audit_suggest.add_arguments(parser)
    manifests = manifest_directory.write(directory) / "manifests.yaml"
    path = write(directory / "audit.log", *RECORDS)
    return audit_suggest.run(parser.parse_args(["-f", str(manifests), "--audit-log-path", str(path), *words]))


def test_policies_are_on_standard_output_and_the_rest_is_accounted_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path) == 0
    printed = capsys.readouterr()
    name = re.compile(r"allow-redis-ingress-[a-z2-7]{8}$", re.MULTILINE)
    assert name.sub("NAME", printed.out).splitlines() == [
        "---",
        "# ingress of shop/redis:",
        "#   from shop/web on 6380/TCP: 5 packets in 1 record",
        "apiVersion: extensions/v1beta1",
        "kind: NetworkPolicy",
        "metadata:",
        "  name: NAME",
        "  namespace: shop",
        "spec:",
        "  podSelector:",
        "    matchLabels:",
        "      tier: backend",
        "  ingress:",
        "  - from:",
        "    - podSelector:",
        "        matchLabels:",
        "          tier: frontend",
        "    ports:",
        "    - protocol: TCP",
        "      port: 6380",
        "# Nothing is suggested for:",
        (
            "#   shop/redis ingress from ops/shell on 6379/TCP: no labels tell ops/shell from the other pods of its "
            "namespace (7 packets in 1 record)"
        ),
        (
            "#   shop/web ingress from shop/redis on what has no ports: only a rule without ports allows this, which "
            "opens every port (--all-ports) (17 packets in 1 record)"
        ),
    ]
    assert printed.err.splitlines() == [
        "netpol: allowed by the policies of now: 2 packets in 1 record",
        "netpol: nothing is suggested for, the comments say why: 24 packets in 2 records",
        "netpol: no policy could allow, reason invalid: 11 packets in 1 record",
    ]


def test_every_port_is_opened_where_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--all-ports") == 0
    assert "# ingress of shop/web:\n#   from shop/redis on every port" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "policies"),
    [(("--action", "deny"), 1), (("--action", "would-deny", "--all-ports"), 1), (("--pod", "shell"), 0)],
)
def test_only_the_records_asked_for_are_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], policies: int
) -> None:
    assert run(tmp_path, *words) == 0
    assert capsys.readouterr().out.count("kind: NetworkPolicy") == policies


def test_what_is_printed_is_read_by_explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 0
    printed = capsys.readouterr().out
    (tmp_path / "suggested.yaml").write_text(printed, encoding="utf-8")
    assert load(tmp_path, PolicyOptions()).notices == ()
    parser = argparse.ArgumentParser()
    explain.add_arguments(parser)
    assert explain.run(parser.parse_args(["-f", str(tmp_path), "shop/web", "shop/redis", "6380/TCP"])) == 0
    assert "shop/web may connect to shop/redis on 6380/TCP." in capsys.readouterr().out


def test_it_is_a_subcommand_of_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifests = manifest_directory.write(tmp_path) / "manifests.yaml"
    words = [
        "audit",
        "suggest",
        "--audit-log-path",
        str(write(tmp_path / "audit.log", RECORDS[0])),
        "-f",
        str(manifests),
    ]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.out.count("kind: NetworkPolicy") == 1
    assert printed.err == ""
