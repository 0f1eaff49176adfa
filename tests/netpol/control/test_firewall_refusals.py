"""The controller of a kernel that refuses: rules stay in force, nothing is lost, and it recovers by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from between import FAMILIES
from builders import namespace, pod, world
from live import Live, gone, known
from two_pods import BASE, FOUR, FRIEND, NODE, SHUT, STRANGER, WEB, WIDER, WORLD, flow

from netpol.compiler.names import isolated_set, judging_chain, pod_chain
from netpol.control.firewall import PART
from netpol.dataplane.memory import MemoryKernel
from netpol.errors import KernelRefusal
from netpol.model.facts import Fact
from netpol.model.policies import Direction
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.schedule import LONGEST_RETRY_SECONDS


@pytest.fixture(name="live")
def _live() -> Live:
    return Live().started(WORLD)


CHANGES: dict[str, tuple[list[Fact], Snapshot]] = {
    "a policy": ([known(WIDER)], world(*BASE, WIDER)),
    "no policy": ([gone(SHUT)], world(*BASE)),
    "a peer and a policy": (
        [known(replace(FRIEND, labels={})), known(WIDER)],
        world(namespace("x"), NODE, WEB, replace(FRIEND, labels={}), WIDER),
    ),
    "a pod": (
        [known(pod("x/new", "10.0.0.5", "fd00::5", labels="app=web", node="n1"))],
        world(*BASE, SHUT, pod("x/new", "10.0.0.5", "fd00::5", labels="app=web", node="n1")),
    ),
}


def operations_of(facts: list[Fact]) -> int:
    """How many operations the facts come to, with a connection that is cut."""
    live = Live().started(WORLD)
    live.memory.flows.open(FOUR, flow(STRANGER, WEB.addresses[0], Protocol.UDP, 99))
    before = len(live.operations)
    live.record(*facts)
    live.step()
    return len(live.operations) - before


@pytest.mark.parametrize("change", CHANGES)
def test_a_refusal_of_any_operation_is_retried_until_the_kernel_is_right(change: str) -> None:
    facts, wanted = CHANGES[change]
    for number in range(operations_of(facts)):
        live = Live().started(WORLD)
        live.memory.flows.open(FOUR, flow(STRANGER, WEB.addresses[0], Protocol.UDP, 99))
        live.memory.journal.refuse(after=number)
        live.record(*facts)
        live.step()
        assert judges_web(live.memory), "rules are in force meanwhile"
        assert live.metric("in_sync") == 0
        assert live.metric("sync_failures_total", subsystem="kernel") == 1
        live.retry()
        assert live.holds(wanted)
        assert live.metric("in_sync") == 1
        assert live.metric("retries_total") == 1


def judges_web(memory: MemoryKernel) -> bool:
    """True where packets to the pod are led to a chain of its own, or it is isolated no more."""
    chains = memory.tables.read(FOUR).chains
    isolated = memory.sets.read()[isolated_set(Direction.INGRESS, FOUR)].members
    own = pod_chain("x", "web", Direction.INGRESS)
    return own in chains if WEB.addresses[0].packed in isolated else judging_chain(Direction.INGRESS) in chains


def test_the_first_programming_is_retried_as_well() -> None:
    count = len(Live().started(WORLD).operations)
    for number in range(0, count, 7):
        live = Live()
        live.memory.journal.refuse(after=number)
        live.started(WORLD)
        assert (live.operations == []) == (number == 0)
        assert live.kernel.read(FAMILIES).sets == {}, "all is taken back"
        assert live.first_times == 0
        live.retry()
        assert live.holds(WORLD)
        assert live.first_times == 1


@contextmanager
def locked(live: Live) -> Iterator[None]:
    """Inside, the kernel refuses every write."""

    def refuse(operation: str) -> None:
        raise KernelRefusal(f"{operation}: another app is currently holding the lock")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live.memory.journal, "enter", refuse)
        yield


def test_pauses_grow_while_it_fails_and_nothing_is_tried_in_between(live: Live) -> None:
    live.record(known(WIDER))
    pauses = []
    with locked(live):
        live.step()
        for failures in range(1, 13):
            pauses.append(live.schedule.wait_seconds(live.clock.now))
            live.step(after_seconds=pauses[-1] * 0.9)
            assert live.metric("sync_failures_total", subsystem="kernel") == failures
            live.step(after_seconds=pauses[-1] * 0.11)
            assert live.metric("sync_failures_total", subsystem="kernel") == failures + 1
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_RETRY_SECONDS
    live.retry(most=1)
    assert live.holds(world(*BASE, WIDER))


def test_facts_that_come_while_it_fails_are_not_lost(live: Live) -> None:
    new = pod("x/new", "10.0.0.5", labels="app=web", node="n1")
    with locked(live):
        for facts in ([known(WIDER)], [gone(FRIEND)], [gone(WIDER), known(new)]):
            live.record(*facts)
            live.step(after_seconds=0.01)
        live.record(known(SHUT))
    live.retry(most=1)
    assert live.holds(world(namespace("x"), NODE, WEB, new, SHUT))


def test_rules_stay_in_force_while_it_fails(live: Live) -> None:
    held = live.kernel.read(FAMILIES)
    live.record(gone(SHUT))
    with locked(live):
        for _ in range(10):
            live.step(after_seconds=10)
    assert live.kernel.read(FAMILIES) == held


def test_a_failure_degrades_health_and_a_success_mends_it(live: Live) -> None:
    live.record(known(WIDER))
    with locked(live):
        live.step()
        assert live.health.is_ready(), "for a moment that is no news"
        assert f"{PART}: failing" in live.health.readiness().text
        for _ in range(10):
            live.step(after_seconds=live.schedule.wait_seconds(live.clock.now))
        assert not live.health.is_ready()
        assert live.health.is_alive(), "a restart would not mend it"
    live.retry(most=1)
    assert live.health.is_ready()
    assert "failing" not in live.health.readiness().text


def test_a_set_that_cannot_be_swept_is_no_end(live: Live) -> None:
    """What it holds is read anew, and the set goes the next time."""
    live.record(gone(SHUT))
    live.step()
    live.memory.journal.refuse(after=0)
    live.run(False)
    assert not live.keeper.is_certain
    live.retry()
    live.sweep()
    assert live.memory.sets.read().keys() == live.engine.ruleset().sets.keys()


def test_what_the_kernel_does_not_hold_yet_is_not_told_on(live: Live) -> None:
    live.held.clear()
    with locked(live):
        live.record(known(WIDER))
        live.step()
        assert live.held == []
    live.retry()
    assert live.held == [known(WIDER)]
