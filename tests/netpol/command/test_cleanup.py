"""`netpol cleanup`: what it says, and its status; what it removes is told of `netpol.agent.clearing`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

import pytest

from netpol.command import cleanup
from netpol.dataplane.clearing import Cleared
from netpol.errors import KernelRefusal, NetpolError
from netpol.settings import Variant

CHAIN = "chain NETPOL-FORWARD of IPv4 cannot be removed: rule 1 of chain OTHERS leads to it (-j NETPOL-FORWARD)"


def run(removed: Cleared, monkeypatch: pytest.MonkeyPatch, variants: tuple[Variant, ...] = tuple(Variant)) -> int:
    """The status, where this is what there was of ours."""

    def clear_all(asked: Sequence[Variant]) -> Cleared:
        assert asked == variants
        return removed

    monkeypatch.setattr(cleanup, "clear_all", clear_all)
    monkeypatch.setattr(cleanup, "variants_present", lambda: variants)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return cleanup.run(argparse.Namespace())


@pytest.mark.parametrize(
    ("removed", "says"),
    [
        (Cleared(), "nothing of ours was there"),
        (Cleared(12, 9), "12 chains and 9 sets removed"),
        (Cleared(12, 9, 4, 2), "12 chains and 9 sets removed, 4 virtual servers, 2 service addresses"),
    ],
)
def test_what_was_there_is_counted(
    removed: Cleared, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(removed, monkeypatch) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"{says}\n", "")


def test_what_is_left_is_named_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Cleared(left=(CHAIN,)), monkeypatch) == 1
    printed = capsys.readouterr()
    assert printed.out == "0 chains and 0 sets removed\n"
    assert printed.err == f"netpol: left: {CHAIN}\n"


def test_a_host_without_iptables_is_told_that_it_may_have_chains_yet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Cleared(0, 3), monkeypatch, variants=()) == 0
    assert capsys.readouterr().err == ""
    assert run(Cleared(left=("ipset NETPOL-CUT-4 cannot be destroyed",)), monkeypatch, variants=()) == 1
    assert capsys.readouterr().err.endswith("no iptables works here: install the package iptables\n")


def test_no_socket_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> object:
        raise KernelRefusal("no netlink socket for ipset")

    monkeypatch.setattr(cleanup, "clear_all", refused)
    monkeypatch.setattr(cleanup, "variants_present", lambda: tuple(Variant))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(KernelRefusal, match="no netlink socket"):
        cleanup.run(argparse.Namespace())


def test_it_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NetpolError, match="netpol cleanup needs root"):
        cleanup.run(argparse.Namespace())


def test_the_command_has_no_flags() -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    cleanup.add_arguments(parser)
    assert vars(parser.parse_args([])) == {}
