"""What tests/contract cannot ask of the real kernel."""

from __future__ import annotations

import pytest

from netpol.compiler.ruleset import IpSet, SetType
from netpol.dataplane.memory.journal import Journal
from netpol.dataplane.memory.sets import MemorySets
from netpol.errors import KernelRefusal
from netpol.model.networks import Family


@pytest.mark.parametrize(
    ("kind", "family"), [(SetType.SETS, Family.IPV4), (SetType.ADDRESSES, None), (SetType.NETWORKS, None)]
)
def test_only_a_list_has_no_family(kind: SetType, family: Family | None) -> None:
    with pytest.raises(KernelRefusal, match="cannot be created"):
        MemorySets(Journal()).create([IpSet("NETPOL-X", kind, family)])


def test_a_set_of_others_is_found_by_rules() -> None:
    sets = MemorySets(Journal())
    theirs = IpSet("theirs", SetType.ADDRESSES, Family.IPV4)
    sets.create([theirs])
    assert sets.read() == {}
    assert sets.find("theirs") == theirs
    assert sets.find("absent") is None
