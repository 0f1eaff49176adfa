"""The whole demo as a person runs it: what it prints, its status, and what it leaves behind."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import shop_directory
from private_network import missing

from netpol.command import demo
from netpol.demo.agents import CODE
from netpol.errors import NetpolError, UsageError
from netpol.lab.namespace import LabError, require_namespaces

NETPOL = [sys.executable, "-m", "netpol"]


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
    return shop_directory.write(tmp_path)


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
        "  3 redis-1     ✓*✓*· ✗ ✗  ✓    ✗ ✗ · ✗ ✗  ✓    ✗ ✗ · ✗ ✗  ✓",
        "    laptop      ✓*✓*✗ ✗ ✗  ✓    ✗ ✗ ✗ ✗ ✗  ✓    ✗ ✗ ✗ ✗ ✗  ✓",
    ):
        assert line in done.stdout.splitlines()
    assert "production/toolbox (10.244.1.13) may not connect to production/redis-1\n" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Cleaned up")


@pytest.mark.kernel
def test_a_person_s_own_manifests_are_completed_and_carried_out(environment: dict[str, str], shop: Path) -> None:
    done = run(environment, "--source", str(shop))
    assert done.stderr == ""
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert "ports probed: 80/TCP, 8080/TCP" in lines
    assert "Deployment shop/web has no pods here: shop/web-1 and shop/web-2 made from its template" in lines
    assert "pairs that reached each other: 80/TCP 2 of 6, 8080/TCP 4 of 6" in lines
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
    assert "pairs that reached each other: 80/TCP 2 of 6" in lines


@pytest.mark.kernel
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["2 nodes, 6 pods", "   $ kubectl apply", "   the agent on worker-2"])
def test_an_interrupted_demo_leaves_nothing(environment: dict[str, str], end: signal.Signals, moment: str) -> None:
    """Once the lab stands, while the agents program it, and while packets are on their way."""
    # What runs in the background of a shell ignores Ctrl-C, and so would its children.
    ours = signal.signal(signal.SIGINT, signal.SIG_DFL)
    running = subprocess.Popen(
        [*NETPOL, "demo"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, ours)
    assert running.stdout is not None
    assert any(line.startswith(moment) for line in running.stdout)
    running.send_signal(end)
    _, complaints = running.communicate(timeout=30)
    assert (running.returncode, complaints) == (130, "")


@pytest.mark.kernel
def test_what_the_agents_are_told_is_what_the_demo_reads(environment: dict[str, str], shop: Path) -> None:
    """A broken annotation isolates by the same flag for packets and for policies."""
    text = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {net.beta.kubernetes.io/network-policy: "{"}}
"""
    (shop / "namespace.yaml").write_text(text, encoding="utf-8")
    done = run(environment, "--source", str(shop), "-p", "8080/TCP", "--strict-annotations=true")
    assert done.returncode == 0
    assert "pairs that reached each other: 8080/TCP 2 of 6" in done.stdout.splitlines()


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
