"""What was changed, in numbers."""

from __future__ import annotations

import pytest

from netpol.compiler.ruleset import IpSet, SetReference, SetType
from netpol.dataplane.outcome import Outcome
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

LIST = IpSet("L", SetType.SETS, None)
ONE, TWO = SetReference("1"), SetReference("2")
BARE, FULL = RenderedTable({}, {}), RenderedTable({}, {"A": (), "B": ("-j DROP",)})


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((), "nothing to change"),
        ((CreateSets((LIST, LIST)),), "2 sets created"),
        ((AddMembers(LIST, (ONE, TWO)), AddMembers(LIST, (ONE,))), "3 members added"),
        ((ReplaceMembers(LIST, (ONE,), (TWO,)),), "1 members changed"),
        ((RemoveMembers(LIST, (ONE,)),), "1 members removed"),
        ((WriteTable(Family.IPV4, ("x",), ("y",), BARE, FULL),), "2 chains written"),
        ((WriteTable(Family.IPV4, ("x",), ("y",), FULL, FULL),), "1 tables hooked anew"),
        ((DestroySets((LIST,)),), "1 sets destroyed"),
        ((CreateSets((LIST,)), AddMembers(LIST, (ONE,))), "1 sets created, 1 members added"),
    ],
)
def test_each_kind_of_step_is_counted(steps: tuple[Step, ...], expected: str) -> None:
    assert str(Outcome(steps)) == expected


def test_what_is_no_step_is_told_too() -> None:
    assert str(Outcome((), superseded_chains=3, flows_cut=2)) == (
        "3 chains of another variant removed, 2 connections cut"
    )
    assert str(Outcome((RemoveMembers(LIST, (ONE,)),), flows_cut=1)) == "1 members removed, 1 connections cut"
