"""The parts know of each other: a set that a rule refers to stays, and one journal has it all."""

from __future__ import annotations

import pytest

from netpol.compiler.ruleset import IpSet, SetReference, SetType
from netpol.dataplane.kernel import Flows, Sets, Tables
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.ownership import Ownership
from netpol.errors import KernelRefusal
from netpol.model.networks import Family

NAME = "NETPOL-S4-AAAAAAAAAAAAAAAA"
ADDRESSES = IpSet(NAME, SetType.ADDRESSES, Family.IPV4)
LIST = IpSet("NETPOL-L-AAAAAAAAAAAAAAAA", SetType.SETS, None)


def test_it_offers_what_the_real_kernel_offers() -> None:
    kernel = MemoryKernel()
    offered: tuple[Sets, Tables, Flows] = (kernel.sets, kernel.tables, kernel.flows)
    assert offered[0].read() == {}
    assert offered[1].read(Family.IPV6).chains == {}
    assert offered[2].read(Family.IPV4) == ()


def test_every_operation_is_in_one_journal() -> None:
    kernel = MemoryKernel()
    kernel.sets.create([ADDRESSES, LIST])
    kernel.sets.add(ADDRESSES, [bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])])
    kernel.sets.add(LIST, [SetReference(NAME)])
    kernel.tables.write(Family.IPV4, [":NETPOL-INPUT - [0:0]"])
    kernel.tables.write(Family.IPV6, [])
    kernel.sets.read(), kernel.tables.read(Family.IPV4), kernel.flows.read(Family.IPV4)
    kernel.sets.destroy([NAME, LIST.name])
    assert kernel.journal.operations == [
        f"create {NAME}",
        f"create {LIST.name}",
        f"add 10.0.0.1 to {NAME}",
        f"add 10.0.0.2 to {NAME}",
        f"add {NAME} to {LIST.name}",
        "write 1 lines for IPv4",
        f"destroy {LIST.name}",
        f"destroy {NAME}",
    ]


def test_a_bulk_message_may_stop_in_the_middle_but_a_table_never() -> None:
    kernel = MemoryKernel()
    kernel.sets.create([ADDRESSES])
    kernel.journal.refuse(after=1)
    with pytest.raises(KernelRefusal, match=f"^add 10.0.0.2 to {NAME}: refused"):
        kernel.sets.add(ADDRESSES, [bytes([10, 0, 0, number]) for number in (1, 2, 3)])
    assert kernel.sets.read()[NAME].members == {bytes([10, 0, 0, 1])}
    kernel.journal.refuse(after=0)
    with pytest.raises(KernelRefusal, match=r"^write 2 lines for IPv4: refused"):
        kernel.tables.write(Family.IPV4, [":NETPOL-INPUT - [0:0]", "-A NETPOL-INPUT -j DROP"])
    assert kernel.tables.read(Family.IPV4).chains == {}


def test_a_rule_of_anybody_keeps_a_set() -> None:
    kernel = MemoryKernel()
    kernel.sets.create([ADDRESSES])
    kernel.tables.plant(Family.IPV6, "THEIRS", f"-m set --match-set {NAME} src -j ACCEPT")
    with pytest.raises(KernelRefusal, match="a rule or another set refers to it"):
        kernel.sets.destroy([NAME])


def test_a_rule_of_any_table_keeps_a_set() -> None:
    for table in ("nat", "mangle"):
        kernel = MemoryKernel()
        kernel.sets.create([ADDRESSES])
        getattr(kernel, table).plant(Family.IPV4, "THEIRS", f"-m set --match-set {NAME} src -j ACCEPT")
        assert not kernel.sets.destroy_unused(NAME)


def test_another_owner_sees_the_same_kernel_by_its_own_names() -> None:
    kernel = MemoryKernel()
    theirs = kernel.seen_by(Ownership(lambda name: name == "theirs", lambda _: False))
    theirs.sets.create([IpSet("theirs", SetType.ADDRESSES, Family.IPV4)])
    theirs.mangle.write(Family.IPV4, [":theirs - [0:0]", "-A theirs -m set --match-set theirs src -j DROP"])
    kernel.sets.create([ADDRESSES])
    assert (set(kernel.sets.read()), set(theirs.sets.read())) == ({NAME}, {"theirs"})
    assert (kernel.mangle.read(Family.IPV4).chains, len(theirs.mangle.read(Family.IPV4).chains)) == ({}, 1)
    assert not theirs.sets.destroy_unused("theirs")
    assert kernel.journal.operations == ["create theirs", "write 2 lines to mangle for IPv4", f"create {NAME}"]
