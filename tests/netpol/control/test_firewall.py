"""The controller, step by step: what it writes and when, what it does after a refusal, and what it tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from between import FAMILIES, kernel_of
from builders import address, namespace, node, pod, pods, policy, rule, world
from live import PERIOD_SECONDS, Live, gone, known, lists

from netpol.compiler.names import cut_set, isolated_set, judging_chain, pod_chain
from netpol.control.firewall import PART
from netpol.control.keeper import Keeper
from netpol.control.schedule import LONGEST_RETRY_SECONDS
from netpol.dataplane.kernel import Flow, KernelTable
from netpol.dataplane.memory import MemoryKernel
from netpol.errors import KernelRefusal
from netpol.model.facts import Fact, Kind
from netpol.model.networks import Address, Family
from netpol.model.policies import Direction
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot

FOUR = Family.IPV4
WEB = pod("x/web", "10.0.0.2", "fd00::2", labels="app=web", node="n1")
FRIEND = pod("x/friend", "10.0.0.3", "fd00::3", labels="app=friend", node="n1")
NODE = node("n1", "192.0.2.1", pod_cidrs=["10.0.0.0/28"])
SHUT = policy("x/p", "app=web", ingress=[rule([pods("app=friend")], ["80/TCP", "53/UDP"])])
WIDER = policy("x/p", "app=web", ingress=[rule(ports=["80/TCP", "53/UDP"])])
BASE = (namespace("x"), NODE, WEB, FRIEND)
WORLD = world(*BASE, SHUT)
STRANGER = address("198.51.100.7")


@pytest.fixture(name="live")
def _live() -> Live:
    return Live().started(WORLD)


def flow(source: Address, destination: Address, protocol: Protocol = Protocol.TCP, port: int = 80) -> Flow:
    return Flow(source, destination, protocol, port, handle=f"{source}>{destination}:{port}{protocol}".encode())


# --- before everything is known


@pytest.mark.parametrize("last", list(Kind), ids=lambda kind: kind.value)
def test_nothing_is_written_before_every_kind_was_listed(last: Kind) -> None:
    live = Live()
    for kind, objects in lists(WORLD).items():
        if kind is not last:
            live.bus.replace(kind, objects)
    live.step()
    live.step(after_seconds=1_000)
    assert live.operations == []
    assert live.first_times == 0
    assert not live.health.is_ready()
    live.bus.replace(last, lists(WORLD)[last])
    live.step()
    assert live.holds(WORLD)
    assert live.first_times == 1
    assert live.health.is_ready()


def test_a_list_that_is_complete_after_its_facts_were_taken_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the rules of an earlier run would make way to those of a part of the cluster."""
    live = Live()
    for kind, objects in lists(WORLD).items():
        if kind is not Kind.NETWORK_POLICY:
            live.bus.replace(kind, objects)
    subscription = live.subscription
    take = subscription.take

    def take_just_before() -> tuple[Fact, ...]:
        taken = take()
        live.bus.replace(Kind.NETWORK_POLICY, lists(WORLD)[Kind.NETWORK_POLICY])
        return taken

    monkeypatch.setattr(subscription, "take", take_just_before)
    live.step()
    assert live.operations == []
    monkeypatch.undo()
    live.step()
    assert live.holds(WORLD)


# --- facts


def test_a_fact_is_brought_to_the_kernel_in_its_step(live: Live) -> None:
    live.record(known(WIDER))
    live.step()
    assert live.holds(world(*BASE, WIDER))
    live.record(gone(WIDER))
    live.step()
    assert live.holds(world(*BASE))


def test_facts_that_were_known_write_nothing(live: Live) -> None:
    operations = live.operations
    live.record(known(SHUT), known(WEB))
    live.step()
    assert live.operations == operations
    assert live.metric("batches_total") == 0


def test_what_nothing_asks_for_is_swept_when_nothing_happens(live: Live) -> None:
    live.record(gone(SHUT))
    waits = live.run(True, *[False] * 12)
    assert live.memory.sets.read().keys() == live.engine.ruleset().sets.keys()
    assert 0.0 in waits, "one goes after the other"
    assert waits[-1] > 1.0, "then it sleeps"


def test_nothing_is_swept_while_facts_come(live: Live) -> None:
    live.record(gone(SHUT))
    live.run(*[True] * 12)
    assert live.memory.sets.read().keys() > live.engine.ruleset().sets.keys()


# --- refusals


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


# --- what others do


def empty_a_set(memory: MemoryKernel) -> None:
    isolated = memory.sets.read()[isolated_set(Direction.INGRESS, FOUR)]
    memory.sets.remove(isolated, isolated.members)


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


DAMAGES = [empty_a_set, empty_a_chain, add_a_rule, move_the_hook, flush_everything]


@pytest.mark.parametrize("damage", DAMAGES)
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


# --- living connections


def test_what_a_fact_denies_is_cut_in_its_step_and_the_rest_lives() -> None:
    """G11."""
    live = Live().started(world(*BASE, WIDER))
    friendly = flow(FRIEND.addresses[0], WEB.addresses[0])
    denied = flow(STRANGER, WEB.addresses[0])
    answered = flow(STRANGER, WEB.addresses[0], Protocol.UDP, 53)
    for each in (friendly, denied, answered):
        live.memory.flows.open(FOUR, each)
    live.record(known(SHUT))
    live.step()
    assert list(live.memory.flows.read(FOUR)) == [friendly]
    assert live.metric("flows_cut_total") == 2
    assert live.memory.sets.read()[cut_set(FOUR)].members
    live.record(known(WIDER))
    live.step()
    assert not live.memory.sets.read()[cut_set(FOUR)].members


def test_a_peer_that_is_none_any_more_loses_its_connections(live: Live) -> None:
    friendly = flow(FRIEND.addresses[0], WEB.addresses[0])
    live.memory.flows.open(FOUR, friendly)
    live.record(known(replace(FRIEND, labels={})))
    live.step()
    assert list(live.memory.flows.read(FOUR)) == []


def test_a_pod_that_is_gone_loses_its_connections(live: Live) -> None:
    """G12: whoever has the address then is not known yet."""
    live.memory.flows.open(FOUR, flow(FRIEND.addresses[0], STRANGER))
    live.record(gone(FRIEND))
    live.step()
    assert list(live.memory.flows.read(FOUR)) == []


def test_an_address_that_passes_to_another_pod_within_a_batch_loses_its_connections() -> None:
    """Both pods are isolated, and the address is all the time: no step tells of it."""
    anybody = policy("x/other", "app=other", ingress=[rule()])
    other = pod("x/other", "10.0.0.9", labels="app=other", node="n1")
    heir = pod("x/heir", "10.0.0.10", labels="app=web", node="n1")
    live = Live().started(world(*BASE, SHUT, anybody, other, heir))
    live.memory.flows.open(FOUR, flow(STRANGER, other.addresses[0]))
    live.record(gone(other), known(replace(heir, addresses=other.addresses)))
    live.step()
    assert live.metric("batches_total") == 1
    assert list(live.memory.flows.read(FOUR)) == []


def test_a_connection_that_could_not_be_cut_is_cut_at_the_next_attempt() -> None:
    live = Live().started(world(*BASE, WIDER))
    live.memory.flows.open(FOUR, flow(STRANGER, WEB.addresses[0]))
    count = operations_of_tightening()
    live.record(known(SHUT))
    live.memory.journal.refuse(after=count - 1)
    live.step()
    assert list(live.memory.flows.read(FOUR)) != []
    live.retry()
    assert list(live.memory.flows.read(FOUR)) == []


def operations_of_tightening() -> int:
    """How many operations the tightened policy comes to; the last deletes a connection."""
    live = Live().started(world(*BASE, WIDER))
    live.memory.flows.open(FOUR, flow(STRANGER, WEB.addresses[0]))
    before = len(live.operations)
    live.record(known(SHUT))
    live.step()
    assert live.operations[-1].startswith("delete flow")
    return len(live.operations) - before


# --- what it tells


def test_a_change_is_logged_with_its_object(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="netpol"):
        live.record(known(WIDER))
        live.step()
    (record,) = (each for each in caplog.records if each.message == "NetworkPolicy changed")
    assert record.__dict__["netpol_fields"]["name"] == "x/p"


def test_batches_and_their_times_are_counted(live: Live) -> None:
    live.record(known(replace(FRIEND, labels={})), known(WIDER))
    live.step()
    assert live.metric("batches_total") == 2
    for histogram in ("sync_seconds", "compile_seconds", "event_to_kernel_seconds"):
        assert live.metric(f"{histogram}_count") == 2, histogram
    assert live.metric("facts_total") == len(BASE) + 3


def test_the_size_of_the_ruleset_is_told(live: Live) -> None:
    ruleset = live.engine.ruleset()
    assert live.metric("ruleset_sets") == len(ruleset.sets)
    assert live.metric("ruleset_members") == sum(len(each.members) for each in ruleset.sets.values())
    assert live.metric("ruleset_chains") == sum(len(table.chains) for table in ruleset.tables.values())
    assert live.metric("pods_isolated", direction="ingress") == 1
    assert live.metric("pods_isolated", direction="egress") == 0


def test_a_controller_that_stopped_is_not_missed(live: Live) -> None:
    live.run(False, False)
    live.clock.now += 1_000
    assert live.health.is_alive()


def test_one_that_is_stuck_is_told(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    read = live.memory.tables.read

    def read_slowly(family: Family) -> KernelTable:
        live.clock.now += 1_000
        assert not live.health.is_alive()
        return read(family)

    live.step(after_seconds=PERIOD_SECONDS - 1)
    monkeypatch.setattr(live.memory.tables, "read", read_slowly)
    live.run(False)


def test_one_that_only_waits_is_not(live: Live) -> None:
    live.run(*[False] * 100)
    assert live.metric("resyncs_total") > 5, "much time has gone by"
    waits = Live().run(*[False] * 3)
    assert max(waits) < 60, "nor while nothing is listed yet"


def test_the_kernel_of_these_tests_is_the_one_that_is_kept(live: Live) -> None:
    """`Live.holds` does see a difference."""
    assert live.holds(WORLD)
    assert not live.holds(world(*BASE, WIDER))
    empty_a_chain(live.memory)
    assert not live.holds(WORLD)
    Keeper(kernel_of(live.memory)).converge(live.engine.ruleset())
    assert live.holds(WORLD)
