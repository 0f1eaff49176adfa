"""Taking everything of ours away, from kernels in whatever state."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from between import FAMILIES, programmed
from builders import namespace, node, pod, pods, policy, rule

from netpol.compiler import names
from netpol.compiler.compile import compile_ruleset
from netpol.compiler.ruleset import Hook, IpSet, Ruleset, SetType
from netpol.dataplane.clearing import Cleared, clear, clear_tables
from netpol.dataplane.kernel import KernelTable
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.ownership import Ownership
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions

FOUR = Family.IPV4
RULESET: Ruleset = compile_ruleset(
    Snapshot.of(
        [namespace("x")],
        [pod("x/a", "10.0.0.2", "fd00::2", node="n1"), pod("x/b", "10.0.0.3", node="n1")],
        [node("n1", pod_cidrs=["10.0.0.0/24"])],
        [policy("x/p", ingress=[rule([pods()], ["80/TCP"])])],
    ),
    NodeOptions("n1"),
)
CHAINS = sum(len(table.chains) for table in RULESET.tables.values())
JUMP = "-j NETPOL-FORWARD"


def held() -> MemoryKernel:
    """A kernel that holds the ruleset, and rules and a set of others."""
    memory, _ = programmed(RULESET)
    memory.tables.plant(FOUR, "FORWARD", "-j ACCEPT")
    memory.tables.plant(FOUR, "DOCKER-USER", "-j RETURN")
    memory.sets.create([IpSet("somebody-elses", SetType.ADDRESSES, FOUR)])
    return memory


def test_all_of_ours_goes_and_nothing_else() -> None:
    memory = held()
    cleared = clear([memory.tables], memory.sets, FAMILIES)
    assert cleared == Cleared(CHAINS, len(RULESET.sets))
    assert str(cleared) == f"{CHAINS} chains and {len(RULESET.sets)} sets removed"
    untouched = MemoryKernel()
    untouched.tables.plant(FOUR, "FORWARD", "-j ACCEPT")
    untouched.tables.plant(FOUR, "DOCKER-USER", "-j RETURN")
    assert [memory.tables.save(family) for family in FAMILIES] == [untouched.tables.save(family) for family in FAMILIES]
    assert memory.sets.find("somebody-elses") is not None
    assert memory.sets.read() == {}


def test_where_nothing_is_there_nothing_is_done() -> None:
    memory = MemoryKernel()
    cleared = clear([memory.tables], memory.sets, FAMILIES)
    assert str(cleared) == "nothing of ours was there"
    assert memory.journal.operations == []


def test_a_chain_that_rules_of_others_lead_to_stays_empty_and_is_named() -> None:
    memory = held()
    memory.tables.plant(FOUR, "DOCKER-USER", JUMP)
    cleared = clear([memory.tables], memory.sets, FAMILIES)
    assert (cleared.chains, cleared.sets) == (CHAINS - 1, len(RULESET.sets))
    assert cleared.left == (
        "chain NETPOL-FORWARD of IPv4 cannot be removed: rule 2 of chain DOCKER-USER leads to it (-j NETPOL-FORWARD)",
    )
    assert memory.tables.read(FOUR).chains == {"NETPOL-FORWARD": ()}
    assert memory.tables.rules(FOUR, "DOCKER-USER") == ("-j RETURN", JUMP)


def test_every_rule_of_others_that_holds_a_chain_is_named_beside_that_chain() -> None:
    memory = held()
    conditional = '-s 10.0.0.0/8 -m comment --comment "not -j NETPOL-EGRESS" -g NETPOL-INPUT'
    memory.tables.plant(FOUR, "DOCKER-USER", JUMP, conditional)
    memory.tables.plant(FOUR, "CNI-FORWARD", JUMP)
    cleared = clear_tables(memory.tables, [FOUR])
    forward, entry = cleared.left
    assert forward == (
        "chain NETPOL-FORWARD of IPv4 cannot be removed: rule 2 of chain DOCKER-USER leads to it (-j NETPOL-FORWARD);"
        " rule 1 of chain CNI-FORWARD leads to it (-j NETPOL-FORWARD)"
    )
    assert entry == (
        f"chain NETPOL-INPUT of IPv4 cannot be removed: rule 3 of chain DOCKER-USER leads to it ({conditional})"
    )


def test_a_chain_that_stays_for_another_reason_is_told_with_it() -> None:
    memory = held()

    class Stubborn:
        """Tables in which one chain cannot be removed."""

        read = memory.tables.read

        def write(self, family: Family, lines: Sequence[str]) -> None:
            if "-X NETPOL-INPUT" in lines:
                raise KernelRefusal("iptables-restore: line 2 failed")
            memory.tables.write(family, lines)

    assert clear_tables(Stubborn(), [FOUR]).left == (
        "chain NETPOL-INPUT of IPv4 cannot be removed: iptables-restore: line 2 failed",
    )


def test_a_set_that_a_rule_of_others_matches_stays_and_is_named() -> None:
    memory = held()
    name = next(name for name, each in RULESET.sets.items() if each.type is SetType.ADDRESSES)
    memory.tables.plant(FOUR, "DOCKER-USER", f"-m set --match-set {name} src -j DROP")
    cleared = clear([memory.tables], memory.sets, FAMILIES)
    assert (cleared.chains, cleared.sets) == (CHAINS, len(RULESET.sets) - 1)
    (left,) = cleared.left
    assert name in left
    assert set(memory.sets.read()) == {name}


SERVICES = names.services_set(FOUR)
PROXY = Ownership(
    lambda name: name.startswith(names.SERVICE_PREFIX) or name == SERVICES, lambda name: name == "NETPOL-INPUT"
)


def beside_the_proxy() -> tuple[MemoryKernel, MemoryKernel]:
    """A kernel that holds the ruleset and the service proxy's rules, as each of both has it."""
    memory = held()
    proxy = memory.seen_by(PROXY)
    proxy.sets.create([IpSet("NETPOL-SERVICE-OWNED-4", SetType.ADDRESS_PORTS, FOUR)])
    chain, rule = "NETPOL-SERVICE-INPUT", f"-m set --match-set {SERVICES} dst,dst -j RETURN"
    proxy.tables.write(FOUR, [f":{chain} - [0:0]", f"-A {chain} {rule}", f"-I INPUT 1 -j {chain}"])
    return memory, proxy


def test_a_set_that_another_owner_uses_is_left_to_it_without_a_word() -> None:
    memory, proxy = beside_the_proxy()
    assert clear([memory.tables], memory.sets, FAMILIES) == Cleared(CHAINS, len(RULESET.sets) - 1)
    assert set(proxy.sets.read()) == {SERVICES, "NETPOL-SERVICE-OWNED-4"}
    assert clear([proxy.tables], proxy.sets, FAMILIES) == Cleared(1, 2)
    assert memory.sets.find(SERVICES) is None


def test_whichever_owner_is_cleared_first_the_other_is_whole() -> None:
    memory, proxy = beside_the_proxy()
    before = memory.tables.read(FOUR), memory.sets.read()
    assert clear([proxy.tables, proxy.nat], proxy.sets, FAMILIES) == Cleared(1, 1)
    assert (memory.tables.read(FOUR), memory.sets.read()) == before
    assert clear([memory.tables], memory.sets, FAMILIES) == Cleared(CHAINS, len(RULESET.sets))


def test_a_shared_set_that_cannot_go_for_another_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, _ = beside_the_proxy()

    def refuse(name: str) -> bool:
        raise KernelRefusal(f"ipset {name} cannot be destroyed: it takes root")

    monkeypatch.setattr(memory.sets, "destroy_unused", refuse)
    cleared = clear([memory.tables], memory.sets, FAMILIES)
    assert cleared.left == (f"ipset {SERVICES} cannot be destroyed: it takes root",)


def test_hooks_moved_and_doubled_by_others_go_too() -> None:
    memory = held()
    (again,) = memory.tables.read(FOUR).hooks[Hook.FORWARD]
    memory.tables.plant(FOUR, "FORWARD", again.text)
    memory.tables.plant(FOUR, "INPUT", "-s 10.0.0.0/8 -j NETPOL-INPUT")
    assert clear([memory.tables], memory.sets, FAMILIES).left == ()
    assert memory.tables.rules(FOUR, "FORWARD") == ("-j ACCEPT",)
    assert memory.tables.rules(FOUR, "INPUT") == ()


def test_half_a_ruleset_goes_as_well() -> None:
    """What an interrupted run of another version may have left."""
    memory = MemoryKernel()
    memory.tables.plant(FOUR, "NETPOL-FORWARD", "-j NETPOL-EGRESS")
    memory.tables.plant(FOUR, "NETPOL-EGRESS", "-m set --match-set NETPOL-ISO-EG-4 src -j DROP")
    memory.sets.create([IpSet("NETPOL-ISO-EG-4", SetType.ADDRESSES, FOUR)])
    assert clear([memory.tables], memory.sets, FAMILIES) == Cleared(2, 1)


def test_every_variant_is_cleared_before_the_sets_that_their_rules_match() -> None:
    memory = held()
    cleared = clear([programmed(RULESET)[0].tables, memory.tables], memory.sets, FAMILIES)
    assert cleared == Cleared(2 * CHAINS, len(RULESET.sets))


class Unreadable:
    """Tables whose tool is missing."""

    def read(self, family: Family) -> KernelTable:
        raise KernelRefusal(f"no tool for IPv{family.value}")

    def write(self, family: Family, lines: Sequence[str]) -> None:
        raise AssertionError(f"nothing was read, but {lines} are written for {family}")


def test_what_cannot_be_read_is_told_and_the_rest_goes() -> None:
    memory = held()
    cleared = clear([Unreadable(), memory.tables], memory.sets, FAMILIES)
    assert cleared == Cleared(CHAINS, len(RULESET.sets), left=("no tool for IPv4", "no tool for IPv6"))


def test_sets_that_cannot_be_read_are_told() -> None:
    memory = held()

    class NoSets:
        """A kernel without ip_set."""

        create, add, remove, destroy = memory.sets.create, memory.sets.add, memory.sets.remove, memory.sets.destroy
        read_members, destroy_unused, survey = memory.sets.read_members, memory.sets.destroy_unused, memory.sets.survey

        def read(self) -> dict[str, IpSet]:
            raise KernelRefusal("the kernel has no ip_set")

    assert clear([memory.tables], NoSets(), FAMILIES) == Cleared(CHAINS, left=("the kernel has no ip_set",))


def test_a_table_that_takes_no_write_at_all_is_told() -> None:
    memory = held()
    before = memory.tables.read(FOUR)

    class ReadOnly:
        """A table that somebody else has locked."""

        read = memory.tables.read

        def write(self, family: Family, lines: Sequence[str]) -> None:
            raise KernelRefusal(f"IPv{family.value}: {len(lines)} lines refused: another app holds the xtables lock")

    cleared = clear_tables(ReadOnly(), [FOUR])
    assert cleared.chains == 0
    (left,) = cleared.left
    assert "lock" in left
    assert memory.tables.read(FOUR) == before


def test_only_the_families_that_are_asked_for_are_cleared() -> None:
    memory = held()
    assert clear_tables(memory.tables, [FOUR]).chains == len(RULESET.tables[FOUR].chains)
    assert memory.tables.read(Family.IPV6).chains
