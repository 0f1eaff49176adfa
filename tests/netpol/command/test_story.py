"""What a story says and counts, in processes and agents that a test chooses."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import shop_directory
from private_network import missing

from netpol.command import story
from netpol.command.look import Look
from netpol.command.story import MOST_DIFFERENCES, Agents, Stage, carry_out
from netpol.demo.agents import run_agents
from netpol.errors import NetpolError
from netpol.lab.namespace import LabError, require_namespaces
from netpol.model.ports import ProtocolPort
from netpol.settings import PolicyOptions

HTTP, ALT_HTTP, PING = map(ProtocolPort.parse, ("80/TCP", "8080/TCP", "ICMP"))


@pytest.fixture
def _namespaces() -> None:
    try:
        require_namespaces()
    except LabError as refusal:
        missing(str(refusal))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return shop_directory.write(tmp_path)


def idle(*_: object) -> tuple[str, ...]:
    """Agents that do nothing."""
    return ()


def stage(directory: Path, agents: Agents = idle) -> Stage:
    directory.mkdir()
    return Stage(directory, directory.parent / "audit.log", PolicyOptions(), agents, Look())


@pytest.mark.kernel
@pytest.mark.usefixtures("_namespaces")
def test_a_firewall_that_does_nothing_is_found_out(
    tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert carry_out(stage(tmp_path / "stage"), shop, [ALT_HTTP, PING]) == 12
    lines = capsys.readouterr().out.splitlines()
    assert "12 of 24 connections tried over IPv4 and IPv6 did NOT go as the policies say:" in lines
    assert "  shop/shell (10.244.1.10) -> shop/web-1 (10.244.1.11) 8080/TCP: reached, should be refused" in lines


@pytest.mark.kernel
@pytest.mark.usefixtures("_namespaces")
def test_many_differences_are_cut_short(tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ports = [ProtocolPort.parse(f"{number}/TCP") for number in range(1, 5)]
    differences = carry_out(stage(tmp_path / "stage"), shop, ports)
    assert differences > MOST_DIFFERENCES
    lines = capsys.readouterr().out.splitlines()
    assert sum("should be refused" in line for line in lines) == MOST_DIFFERENCES
    assert f"  ... and {differences - MOST_DIFFERENCES} more" in lines


@pytest.mark.kernel
@pytest.mark.usefixtures("_namespaces")
def test_an_agent_that_fails_ends_the_story(tmp_path: Path, shop: Path) -> None:
    agents = partial(run_agents, flags=["--log-to-the-moon"])
    with pytest.raises(NetpolError, match=r"^the agent: .*--log-to-the-moon.*$"):
        carry_out(stage(tmp_path / "stage", agents), shop, [HTTP])


def test_too_many_pods_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "MOST_PODS", 1)
    shop = tmp_path / "pods"
    shop.mkdir()
    for name in ("a", "b"):
        (shop / f"{name}.yaml").write_text(shop_directory.SHELL.replace("shell", name), encoding="utf-8")
    with pytest.raises(NetpolError, match="2 pods are more than one machine plays well; at most 1 are"):
        carry_out(stage(tmp_path / "stage"), shop, [HTTP])
