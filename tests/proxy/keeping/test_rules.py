"""Sets and chains as they were told to be, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from live_proxy import FAMILIES, ProxyNode
from proxy_builders import endpoint, endpoint_slice, service
from proxy_facts import put

from netpol.compiler.ruleset import TableName
from netpol.dataplane.memory.tables import MemoryTables
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import ProxySettings
from proxy.keeping.rules import ServiceRules
from proxy.names import owned_set, served_set
from proxy.services.engine import ProxyEngine

WEB = service("shop/web", "10.96.0.10")
WEB_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"))
OWNED, SERVED = owned_set(Family.IPV4), served_set(Family.IPV4)


@pytest.fixture
def node() -> ProxyNode:
    return ProxyNode()


@pytest.fixture
def engine() -> ProxyEngine:
    engine = ProxyEngine("n1", FAMILIES, ProxySettings())
    engine.apply(put(WEB, WEB_SLICE))
    return engine


@pytest.fixture
def rules(node: ProxyNode, engine: ProxyEngine) -> ServiceRules:
    writers = node.writers()
    return ServiceRules(writers.kernel, writers.nat, writers.mangle, engine)


def test_nothing_is_certain_before_the_whole_was_compared(rules: ServiceRules, engine: ProxyEngine) -> None:
    assert not rules.is_certain
    assert rules.converge(engine.sets())
    assert rules.is_certain
    assert rules.converge(engine.sets()) == ()


def test_the_sets_are_those_that_it_was_told(node: ProxyNode, rules: ServiceRules, engine: ProxyEngine) -> None:
    less = {name: replace(each, members=frozenset()) for name, each in engine.sets().items()}
    rules.converge(less)
    assert rules.sets[OWNED].members == frozenset()
    assert len(rules.change({OWNED: engine.sets()[OWNED]})) == 1
    assert rules.sets[OWNED] == engine.sets()[OWNED] == node.seen.sets.read()[OWNED]
    assert rules.sets[SERVED].members == node.seen.sets.read()[SERVED].members == frozenset()


def test_a_filter_table_that_others_spoil_each_time_is_a_refusal(
    rules: ServiceRules, engine: ProxyEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = MemoryTables.write

    def write_and_spoil(tables: MemoryTables, family: Family, lines: Sequence[str]) -> None:
        write(tables, family, lines)
        write(tables, family, ["-F NETPOL-SERVICE-ADDRESSES"])

    monkeypatch.setattr(MemoryTables, "write", write_and_spoil)
    with pytest.raises(KernelRefusal, match=r"^the filter table is written by somebody else each time: 3 looks"):
        rules.converge(engine.sets())
    assert not rules.is_certain
    monkeypatch.undo()
    assert rules.converge(engine.sets())
    assert rules.is_certain


def test_without_sets_there_is_nothing_to_change(rules: ServiceRules, engine: ProxyEngine) -> None:
    rules.converge(engine.sets())
    assert rules.change({}) == ()


def test_what_an_earlier_run_left_is_known_once_it_was_read(
    node: ProxyNode, rules: ServiceRules, engine: ProxyEngine
) -> None:
    rules.converge(engine.sets())
    writers = node.writers()
    later = ServiceRules(writers.kernel, writers.nat, writers.mangle, engine)
    assert later.sets == {}
    later.read()
    assert later.sets == engine.sets()


def test_of_the_tables_beside_filter_only_those_that_are_touched_are_written(
    node: ProxyNode, rules: ServiceRules, engine: ProxyEngine
) -> None:
    rules.converge(engine.sets())
    assert rules.write_tables({TableName.NAT}, ()) == 2
    assert node.seen.nat.read(Family.IPV4).chains.keys() == {"NETPOL-SERVICE-POSTROUTING", "NETPOL-SERVICE-KEEP"}
    assert node.seen.mangle.read(Family.IPV4).chains == {}
    assert rules.write_tables({TableName.NAT, TableName.MANGLE}, ()) == 1
    assert rules.write_tables({TableName.FILTER}, ()) == 0


def test_sets_that_nothing_asks_for_go_at_once(node: ProxyNode, rules: ServiceRules, engine: ProxyEngine) -> None:
    both = ProxyEngine("n1", tuple(Family), ProxySettings())
    writers = node.writers()
    ServiceRules(writers.kernel, writers.nat, writers.mangle, both).converge(both.sets())
    rules.converge(engine.sets())
    assert len(node.seen.sets.read()) == 2 * len(engine.sets())
    rules.sweep()
    assert node.seen.sets.read().keys() == engine.sets().keys()


def test_sets_that_others_have_changed_are_told(node: ProxyNode, rules: ServiceRules, engine: ProxyEngine) -> None:
    rules.converge(engine.sets())
    assert rules.estranged() == frozenset()
    node.seen.sets.remove(engine.sets()[OWNED], engine.sets()[OWNED].members)
    assert rules.estranged() == {OWNED}
