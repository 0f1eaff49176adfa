"""What takes a step back."""

from __future__ import annotations

import pytest
from builders import address

from netpol.compiler.ruleset import IpSet, SetReference, SetType
from netpol.dataplane.render import RenderedTable
from netpol.dataplane.steps import (
    AddMembers,
    CreateSets,
    DestroySets,
    RemoveMembers,
    ReplaceMembers,
    Step,
    WriteTable,
    inverse,
)
from netpol.model.networks import Family

ONE = address("10.0.0.1").packed
FILLED = IpSet("a", SetType.ADDRESSES, Family.IPV4, frozenset({ONE}))
EMPTY = IpSet("b", SetType.ADDRESSES, Family.IPV4)
REFERENCE = SetReference("a", "why")
LIST = IpSet("a-list", SetType.SETS, None, frozenset({REFERENCE}))
REWORDED = SetReference("a", "why not")
NOTHING, NEW = RenderedTable({}, {}), RenderedTable({}, {"NEW": ()})

INVERSES: list[tuple[Step, tuple[Step, ...]]] = [
    (CreateSets((FILLED, LIST)), (DestroySets((LIST, FILLED)),)),
    (AddMembers(FILLED, (ONE,)), (RemoveMembers(FILLED, (ONE,)),)),
    (RemoveMembers(FILLED, (ONE,)), (AddMembers(FILLED, (ONE,)),)),
    (ReplaceMembers(LIST, (REWORDED,), (REFERENCE,)), (ReplaceMembers(LIST, (REFERENCE,), (REWORDED,)),)),
    (
        WriteTable(Family.IPV4, (":NEW - [0:0]",), ("-X NEW",), NOTHING, NEW),
        (WriteTable(Family.IPV4, ("-X NEW",), (":NEW - [0:0]",), NEW, NOTHING),),
    ),
    (
        DestroySets((LIST, EMPTY, FILLED)),
        (CreateSets((EMPTY, FILLED, LIST)), AddMembers(FILLED, (ONE,)), AddMembers(LIST, (REFERENCE,))),
    ),
]


@pytest.mark.parametrize(("step", "back"), INVERSES)
def test_a_step_is_taken_back_by_its_inverse(step: Step, back: tuple[Step, ...]) -> None:
    assert inverse(step) == back


def test_a_written_table_names_the_chains_that_change_come_or_go() -> None:
    before = RenderedTable({}, {"GONE": (), "SAME": ("-j DROP",), "CHANGED": ("-j DROP",)})
    after = RenderedTable({}, {"SAME": ("-j DROP",), "CHANGED": ("-j RETURN",), "COME": ()})
    assert WriteTable(Family.IPV4, (), (), before, after).chains == ("CHANGED", "COME", "GONE")
