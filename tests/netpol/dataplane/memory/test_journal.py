"""Operations are noted in order, and exactly the one chosen is refused."""

from __future__ import annotations

import pytest

from netpol.dataplane.memory.journal import Journal
from netpol.errors import KernelRefusal


@pytest.mark.parametrize("after", [0, 1, 3])
def test_one_operation_is_refused_and_not_noted(after: int) -> None:
    journal = Journal()
    journal.enter("before")
    journal.refuse(after)
    for number in range(after):
        journal.enter(f"operation {number}")
    with pytest.raises(KernelRefusal, match=r"^the one: refused"):
        journal.enter("the one")
    journal.enter("after")
    assert journal.operations == ["before", *(f"operation {number}" for number in range(after)), "after"]
