"""What others do to the kernel is mended, soon and no oftener than it has to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from between import FAMILIES, kernel_of
from builders import namespace, world
from live import PERIOD_SECONDS, Live, known
from two_pods import BASE, FOUR, STRANGER, WEB, WIDER, WORLD, flow

from netpol.compiler.names import isolated_set, judging_chain
from netpol.control.firewall import SURVEY_SECONDS
from netpol.dataplane.keeper import Keeper
from netpol.dataplane.memory import MemoryKernel
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.policies import Direction
from netpol.schedule import QUIET_SECONDS


@pytest.fixture(name="live")
def _live() -> Live:
    return Live().started(WORLD)


def empty_a_set(memory: MemoryKernel) -> None:
    isolated = memory.sets.read()[isolated_set(Direction.INGRESS, FOUR)]
    memory.sets.remove(isolated, isolated.members)


def destroy_a_set(memory: MemoryKernel) -> None:
    flush_everything(memory)
    memory.sets.destroy(memory.sets.read())


def make_a_set(memory: MemoryKernel) -> None:
    memory.sets.create([replace(next(iter(memory.sets.read().values())), name=f"NETPOL-S4-{'Z' * 16}")])


def empty_a_chain(memory: MemoryKernel) -> None:
    memory.tables.write(FOUR, [f"-F {judging_chain(Direction.INGRESS)}"])


def add_a_rule(memory: MemoryKernel) -> None:
    memory.tables.write(Family.IPV6, ["-I NETPOL-FORWARD 1 -s fd00::9/128 -j ACCEPT"])


def move_the_hook(memory: MemoryKernel) -> None:
    memory.tables.write(FOUR, ["-I FORWARD 1 -s 192.0.2.77/32 -j ACCEPT"])


def flush_everything(memory: MemoryKernel) -> None:
    for family in FAMILIES:
        ours = memory.tables.read(family).chains
        hooks = ("INPUT", "FORWARD", "OUTPUT")
        memory.tables.write(family, [*(f"-F {name}" for name in (*hooks, *ours)), *(f"-X {name}" for name in ours)])


RULE_DAMAGES = [empty_a_chain, add_a_rule, move_the_hook, flush_everything]
SET_DAMAGES = [empty_a_set, destroy_a_set, make_a_set]
DAMAGES = [empty_a_set, *RULE_DAMAGES]


@pytest.mark.parametrize("damage", RULE_DAMAGES)
def test_damage_is_mended_when_the_period_is_over(live: Live, damage: Callable[[MemoryKernel], None]) -> None:
    damage(live.memory)
    live.step(after_seconds=PERIOD_SECONDS - 1)
    assert live.metric("drift_repaired_total") == 0
    assert not live.holds(WORLD)
    live.step(after_seconds=1)
    assert live.holds(WORLD)
    assert live.metric("drift_repaired_total") >= 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_mended_soon_after_an_alarm(
    live: Live, damage: Callable[[MemoryKernel], None], caplog: pytest.LogCaptureFixture
) -> None:
    live.step(after_seconds=5)
    damage(live.memory)
    live.firewall.alarm()
    live.step()
    assert live.holds(WORLD)
    assert live.metric("foreign_changes_total") == 1
    assert "somebody else had changed what is ours" in caplog.text


@pytest.mark.parametrize("damage", SET_DAMAGES)
def test_sets_that_others_changed_are_found_when_there_is_time(
    live: Live, damage: Callable[[MemoryKernel], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "netpol.control")
    live.step(after_seconds=QUIET_SECONDS)
    damage(live.memory)
    compared = live.metric("resyncs_total")
    live.step(after_seconds=SURVEY_SECONDS - QUIET_SECONDS - 0.1)
    assert live.metric("resyncs_total") == compared
    live.step(after_seconds=0.1)
    assert live.holds(WORLD)
    assert live.metric("resyncs_total") == compared + 1
    assert live.metric("foreign_changes_total") == 1
    assert "somebody else changed sets" in caplog.text
    live.step(after_seconds=SURVEY_SECONDS)
    assert live.metric("foreign_changes_total") == 1


def test_sets_are_not_surveyed_while_facts_come(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    surveys: list[float] = []

    def note() -> frozenset[str]:
        surveys.append(live.clock.now)
        return frozenset()

    monkeypatch.setattr(live.keeper, "estranged", note)
    for number in range(30):
        live.record(known(namespace(f"new-{number}")))
        live.step(after_seconds=0.9)
    assert surveys == []
    live.step(after_seconds=QUIET_SECONDS)
    assert surveys == [live.clock.now]
    compared = live.metric("resyncs_total")
    for _ in range(29):
        live.step(after_seconds=1.0)
    assert (len(surveys), live.metric("resyncs_total")) == (3, compared + 1)


def test_a_survey_that_is_refused_is_a_doubt(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> frozenset[str]:
        raise KernelRefusal("the ipsets cannot be surveyed")

    with monkeypatch.context() as patched:
        patched.setattr(live.keeper, "estranged", refuse)
        live.step(after_seconds=SURVEY_SECONDS)
    assert live.metric("in_sync") == 0
    live.step(after_seconds=1)
    assert live.metric("in_sync") == 1


def test_alarms_one_after_the_other_do_not_make_it_compare_all_the_time(live: Live) -> None:
    live.step(after_seconds=5)
    compared = live.metric("resyncs_total")
    for _ in range(50):
        live.firewall.alarm()
        live.step(after_seconds=0.01)
    assert live.metric("resyncs_total") == compared + 1
    live.step(after_seconds=1)
    assert live.metric("resyncs_total") == compared + 2


def test_what_was_opened_while_the_rules_were_damaged_is_cut(live: Live) -> None:
    flush_everything(live.memory)
    live.memory.flows.open(FOUR, flow(STRANGER, WEB.addresses[0]))
    live.step(after_seconds=PERIOD_SECONDS)
    assert list(live.memory.flows.read(FOUR)) == []


def test_a_comparison_that_finds_nothing_writes_nothing_and_cuts_nothing(live: Live) -> None:
    """A connection that is denied is none of its business: it may be just being cut."""
    denied = flow(STRANGER, WEB.addresses[0])
    live.memory.flows.open(FOUR, denied)
    operations = live.operations
    for _ in range(5):
        live.step(after_seconds=PERIOD_SECONDS)
    assert live.operations == operations
    assert list(live.memory.flows.read(FOUR)) == [denied]
    assert live.metric("resyncs_total") == 6
    assert live.metric("drift_repaired_total") == 0


def test_a_restart_over_what_is_there_writes_nothing(live: Live) -> None:
    operations = live.operations
    again = Live(memory=live.memory).started(WORLD)
    assert again.operations == operations
    assert again.health.is_ready()


def test_a_restart_cuts_what_the_run_before_did_not_come_to_cut(live: Live) -> None:
    live.memory.flows.open(FOUR, flow(STRANGER, WEB.addresses[0]))
    again = Live(memory=live.memory).started(WORLD)
    assert list(live.memory.flows.read(FOUR)) == []
    assert again.metric("flows_cut_total") == 1


def test_the_kernel_of_these_tests_is_the_one_that_is_kept(live: Live) -> None:
    """`Live.holds` does see a difference."""
    assert live.holds(WORLD)
    assert not live.holds(world(*BASE, WIDER))
    empty_a_chain(live.memory)
    assert not live.holds(WORLD)
    Keeper(kernel_of(live.memory)).converge(live.engine.ruleset())
    assert live.holds(WORLD)
