from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from between import programmed
from builders import namespace, pod, pods, policy, rule

from netpol.command import cleanup
from netpol.compiler.compile import compile_ruleset
from netpol.dataplane.memory import MemoryKernel
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions, Variant

RULESET = compile_ruleset(
    Snapshot.of([namespace("x")], [pod("x/a", "10.0.0.2", node="n1")], (), [policy("x/p", ingress=[rule([pods()])])]),
    NodeOptions("n1"),
)


@pytest.fixture(name="memory")
def _memory(monkeypatch: pytest.MonkeyPatch) -> MemoryKernel:
    """A kernel that was programmed through the nft variant; there is nothing of the legacy one."""
    memory, _ = programmed(RULESET)
    tables = {Variant.NFT: memory.tables, Variant.LEGACY: MemoryKernel().tables}

    @contextmanager
    def opened() -> Iterator[object]:
        yield memory.sets

    monkeypatch.setattr(cleanup, "NetlinkSets", opened)
    monkeypatch.setattr(cleanup, "IptablesTables", lambda variant: tables[variant])
    monkeypatch.setattr(cleanup, "variants_present", lambda: tuple(Variant))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return memory


def run(arguments: Callable[[], argparse.Namespace] = argparse.Namespace) -> int:
    return cleanup.run(arguments())


def test_everything_goes_and_is_counted(memory: MemoryKernel, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    chains = sum(len(table.chains) for table in RULESET.tables.values())
    assert capsys.readouterr().out == f"{chains} chains and {len(RULESET.sets)} sets removed\n"
    assert memory.sets.read() == {}
    assert run() == 0
    assert capsys.readouterr().out == "nothing of ours was there\n"


def test_what_is_left_is_named_and_status_1(memory: MemoryKernel, capsys: pytest.CaptureFixture[str]) -> None:
    memory.tables.plant(Family.IPV4, "OTHERS", "-j NETPOL-FORWARD")
    assert run() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("netpol: left: ")
    assert "NETPOL-FORWARD" in line


def test_a_host_without_iptables_still_loses_its_sets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = MemoryKernel()
    memory.sets.create(RULESET.sets.values())

    @contextmanager
    def opened() -> Iterator[object]:
        yield memory.sets

    monkeypatch.setattr(cleanup, "NetlinkSets", opened)
    monkeypatch.setattr(cleanup, "variants_present", lambda: ())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert run() == 0
    assert memory.sets.read() == {}
    assert capsys.readouterr().out == f"0 chains and {len(RULESET.sets)} sets removed\n"


def test_no_socket_is_a_refusal(memory: MemoryKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> object:
        raise KernelRefusal("no netlink socket for ipset")

    monkeypatch.setattr(cleanup, "NetlinkSets", refused)
    with pytest.raises(KernelRefusal, match="no netlink socket"):
        run()
    assert memory.sets.read() == RULESET.sets


def test_the_command_has_no_flags() -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    cleanup.add_arguments(parser)
    assert vars(parser.parse_args([])) == {}
