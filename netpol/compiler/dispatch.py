"""The way from an isolated address to its pod's chain: a decision tree over prefixes.

Each rule decides one prefix that holds about half of the addresses still possible: it goes
to the branch of the smaller part, or falls through to the rules of the larger, which follow
in the same chain. So the n-th pod costs about log2(n) rules, and branches nest at most
log2(n) deep, whatever the addresses are: nf_tables refuses more than 15 nested chains.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from netpol.compiler import names
from netpol.compiler.ruleset import Goto, InNetwork, Rule, Side
from netpol.model.networks import Address, Family
from netpol.model.policies import Direction


def dispatch(direction: Direction, chains_by_address: Mapping[Address, str]) -> dict[str, tuple[Rule, ...]]:
    """The chains that lead each address of one family to its chain, the root included.

    A pod's packets to its own address fit no leaf and return, allowed: G9.
    """
    tree = _Tree(direction, chains_by_address)
    root = names.judging_chain(direction)
    return {root: tree.rules(sorted(map(int, chains_by_address))), **tree.branches}


class _Tree:
    """Addresses are numbers here: a tree of a hundred is made of some thousand comparisons."""

    def __init__(self, direction: Direction, chains_by_address: Mapping[Address, str]) -> None:
        self.branches: dict[str, tuple[Rule, ...]] = {}
        self._direction = direction
        self._pods = {int(address): (address, chain) for address, chain in chains_by_address.items()}
        self._bits = next((address.max_prefixlen for address in chains_by_address), 0)

    def rules(self, numbers: list[int]) -> tuple[Rule, ...]:
        """The rules that lead each of these sorted addresses to its chain; branches are added on the way."""
        if not numbers:
            return ()
        if len(numbers) == 1:
            return (self._leaf(numbers[0]),)
        inside, free = _split(numbers)
        within, without = numbers[inside], numbers[: inside.start] + numbers[inside.stop :]
        smaller, larger = (within, without) if len(within) <= len(without) else (without, within)
        if len(smaller) == 1:
            return (self._leaf(smaller[0]), *self.rules(larger))
        prefix = within[0] >> free << free, self._bits - free
        branch, name = _branch(self._direction, self._bits, prefix, negated=smaller is without)
        self.branches[name] = self.rules(smaller)
        return (branch, *self.rules(larger))

    def _leaf(self, number: int) -> Rule:
        return _leaf(self._direction, *self._pods[number])


# A tree is made anew whenever an address comes or goes, and nearly all its rules are those it had.
_MOST_RULES_KEPT = 4096


@lru_cache(_MOST_RULES_KEPT)
def _leaf(direction: Direction, address: Address, chain: str) -> Rule:
    own = ip_network(address)
    judged, other = _SIDES[direction]
    return Rule((InNetwork(judged, own), InNetwork(other, own, negated=True)), Goto(chain))


@lru_cache(_MOST_RULES_KEPT)
def _branch(direction: Direction, bits: int, prefix: tuple[int, int], *, negated: bool) -> tuple[Rule, str]:
    """The rule that decides a prefix of an address of so many bits, and the name of the chain it leads to."""
    network = IPv4Network(prefix) if bits == Family.IPV4.bits else IPv6Network(prefix)
    judged, _ = _SIDES[direction]
    name = names.branch_chain(network, direction)
    return Rule((InNetwork(judged, network, negated),), Goto(name)), name


_SIDES = {
    Direction.INGRESS: (Side.DESTINATION, Side.SOURCE),
    Direction.EGRESS: (Side.SOURCE, Side.DESTINATION),
}
"""The side of a packet whose pod is judged, and the other."""


def _split(numbers: list[int]) -> tuple[slice, int]:
    """The prefix that holds as near half of these sorted, differing addresses as any, as where in the list they are.

    Beside it, how many bits the prefix leaves free. It lies on the way down the trie into the larger child, until
    that has at most half: between a third and two thirds of the addresses are inside, whatever they are.
    """
    start, stop = 0, len(numbers)
    ways: list[tuple[slice, int]] = []
    while 2 * (stop - start) > len(numbers):
        bit = (numbers[start] ^ numbers[stop - 1]).bit_length() - 1
        middle = bisect_left(numbers, numbers[stop - 1] >> bit << bit, start, stop)
        start, stop = (start, middle) if middle - start > stop - middle else (middle, stop)
        ways.append((slice(start, stop), bit))
    return min(ways, key=lambda way: abs(2 * (way[0].stop - way[0].start) - len(numbers)))
