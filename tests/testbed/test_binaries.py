"""Programs are built once for the same sources, and a test says which it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from testbed import binaries, toolchain
from testbed.binaries import Build


@pytest.fixture
def beds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory of programs, and sources of one."""
    monkeypatch.setattr(binaries, "GO_SOURCES", tmp_path / "go")
    monkeypatch.setenv("NETPOL_TESTBED", str(tmp_path / "beds"))
    monkeypatch.setattr(toolchain, "go", lambda _: Path("/no/go"))
    (tmp_path / "go" / "thing").mkdir(parents=True)
    (tmp_path / "go" / "thing" / "main.go").write_text("package main")
    monkeypatch.setattr(binaries, "BUILDS", (Build("thing", ("a", "b"), made),))
    return tmp_path / "beds"


def made(go: Path, beds: Path) -> None:
    for name in ("a", "b"):
        (beds / name).write_text(f"made by {go}")


def test_what_is_there_is_not_built_again(beds: Path) -> None:
    said: list[str] = []
    binaries.build(said.append)
    binaries.build(said.append)
    assert len(said) == 1
    assert said[0].endswith(": a b")
    assert (beds / "a").read_text() == "made by /no/go"


def test_what_is_asked_for_is_built_and_nothing_else(beds: Path) -> None:
    (beds.parent / "go" / "other").mkdir()
    said: list[str] = []
    binaries.build(said.append, [Build("other", ("b",), made)])
    assert [line.partition(": ")[2] for line in said] == ["b"]


@pytest.mark.parametrize("change", ["source", "program"])
def test_a_change_is_built(beds: Path, change: str) -> None:
    said: list[str] = []
    binaries.build(said.append)
    if change == "source":
        (beds.parent / "go" / "thing" / "main.go").write_text("package other")
    else:
        (beds / "b").unlink()
    binaries.build(said.append)
    assert len(said) == 2


@pytest.mark.parametrize(("everything", "outcome"), [(False, pytest.skip.Exception), (True, pytest.fail.Exception)])
def test_a_program_that_was_not_built_is_named(
    beds: Path, monkeypatch: pytest.MonkeyPatch, everything: bool, outcome: type[BaseException]
) -> None:
    monkeypatch.setattr("private_network.EVERYTHING_REQUIRED", everything)
    with pytest.raises(outcome, match=r"no kubelet in .*beds: `make testbed` builds it"):
        binaries.program("kubelet")


def test_the_release_of_a_compiler_is_read(tmp_path: Path) -> None:
    compiler = tmp_path / "go"
    compiler.write_text("#!/bin/sh\necho go1.26.8\n")
    compiler.chmod(0o755)
    assert toolchain.release(compiler) == (1, 26)
    compiler.write_text("#!/bin/sh\necho devel\n")
    assert toolchain.release(compiler) == (0, 0)
