"""A program's end is an outcome; its absence and its hanging are refusals."""

from __future__ import annotations

import os
import time

import pytest

from netpol.dataplane.tool import ToolMissing, run_tool, start_tool
from netpol.errors import KernelRefusal


def test_what_a_program_leaves_behind() -> None:
    outcome = run_tool(("sh", "-c", "cat; echo oh >&2; exit 3"), "text\n")
    assert (outcome.status, outcome.output, outcome.complaint) == (3, "text\n", "oh\n")


def test_bytes_that_are_no_text_survive() -> None:
    odd = run_tool(("printf", r"\377\n")).output
    assert run_tool(("cat",), odd).output == odd


def test_messages_are_not_translated() -> None:
    assert run_tool(("sh", "-c", "echo $LC_ALL")).output == "C\n"


def test_a_missing_tool_names_its_package() -> None:
    with pytest.raises(ToolMissing, match=r"^ip6tables-none-save is not installed: install the package iptables$"):
        run_tool(("ip6tables-none-save",))


def test_a_machine_without_dev_null_has_the_tool_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "devnull", "/nowhere/null")
    with pytest.raises(KernelRefusal, match=r"^true cannot be started: there is no /nowhere/null$") as refused:
        start_tool(("true",), 0, 2)
    assert not isinstance(refused.value, ToolMissing)


def test_what_is_no_program_cannot_be_started() -> None:
    with pytest.raises(KernelRefusal, match="/etc/passwd cannot be started: Permission denied"):
        run_tool(("/etc/passwd",))


def test_a_stuck_program_is_killed() -> None:
    started = time.monotonic()
    with pytest.raises(KernelRefusal, match=r"sleep did not end within 0\.1 s"):
        run_tool(("sleep", "20"), timeout_seconds=0.1)
    assert time.monotonic() - started < 10
