"""The tree over isolated addresses: every address finds its chain, in few rules and without nesting too deep."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from math import ceil, log, log2

import pytest
from builders import address
from hypothesis import given
from hypothesis import strategies as st
from refusals import MAX_NESTED_CHAINS, chains_after

from netpol.compiler.dispatch import dispatch
from netpol.compiler.names import is_ours, judging_chain
from netpol.compiler.ruleset import Goto, InNetwork, Rule, Side
from netpol.model.networks import Address
from netpol.model.policies import Direction

IN, OUT = Direction.INGRESS, Direction.EGRESS
Chains = dict[str, tuple[Rule, ...]]


def tree(addresses: Iterable[Address], direction: Direction = IN) -> Chains:
    """The tree in which each address leads to the chain called like it."""
    return dispatch(direction, {each: str(each) for each in addresses})


def walk(chains: Chains, source: Address, destination: Address, direction: Direction = IN) -> tuple[str | None, int]:
    """The chain that a packet is led to, None where it returns, and the rules it met."""
    rules, met = list(chains[judging_chain(direction)]), 0
    while rules:
        met += 1
        rule = rules.pop(0)
        if all(_matches(match, source, destination) for match in rule.matches if isinstance(match, InNetwork)):
            assert isinstance(rule.target, Goto)
            if rule.target.chain not in chains:
                return rule.target.chain, met
            rules = list(chains[rule.target.chain])
    return None, met


def _matches(match: InNetwork, source: Address, destination: Address) -> bool:
    tested = source if match.side is Side.SOURCE else destination
    return (tested in match.network) is not match.negated


def nesting(chains: Chains, name: str) -> int:
    """How many chains lie below this one, leaves excluded."""
    return max((1 + nesting(chains, each) for each in chains_after(chains[name]) if each in chains), default=0)


ELSEWHERE = address("203.0.113.9")
POWERS = [address("10.0.0.0") + (1 << bit) for bit in range(20)]
POWERS_OF_64 = [address("fd00::") + (1 << bit) for bit in range(64)]
DENSE = [address("10.0.0.0") + offset for offset in range(250)]


def test_no_address_leads_nowhere() -> None:
    assert tree([]) == {"NETPOL-INGRESS": ()}
    assert tree([], OUT) == {"NETPOL-EGRESS": ()}


def test_one_address_needs_one_rule() -> None:
    own = ipaddress.ip_network("10.0.0.1/32")
    to_pod = (InNetwork(Side.DESTINATION, own), InNetwork(Side.SOURCE, own, negated=True))
    assert tree([address("10.0.0.1")]) == {"NETPOL-INGRESS": (Rule(to_pod, Goto("10.0.0.1")),)}
    from_pod = (InNetwork(Side.SOURCE, own), InNetwork(Side.DESTINATION, own, negated=True))
    assert tree([address("10.0.0.1")], OUT) == {"NETPOL-EGRESS": (Rule(from_pod, Goto("10.0.0.1")),)}


def test_two_addresses_need_no_branch() -> None:
    rules = tree([address("10.0.0.1"), address("10.0.0.2")])
    assert {name: len(each) for name, each in rules.items()} == {"NETPOL-INGRESS": 2}


def test_a_part_that_is_no_prefix_is_branched_to_by_what_it_is_not() -> None:
    """Of five addresses three share a prefix: the other two are the smaller part."""
    chains = tree(map(address, ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.128", "10.0.0.200"]))
    first = chains["NETPOL-INGRESS"][0]
    assert first.matches == (InNetwork(Side.DESTINATION, ipaddress.ip_network("10.0.0.0/25"), negated=True),)
    assert isinstance(first.target, Goto)
    assert {rule.target for rule in chains[first.target.chain]} == {Goto("10.0.0.128"), Goto("10.0.0.200")}


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("addresses", [DENSE, POWERS, POWERS_OF_64], ids=["dense", "powers", "powers of IPv6"])
def test_every_address_finds_its_chain_and_strangers_find_none(addresses: list[Address], direction: Direction) -> None:
    chains = tree(addresses, direction)
    outside = ELSEWHERE if addresses[0].version == 4 else address("2001:db8::1")
    for each in addresses:
        ends = (outside, each) if direction is IN else (each, outside)
        assert walk(chains, *ends, direction)[0] == str(each)
        assert walk(chains, each, each, direction)[0] is None, "G9: a pod's packets to itself are not judged"
    assert walk(chains, outside, outside, direction)[0] is None


def test_the_nth_address_costs_about_log2_of_n_rules() -> None:
    chains = tree(DENSE)
    assert max(walk(chains, ELSEWHERE, each)[1] for each in DENSE) <= ceil(log2(len(DENSE))) + 1


@given(st.sets(st.integers(0, (1 << 32) - 1), min_size=1, max_size=60))
def test_the_tree_is_balanced_whatever_the_addresses(numbers: set[int]) -> None:
    """The nft variant refuses the table from the sixteenth chain below a hook on."""
    addresses = [ipaddress.IPv4Address(number) for number in numbers]
    chains = tree(addresses)
    assert nesting(chains, judging_chain(IN)) <= log2(len(addresses))
    ways = {str(each): walk(chains, ELSEWHERE, each) for each in addresses if each != ELSEWHERE}
    assert all(found == name for name, (found, _) in ways.items())
    assert all(met <= log(len(addresses), 1.5) + 1 for _, met in ways.values())


def test_powers_of_two_nest_within_what_nf_tables_takes() -> None:
    """A tree that branched by the first bit would nest as deep as there are addresses."""
    above_and_below = 4
    for addresses in (POWERS, POWERS_OF_64):
        assert nesting(tree(addresses), judging_chain(IN)) + above_and_below <= MAX_NESTED_CHAINS


def test_branches_are_ours_and_not_the_other_directions() -> None:
    branches = {direction: set(tree(DENSE, direction)) for direction in Direction}
    assert all(map(is_ours, branches[IN] | branches[OUT]))
    assert not branches[IN] & branches[OUT]
