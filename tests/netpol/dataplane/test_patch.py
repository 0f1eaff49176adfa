"""The lines that turn one table into another, applied to a table that others write to as well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netpol.compiler.ruleset import Hook
from netpol.dataplane.kernel import HookRule
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.patch import write_table
from netpol.dataplane.render import RenderedTable
from netpol.dataplane.steps import WriteTable
from netpol.model.networks import Family

FOUR = Family.IPV4
JUMP = "-m conntrack ! --ctstate RELATED,ESTABLISHED -j NETPOL-FORWARD"
PLAIN = RenderedTable({Hook.FORWARD: JUMP}, {"NETPOL-FORWARD": ("-j NETPOL-EGRESS",), "NETPOL-EGRESS": ("-j DROP",)})
OTHER = RenderedTable({Hook.FORWARD: JUMP}, {"NETPOL-FORWARD": ("-j NETPOL-INGRESS",), "NETPOL-INGRESS": ()})
NOTHING = RenderedTable({}, {})


def step(memory: MemoryKernel, desired: RenderedTable) -> WriteTable:
    found = write_table(FOUR, desired, memory.tables.read(FOUR))
    assert found is not None
    return found


def holding(table: RenderedTable) -> MemoryKernel:
    """A kernel with this table, and rules of others around it."""
    memory = MemoryKernel()
    memory.tables.plant(FOUR, "FORWARD", "-j ACCEPT")
    memory.tables.plant(FOUR, "DOCKER-USER", "-j RETURN")
    if table.chains:
        memory.tables.write(FOUR, step(memory, table).lines)
    return memory


@pytest.mark.parametrize("before", [NOTHING, PLAIN, OTHER])
@pytest.mark.parametrize("after", [NOTHING, PLAIN, OTHER])
def test_the_table_becomes_the_other_and_goes_back(before: RenderedTable, after: RenderedTable) -> None:
    memory = holding(before)
    found = memory.tables.save(FOUR)
    if before == after:
        assert write_table(FOUR, after, memory.tables.read(FOUR)) is None
        return
    change = step(memory, after)
    memory.tables.write(FOUR, change.lines)
    held = memory.tables.read(FOUR)
    assert held.chains == after.chains
    assert held.hooks[Hook.FORWARD] == ((HookRule(1, JUMP),) if after.hooks else ())
    assert memory.tables.rules(FOUR, "FORWARD")[-1] == "-j ACCEPT"
    assert memory.tables.rules(FOUR, "DOCKER-USER") == ("-j RETURN",)
    memory.tables.write(FOUR, change.undo)
    assert sorted(memory.tables.save(FOUR).splitlines()) == sorted(found.splitlines())


def test_only_chains_that_differ_are_written() -> None:
    changed = RenderedTable(PLAIN.hooks, {**PLAIN.chains, "NETPOL-EGRESS": ("-j RETURN",)})
    change = step(holding(PLAIN), changed)
    assert change.lines == (":NETPOL-EGRESS - [0:0]", "-A NETPOL-EGRESS -j RETURN")
    assert change.chains == ("NETPOL-EGRESS",)


def test_a_hook_that_others_moved_or_doubled_is_first_again() -> None:
    memory = holding(PLAIN)
    memory.tables.write(FOUR, ["-I FORWARD 1 -j ACCEPT"])
    memory.tables.plant(FOUR, "FORWARD", JUMP)
    change = step(memory, PLAIN)
    assert change.chains == ()
    memory.tables.write(FOUR, change.lines)
    assert memory.tables.rules(FOUR, "FORWARD") == (JUMP, "-j ACCEPT", "-j ACCEPT")


def test_a_hook_comes_in_where_its_place_is() -> None:
    memory = holding(PLAIN)
    memory.tables.write(FOUR, ["-I FORWARD 1 -j DROP", f"-D FORWARD {JUMP}"])
    held = replace(memory.tables.read(FOUR), places={Hook.FORWARD: 2})
    change = write_table(FOUR, PLAIN, held)
    assert change is not None
    memory.tables.write(FOUR, change.lines)
    assert memory.tables.rules(FOUR, "FORWARD") == ("-j DROP", JUMP, "-j ACCEPT")
    found = memory.tables.read(FOUR)
    back = write_table(FOUR, NOTHING, replace(found, places={Hook.FORWARD: 2}))
    assert back is not None
    assert back.undo[-1] == f"-I FORWARD 2 {JUMP}"


def test_a_hook_that_is_gone_comes_back() -> None:
    memory = holding(PLAIN)
    memory.tables.write(FOUR, [f"-D FORWARD {JUMP}"])
    memory.tables.write(FOUR, step(memory, PLAIN).lines)
    assert memory.tables.rules(FOUR, "FORWARD") == (JUMP, "-j ACCEPT")
