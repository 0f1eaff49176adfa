from __future__ import annotations

import argparse

import pytest

from netpol.command.node_arguments import add_node_arguments, node_options
from netpol.model.treatment import AuditLevel, DenyAction, Treatment
from netpol.settings import NodeOptions


def options(*words: str) -> NodeOptions:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_node_arguments(parser)
    return node_options(parser.parse_args(words))


def test_refusals_are_recorded_and_packets_dropped_by_default() -> None:
    assert options().treatment == Treatment(AuditLevel.DENIES, DenyAction.DROP)
    assert options().log_group == 100


@pytest.mark.parametrize("words", [["--audit-allows"], ["--audit-allows=true"]])
def test_allows_are_recorded_where_asked_for(words: list[str]) -> None:
    assert options(*words).treatment.audit is AuditLevel.ALLOWS


def test_refusals_are_told_where_asked_for() -> None:
    assert options("--deny-action=reject").treatment.deny_action is DenyAction.REJECT


def test_the_group_is_chosen() -> None:
    assert options("--nflog-group=65535").log_group == 65535


@pytest.mark.parametrize("word", ["--deny-action=tell", "--nflog-group=0", "--nflog-group=65536", "--nflog-group=x"])
def test_nonsense_is_refused(word: str) -> None:
    with pytest.raises(argparse.ArgumentError):
        options(word)
