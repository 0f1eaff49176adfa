"""The controller, step by step: what it writes and when, what it cuts, and what it tells of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import pod, policy, rule, world
from live import PERIOD_SECONDS, Live, gone, known, listing
from two_pods import BASE, FOUR, FRIEND, SHUT, STRANGER, WEB, WIDER, WORLD, flow

from netpol.compiler.names import cut_set
from netpol.compiler.ruleset import IpSet, Member
from netpol.control.cutter import REVIEW_SHARE
from netpol.dataplane.kernel import KernelTable
from netpol.model.facts import FIREWALL_KINDS, Fact, Kind, lists
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from netpol.model.treatment import Enforcement


@pytest.fixture(name="live")
def _live() -> Live:
    return Live().started(WORLD)


# --- before everything is known


@pytest.mark.parametrize("last", FIREWALL_KINDS, ids=lambda kind: kind.value)
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


def test_a_pod_whose_every_isolation_is_under_audit_is_not_counted_as_isolated(live: Live) -> None:
    """X16. Its connections are cut once the policy is enforced."""
    live.memory.flows.open(FOUR, flow(STRANGER, WEB.addresses[0]))
    for enforcement, isolated, living in ((Enforcement.AUDIT, 0, 1), (Enforcement.ENFORCE, 1, 0)):
        live.record(known(replace(SHUT, enforcement=enforcement)))
        live.step(after_seconds=PERIOD_SECONDS)
        assert live.metric("pods_isolated", direction="ingress") == isolated
        assert len(list(live.memory.flows.read(FOUR))) == living


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


# --- what the audit log is told


def test_facts_are_told_on_once_the_kernel_holds_them() -> None:
    live = Live()
    live.bus.replace_all(lists(WORLD))
    assert live.held == []
    live.step()
    assert sorted(live.held, key=str) == sorted(listing(WORLD), key=str)


def test_a_fact_that_changes_nothing_in_the_kernel_is_told_on_too(live: Live) -> None:
    elsewhere = pod("y/far", "10.9.0.1", node="n2")
    live.held.clear()
    live.record(known(elsewhere))
    live.step()
    assert live.held == [known(elsewhere)]


def test_who_may_answer_again_is_looked_for_without_another_event(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where looking takes long it is not done at every event, and so has to come by itself."""
    look = live.memory.sets.read_members

    def look_slowly(one: IpSet) -> frozenset[Member]:
        live.clock.now += 1.0
        return look(one)

    monkeypatch.setattr(live.memory.sets, "read_members", look_slowly)
    live.memory.flows.open(FOUR, flow(STRANGER, WEB.addresses[0], Protocol.UDP, 99))
    live.record(known(WIDER))
    live.step()
    live.record(gone(SHUT), gone(WIDER))
    live.step()
    remembered = live.memory.sets.read()[cut_set(FOUR)].members
    assert remembered, "it was looked at a moment ago"
    before = live.metric("resyncs_total")
    live.step(after_seconds=1.0 / REVIEW_SHARE)
    assert live.metric("resyncs_total") == before
    assert live.memory.sets.read()[cut_set(FOUR)].members == frozenset()
