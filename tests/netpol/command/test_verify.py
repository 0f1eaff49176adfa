from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import manifest_directory
import pytest
from between import FAMILIES, kernel_of

from netpol.command import verify
from netpol.command.verify import drift
from netpol.compiler.compile import compile_ruleset
from netpol.compiler.ruleset import IpSet, SetReference, SetType
from netpol.dataplane.apply import Kernel, apply
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.plan import plan
from netpol.dataplane.render import RenderedTable
from netpol.dataplane.steps import (
    AddMembers,
    CreateSets,
    DestroySets,
    RemoveMembers,
    ReplaceMembers,
    Step,
    WriteTable,
)
from netpol.model.networks import Family
from netpol.settings import NodeOptions, PolicyOptions, Variant
from netpol.source.manifests import load

SET = IpSet("set", SetType.ADDRESSES, Family.IPV4, meaning="pods of x")
LIST = IpSet("list", SetType.SETS, None, meaning="ingress of x/a")
MEMBER = b"\x0a\0\0\1"
NOTHING, CHAINS = RenderedTable({}, {}), RenderedTable({}, {"A": (), "B": ()})


@pytest.mark.parametrize(
    ("steps", "lines"),
    [
        ((), []),
        ((CreateSets((SET,)), AddMembers(SET, (MEMBER,))), ["set set is missing (pods of x)"]),
        ((AddMembers(SET, (MEMBER,)),), ["set set lacks 1 members (pods of x)"]),
        ((RemoveMembers(SET, (MEMBER, MEMBER)),), ["set set has 2 members too many (pods of x)"]),
        (
            (ReplaceMembers(LIST, (SetReference("set", "new"),), (SetReference("set"),)),),
            ["set list has 1 members with another comment or flag (ingress of x/a)"],
        ),
        ((WriteTable(Family.IPV6, (), (), NOTHING, CHAINS),), ["IPv6 filter table: chains A, B differ"]),
        ((WriteTable(Family.IPV4, (), (), NOTHING, NOTHING),), ["IPv4 filter table: the hooks differ"]),
        ((DestroySets((SET, LIST)),), ["set set is left over", "set list is left over"]),
    ],
)
def test_every_step_that_would_mend_it_is_a_line(steps: tuple[Step, ...], lines: list[str]) -> None:
    assert list(drift(steps)) == lines


@pytest.fixture(name="other")
def _other() -> MemoryKernel:
    """The tables of the variant that is not chosen."""
    return MemoryKernel()


@pytest.fixture(name="memory")
def _memory(monkeypatch: pytest.MonkeyPatch, other: MemoryKernel) -> MemoryKernel:
    """The kernel that the command opens."""
    memory = MemoryKernel()

    @contextmanager
    def opened(_: Variant) -> Iterator[Kernel]:
        yield kernel_of(memory)

    monkeypatch.setattr(verify, "open_kernel", opened)
    monkeypatch.setattr(verify, "other_tables", lambda _: {Variant.LEGACY: other.tables})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return memory


def run(directory: Path) -> int:
    parser = argparse.ArgumentParser(exit_on_error=False)
    verify.add_arguments(parser)
    words = ["-f", str(directory), "--hostname-override", "n1", "--iptables-variant", "nft"]
    return verify.run(parser.parse_args(words))


def program(memory: MemoryKernel, directory: Path) -> None:
    """The kernel holds what the policies ask for."""
    kernel = kernel_of(memory)
    ruleset = compile_ruleset(load(directory, PolicyOptions()).snapshot, NodeOptions("n1"))
    apply(plan(ruleset, kernel.read(FAMILIES)), kernel)


def test_a_kernel_that_holds_it_all_is_status_0(
    memory: MemoryKernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = manifest_directory.write(tmp_path)
    program(memory, directory)
    operations = len(memory.journal.operations)
    assert run(directory) == 0
    assert capsys.readouterr().out == "n1: the kernel holds what the policies ask for\n"
    assert len(memory.journal.operations) == operations


def test_drift_is_listed_and_status_1_and_nothing_is_mended(
    memory: MemoryKernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = manifest_directory.write(tmp_path)
    program(memory, directory)
    memory.tables.write(Family.IPV4, ["-F NETPOL-INGRESS"])
    memory.sets.remove(IpSet("NETPOL-ISO-IN-4", SetType.ADDRESSES, Family.IPV4), [bytes([10, 244, 1, 2])])
    operations = len(memory.journal.operations)
    for _ in range(2):
        assert run(directory) == 1
        assert capsys.readouterr().out.splitlines() == [
            "set NETPOL-ISO-IN-4 lacks 1 members (pods of this node isolated for ingress)",
            "IPv4 filter table: chains NETPOL-INGRESS differ",
        ]
    assert len(memory.journal.operations) == operations


def test_a_kernel_without_anything_lacks_all(
    memory: MemoryKernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(manifest_directory.write(tmp_path)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "set NETPOL-ISO-IN-4 is missing (pods of this node isolated for ingress)" in lines
    assert [line[:18] for line in lines[-2:]] == ["IPv4 filter table:", "IPv6 filter table:"]
    assert memory.journal.operations == []


def test_rules_left_in_the_other_variant_are_drift_too(
    memory: MemoryKernel, other: MemoryKernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = manifest_directory.write(tmp_path)
    program(memory, directory)
    other.tables.write(Family.IPV6, [":NETPOL-FORWARD - [0:0]"])
    assert run(directory) == 1
    assert capsys.readouterr().out == "IPv6 filter table: the legacy variant holds rules of ours too\n"
