"""Whole worlds, and the sets and rules of node n1 in them, as `netpol compile` prints them.

`tox -e golden` writes the expected texts anew: they are reviewed as a diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netpol.cli import main

GOLDEN = Path(__file__).parents[2] / "golden"
WORLDS = sorted(GOLDEN.glob("*.yaml"))
BOTH_FAMILIES = {"dual-stack", "pod-range", "treatment"}
"""The worlds whose IPv6 rules say something that the IPv4 ones do not."""


def printed(world: Path, capsys: pytest.CaptureFixture[str]) -> str:
    families = [] if world.stem in BOTH_FAMILIES else ["--enable-ipv6=false"]
    assert main(["compile", "-f", str(world), "--hostname-override", "n1", *families]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.stem)
def test_a_world_compiles_to_what_was_reviewed(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = world.with_suffix(".txt")
    found = printed(world, capsys)
    if os.environ.get("NETPOL_REWRITE_GOLDEN") == "1":
        expected.write_text(found)
    assert found == expected.read_text()


def test_every_expected_text_has_its_world() -> None:
    assert WORLDS
    assert {each.stem for each in GOLDEN.glob("*.txt")} == {each.stem for each in WORLDS}
