"""The whole demo as a person runs it: what it prints, its status, and what it leaves behind."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from private_network import missing

from netpol.command import demo
from netpol.demo.agents import CODE
from netpol.errors import NetpolError, UsageError
from netpol.lab.namespace import LabError, require_namespaces

NETPOL = [sys.executable, "-m", "netpol"]

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        ports: [{name: http, containerPort: 8080}]
"""
SHELL = """\
apiVersion: v1
kind: Pod
metadata: {name: shell, namespace: shop}
spec: {containers: [{name: shell}]}
"""
POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web-to-web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: http}]
"""


@pytest.fixture
def _namespaces() -> None:
    try:
        require_namespaces()
    except LabError as refusal:
        missing(str(refusal))


@pytest.fixture
def environment(tmp_path: Path, _namespaces: None) -> Iterator[dict[str, str]]:
    """An environment whose directory for temporary files is empty before and after."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    yield os.environ | {"TMPDIR": str(scratch), "COLUMNS": "80", "PYTHONPATH": str(CODE)}
    assert list(scratch.iterdir()) == []


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    for name, text in {"web": DEPLOYMENT, "shell": SHELL, "policy": POLICY}.items():
        (directory / f"{name}.yaml").write_text(text, encoding="utf-8")
    return directory


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    demo.add_arguments(parser)
    return parser.parse_args(words)


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NETPOL, "demo", *words], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.kernel
def test_the_guestbook_goes_as_its_policies_say(environment: dict[str, str]) -> None:
    done = run(environment)
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.count("went as the policies say") == 3
    for line in (
        "pairs that reached each other: 80/TCP 36 of 36, 6379/TCP 36 of 36, 53/UDP 36 of 36",
        "pairs that reached each other: 80/TCP 36 -> 6 of 36, 6379/TCP 36 -> 6 of 36, 53/UDP 36 -> 6 of 36",
        "pairs that reached each other: 80/TCP 6 -> 18 of 36, 6379/TCP 6 -> 10 of 36, 53/UDP 6 -> 6 of 36",
        "  3 redis-1     ✓*✓*· ✗ ✗ ✓    ✗ ✗ · ✗ ✗ ✓    ✗ ✗ · ✗ ✗ ✓",
        "    laptop      ✓*✓*✗ ✗ ✗ ✓    ✗ ✗ ✗ ✗ ✗ ✓    ✗ ✗ ✗ ✗ ✗ ✓",
    ):
        assert line in done.stdout.splitlines()
    assert "production/toolbox may not connect to production/redis-1 on 6379/TCP." in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Cleaned up")


@pytest.mark.kernel
def test_a_person_s_own_manifests_are_completed_and_carried_out(environment: dict[str, str], shop: Path) -> None:
    done = run(environment, "--source", str(shop))
    assert done.stderr == ""
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert "ports probed: 80/TCP, 8080/TCP" in lines
    assert "Deployment shop/web has no pods here: shop/web-1 and shop/web-2 made from its template" in lines
    assert "80/TCP: 2 of 6 pairs of 3 pods allowed, 4 refused" in lines
    assert "8080/TCP: 4 of 6 pairs of 3 pods allowed, 2 refused" in lines
    assert "All 24 connections tried over IPv4 and IPv6 went as the policies say." in lines


@pytest.mark.kernel
def test_who_is_not_probed_is_said(environment: dict[str, str], shop: Path) -> None:
    for name, rest in {"done": "status: {phase: Failed}", "host": "spec: {hostNetwork: true}"}.items():
        pod = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop}}\n{rest}\n"
        (shop / f"{name}.yaml").write_text(pod, encoding="utf-8")
    done = run(environment, "--source", str(shop), "-p", "80/TCP")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert "not probed, because they have finished: shop/done" in lines
    assert "not probed, because they use their node's network, where no policy selects them: shop/host" in lines
    assert "80/TCP: 2 of 6 pairs of 3 pods allowed, 4 refused" in lines


@pytest.mark.kernel
def test_a_firewall_that_does_nothing_is_found_out(
    environment: dict[str, str], shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "run_agents", lambda *_: ())
    assert demo.run(parsed("--source", str(shop), "-p", "8080/TCP", "-p", "icmp")) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "12 of 24 connections tried over IPv4 and IPv6 did NOT go as the policies say:" in lines
    assert "  shop/shell (10.244.1.10) -> shop/web-1 (10.244.1.11) 8080/TCP: reached, should be refused" in lines


@pytest.mark.kernel
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(environment: dict[str, str], end: signal.Signals) -> None:
    # What runs in the background of a shell ignores Ctrl-C, and so would its children.
    ours = signal.signal(signal.SIGINT, signal.SIG_DFL)
    running = subprocess.Popen(
        [*NETPOL, "demo"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, ours)
    assert running.stdout is not None
    assert running.stdout.readline().startswith("2 nodes, 6 pods")
    time.sleep(0.2)
    running.send_signal(end)
    _, complaints = running.communicate(timeout=30)
    assert (running.returncode, complaints) == (130, "")


@pytest.mark.kernel
def test_an_agent_that_fails_ends_the_demo(
    environment: dict[str, str], shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", environment["TMPDIR"])
    monkeypatch.setattr(tempfile, "tempdir", None)
    flags = demo._agent_flags
    monkeypatch.setattr(demo, "_agent_flags", lambda arguments: [*flags(arguments), "--log-to-the-moon"])
    with pytest.raises(NetpolError, match=r"^the agent: .*--log-to-the-moon.*$"):
        demo.run(parsed("--source", str(shop)))


def test_without_root_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NetpolError, match=r"^needs root: network namespaces$"):
        demo.run(parsed())


def test_ports_are_checked_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="99999"):
        demo.run(parsed("-p", "99999/TCP"))


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kind: Namespace\napiVersion: v1\nmetadata: {name: x}\n", "holds no pod to probe"),
        ("kind: Pod\napiVersion: v1\nmetadata: {name: [1]}\n", "metadata"),
    ],
)
def test_manifests_that_cannot_be_carried_out_are_one_line(
    environment: dict[str, str], tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    done = run(environment, "--source", str(tmp_path))
    assert done.returncode in (1, 2)
    [line] = done.stderr.splitlines()
    assert complaint in line


def test_too_many_pods_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "require_namespaces", lambda: None)
    monkeypatch.setattr(demo, "MOST_PODS", 1)
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(SHELL.replace("shell", name), encoding="utf-8")
    with pytest.raises(NetpolError, match="2 pods are more than one machine plays well; at most 1 are"):
        demo.run(parsed("--source", str(tmp_path)))
