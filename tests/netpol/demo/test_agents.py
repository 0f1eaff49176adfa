"""The agent of every node is the real one, in that node's namespace, and its failures are told once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import node

from netpol.demo.agents import CODE, run_agents
from netpol.errors import NetpolError
from netpol.lab.lab import Lab

EXAMPLES = CODE / "manifests" / "examples"


@pytest.fixture
def lab() -> Iterator[Lab]:
    ranges = [["10.244.1.0/24", "fd00:10:244:1::/64"], ["10.244.2.0/24", "fd00:10:244:2::/64"]]
    with Lab([node(f"worker-{place}", pod_cidrs=cidrs) for place, cidrs in enumerate(ranges, start=1)]) as built:
        yield built


def rules(lab: Lab, name: str) -> str:
    return lab.namespace(name).run(["iptables-save"]).stdout


@pytest.mark.kernel
def test_every_node_is_programmed_and_nothing_else(lab: Lab) -> None:
    said = run_agents(lab, EXAMPLES)
    assert [line.split()[0] for line in said] == ["worker-1", "worker-2"]
    assert "10.244.1.11" in rules(lab, "node/worker-1")
    assert "10.244.1.11" not in rules(lab, "node/worker-2")
    assert "10.244.2.11" in rules(lab, "node/worker-2")


@pytest.mark.kernel
def test_what_all_agents_complain_of_is_said_once(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(NetpolError) as failure:
        run_agents(lab, tmp_path / "nowhere")
    [line] = str(failure.value).splitlines()
    assert line.startswith("the agent: ")
    assert "nowhere" in line


@pytest.mark.kernel
def test_the_code_that_runs_is_this_code(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever directory a person is in, and whatever is called netpol there."""
    (tmp_path / "netpol.py").write_text("raise SystemExit('another netpol')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert len(run_agents(lab, EXAMPLES)) == 2
