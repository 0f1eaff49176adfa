"""Two owners of chains and sets in one kernel: each has its own, and neither pushes the other from its place."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from netpol.compiler import names
from netpol.compiler.ruleset import Hook, IpSet, Jump, Rule, SetType, Table, TableName
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables, tool_name
from netpol.dataplane.kernel import HookRule, Sets, Tables
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.ownership import FIREWALL
from netpol.dataplane.table_keeper import TableKeeper
from netpol.model.networks import Family
from netpol.settings import Variant
from proxy.names import hook_chain, owned_set
from proxy.ownership import SERVICE_PROXY

INPUT = Hook.INPUT
"""Every table has it."""
OURS, PROXYS = names.hook_chain(INPUT), hook_chain(INPUT)


@dataclass(frozen=True, slots=True)
class Shared:
    """A table of one family and the sets, as each owner has them; and all rules of its INPUT."""

    family: Family
    firewall: Tables
    proxy: Tables
    firewall_sets: Sets
    proxy_sets: Sets
    append: Callable[[str], None]
    rules: Callable[[], Sequence[str]]

    def converge(self, tables: Tables, chain: str) -> int:
        """The owner's chain is there, and the first of those that the hook leads to."""
        wanted = Table({INPUT: Rule((), Jump(chain))}, {chain: ()})
        return TableKeeper(tables).converge({self.family: wanted})


WRITERS = ["memory", *(pytest.param(variant, marks=pytest.mark.kernel, id=variant.value) for variant in Variant)]


@pytest.fixture(params=Family, ids=lambda family: f"IPv{family.value}")
def family(request: pytest.FixtureRequest) -> Family:
    assert isinstance(request.param, Family)
    return request.param


@pytest.fixture(params=TableName, ids=lambda name: name.value)
def name(request: pytest.FixtureRequest) -> TableName:
    assert isinstance(request.param, TableName)
    return request.param


@pytest.fixture(params=WRITERS)
def shared(request: pytest.FixtureRequest, family: Family, name: TableName) -> Iterator[Shared]:
    if request.param == "memory":
        memory = MemoryKernel()
        theirs = memory.seen_by(SERVICE_PROXY)
        ours, proxys = ({"filter": k.tables, "nat": k.nat, "mangle": k.mangle}[name.value] for k in (memory, theirs))
        yield Shared(
            *(family, ours, proxys, memory.sets, theirs.sets),
            append=lambda rule: ours.plant(family, INPUT.value, rule),
            rules=lambda: ours.rules(family, INPUT.value),
        )
        return
    request.getfixturevalue("private_network")
    variant, table = request.param, name.value
    tool = tool_name(variant, family, "save").removesuffix("-save")

    def rules() -> list[str]:
        saved = subprocess.run((f"{tool}-save", "-t", table), capture_output=True, text=True, check=True).stdout
        head = f"-A {INPUT.value} "
        return [line.removeprefix(head) for line in saved.split("\n") if line.startswith(head)]

    def append(rule: str) -> None:
        subprocess.run((tool, "-t", table, "-A", INPUT.value, *rule.split()), check=True)

    with NetlinkSets() as sets, NetlinkSets(ownership=SERVICE_PROXY) as proxy_sets:
        yield Shared(
            family,
            IptablesTables(variant, table=name),
            IptablesTables(variant, table=name, ownership=SERVICE_PROXY),
            sets,
            proxy_sets,
            append,
            rules,
        )


@pytest.mark.parametrize("is_firewall_first", [True, False])
def test_the_firewall_comes_first_whoever_comes_later(shared: Shared, is_firewall_first: bool) -> None:
    """What the proxy lets in to endpoints that are the node's own would else be judged by nobody (X5)."""
    order = [(shared.firewall, OURS), (shared.proxy, PROXYS)]
    for tables, chain in order if is_firewall_first else reversed(order):
        assert shared.converge(tables, chain) == 1
    assert list(shared.rules()) == [f"-j {OURS}", f"-j {PROXYS}"]
    assert shared.converge(shared.firewall, OURS) == 0
    assert shared.converge(shared.proxy, PROXYS) == 0
    assert list(shared.rules()) == [f"-j {OURS}", f"-j {PROXYS}"]


def test_the_proxy_goes_behind_a_firewall_that_others_have_moved(shared: Shared) -> None:
    shared.converge(shared.firewall, OURS)
    shared.converge(shared.proxy, PROXYS)
    shared.firewall.write(shared.family, [f"-D INPUT -j {OURS}", f"-A INPUT -j {OURS}"])
    shared.append("-p tcp -j ACCEPT")
    assert list(shared.rules()) == [f"-j {PROXYS}", f"-j {OURS}", "-p tcp -j ACCEPT"]
    shared.converge(shared.proxy, PROXYS)
    assert list(shared.rules()) == [f"-j {OURS}", f"-j {PROXYS}", "-p tcp -j ACCEPT"]


def test_both_come_before_what_others_have_put_first(shared: Shared) -> None:
    shared.append("-p tcp -j ACCEPT")
    for _ in range(2):
        shared.converge(shared.firewall, OURS)
        shared.converge(shared.proxy, PROXYS)
    assert list(shared.rules()) == [f"-j {OURS}", f"-j {PROXYS}", "-p tcp -j ACCEPT"]
    TableKeeper(shared.proxy).clear()
    shared.append(f"-j {OURS}")
    shared.converge(shared.firewall, OURS)
    assert list(shared.rules()) == [f"-j {OURS}", "-p tcp -j ACCEPT"]


def test_each_reads_its_own_chains_and_its_own_place(shared: Shared) -> None:
    shared.converge(shared.firewall, OURS)
    shared.converge(shared.proxy, PROXYS)
    for tables, chain in ((shared.firewall, OURS), (shared.proxy, PROXYS)):
        found = tables.read(shared.family)
        assert found.chains == {chain: ()}
        assert found.hooks[INPUT] == (HookRule(1, f"-j {chain}"),)
        assert found.strays == {}


def test_clearing_one_leaves_the_other(shared: Shared) -> None:
    shared.converge(shared.firewall, OURS)
    shared.converge(shared.proxy, PROXYS)
    cleared = TableKeeper(shared.firewall).clear()
    assert (cleared.chains, cleared.left) == (1, ())
    assert list(shared.rules()) == [f"-j {PROXYS}"]
    assert TableKeeper(shared.proxy).clear().chains == 1
    assert list(shared.rules()) == []


def test_each_reads_its_own_sets_and_both_the_one_they_share(shared: Shared) -> None:
    kind, family = SetType.ADDRESS_PORTS, shared.family
    services, owned, isolated = (
        IpSet(names.services_set(family), kind, family),
        IpSet(owned_set(family), kind, family, has_comments=True),
        IpSet(names.enforced_set(family), SetType.ADDRESSES, family),
    )
    shared.firewall_sets.create([services, isolated])
    shared.proxy_sets.create([owned])
    assert shared.firewall_sets.read() == {each.name: each for each in (services, isolated)}
    assert shared.proxy_sets.read() == {each.name: each for each in (services, owned)}
    assert set(shared.firewall_sets.survey()) == {services.name, isolated.name}
    assert set(shared.proxy_sets.survey()) == {services.name, owned.name}


def test_the_firewall_knows_the_proxys_names_by_their_beginning() -> None:
    own = [*map(hook_chain, Hook), *map(owned_set, Family)]
    assert all(FIREWALL.is_neighbours(each) and not FIREWALL.is_ours(each) for each in own)
    for each in (*names.BASE_CHAINS, *map(names.services_set, Family), "NETPOL-mine", "KUBE-SERVICES"):
        assert not FIREWALL.is_neighbours(each)
