"""A table without sets is kept equal to what is desired, and only differences are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from netpol.compiler.ruleset import Action, Hook, Jump, OfProtocol, Rule, Table
from netpol.dataplane.kernel import KernelTable, Tables
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.table_keeper import TableKeeper
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.ports import Protocol

FOUR, SIX = Family.IPV4, Family.IPV6
ENTRY, SECOND = "NETPOL-OUTPUT", "NETPOL-TCP"


def table(*rules: Rule) -> Table:
    """A nat table whose output goes through two chains, the second of which has these rules."""
    chains = {ENTRY: (Rule((), Jump(SECOND)),), SECOND: rules}
    return Table({Hook.OUTPUT: Rule((), Jump(ENTRY))}, chains)


ACCEPTING, RETURNING = table(Rule((), Action.ACCEPT)), table(Rule((OfProtocol(Protocol.TCP),), Action.RETURN))


def test_only_chains_that_differ_are_written() -> None:
    memory = MemoryKernel()
    keeper = TableKeeper(memory.nat)
    assert keeper.converge({FOUR: ACCEPTING, SIX: ACCEPTING}) == 4
    assert keeper.converge({FOUR: ACCEPTING, SIX: RETURNING}) == 1
    assert memory.nat.rules(FOUR, SECOND) == ("-j ACCEPT",)
    assert memory.nat.rules(SIX, SECOND) == ("-p tcp -j RETURN",)
    done = list(memory.journal.operations)
    assert keeper.converge({FOUR: ACCEPTING, SIX: RETURNING}) == 0
    assert memory.journal.operations == done


def test_what_others_changed_is_mended() -> None:
    memory = MemoryKernel()
    keeper = TableKeeper(memory.nat)
    keeper.converge({FOUR: ACCEPTING})
    memory.nat.plant(FOUR, SECOND, "-j RETURN")
    memory.nat.write(FOUR, ["-D OUTPUT 1", "-A OUTPUT -j RETURN", f"-A OUTPUT -j {ENTRY}"])
    assert keeper.converge({FOUR: ACCEPTING}) == 1
    assert memory.nat.rules(FOUR, SECOND) == ("-j ACCEPT",)
    assert memory.nat.rules(FOUR, "OUTPUT") == (f"-j {ENTRY}", "-j RETURN")


def test_a_hook_that_was_mended_alone_counts() -> None:
    memory = MemoryKernel()
    keeper = TableKeeper(memory.nat)
    keeper.converge({FOUR: ACCEPTING})
    memory.nat.write(FOUR, ["-D OUTPUT 1"])
    assert keeper.converge({FOUR: ACCEPTING}) == 1
    assert memory.nat.rules(FOUR, "OUTPUT") == (f"-j {ENTRY}",)


def test_a_family_that_is_not_desired_has_nothing_of_ours() -> None:
    memory = MemoryKernel()
    keeper = TableKeeper(memory.nat)
    keeper.converge({FOUR: ACCEPTING, SIX: ACCEPTING})
    assert keeper.converge({FOUR: ACCEPTING}) == 2
    assert memory.nat.read(SIX).chains == {}
    assert memory.nat.rules(SIX, "OUTPUT") == ()


class Partial:
    """A table of which some of the reading and writing is refused."""

    def __init__(
        self,
        tables: Tables,
        reads: Mapping[Family, str] | None = None,
        write: Callable[[Family], None] = lambda _: None,
    ) -> None:
        self._tables, self._reads, self._write = tables, reads or {}, write

    def read(self, family: Family) -> KernelTable:
        if family in self._reads:
            raise KernelRefusal(self._reads[family])
        return self._tables.read(family)

    def write(self, family: Family, lines: Sequence[str]) -> None:
        self._write(family)
        self._tables.write(family, lines)


def test_a_family_that_is_refused_keeps_no_other_from_being_written() -> None:
    memory = MemoryKernel()
    keeper = TableKeeper(Partial(memory.nat, {FOUR: "no nat for IPv4"}))
    with pytest.raises(KernelRefusal, match=r"^no nat for IPv4$"):
        keeper.converge({FOUR: ACCEPTING, SIX: ACCEPTING})
    assert memory.nat.rules(SIX, SECOND) == ("-j ACCEPT",)


def test_a_family_that_is_neither_desired_nor_readable_is_passed_over() -> None:
    memory = MemoryKernel()
    assert TableKeeper(Partial(memory.nat, {SIX: "no IPv6"})).converge({FOUR: ACCEPTING}) == 2


def test_refused_rules_leave_the_table_as_it_was() -> None:
    memory = MemoryKernel()
    keeper = TableKeeper(memory.nat)
    keeper.converge({FOUR: ACCEPTING})
    before = memory.nat.read(FOUR)
    with pytest.raises(KernelRefusal, match="no target or chain 'DROP'"):
        keeper.converge({FOUR: table(Rule((), Action.DROP))})
    assert memory.nat.read(FOUR) == before


def test_a_write_that_another_writer_came_before_is_planned_anew() -> None:
    memory = MemoryKernel()
    theirs = ["-j RETURN"]

    def interfere(family: Family) -> None:
        if theirs:
            memory.nat.plant(family, SECOND, theirs.pop())
            raise KernelRefusal(f"another writer was faster in IPv{family.value}")

    keeper = TableKeeper(Partial(memory.nat, write=interfere))
    assert keeper.converge({FOUR: ACCEPTING}) == 2
    assert memory.nat.rules(FOUR, SECOND) == ("-j ACCEPT",)


def test_a_writer_that_is_always_faster_is_told() -> None:
    memory = MemoryKernel()

    def interfere(family: Family) -> None:
        memory.nat.plant(FOUR, SECOND, "-j RETURN")
        raise KernelRefusal(f"another writer was faster in IPv{family.value}")

    with pytest.raises(KernelRefusal, match=r"^another writer was faster in IPv4$"):
        TableKeeper(Partial(memory.nat, write=interfere)).converge({FOUR: ACCEPTING})


def test_all_of_ours_is_cleared_and_nothing_else() -> None:
    memory = MemoryKernel()
    memory.nat.plant(SIX, "THEIRS", "-j RETURN")
    keeper = TableKeeper(memory.nat)
    keeper.converge({FOUR: ACCEPTING, SIX: ACCEPTING})
    assert keeper.clear().chains == 4
    assert [memory.nat.read(family).chains for family in Family] == [{}, {}]
    assert memory.nat.rules(SIX, "THEIRS") == ("-j RETURN",)


def test_where_nothing_can_be_read_there_is_nothing_to_clear() -> None:
    unreadable = Partial(MemoryKernel().nat, dict.fromkeys(Family, "no nat"))
    assert str(TableKeeper(unreadable).clear()) == "nothing of ours was there"
