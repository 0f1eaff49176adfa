"""The way from an isolated address to its pod's chain: a decision tree over prefixes.

Each rule decides one prefix that holds about half of the addresses still possible: it goes
to the branch of the smaller part, or falls through to the rules of the larger, which follow
in the same chain. So the n-th pod costs about log2(n) rules, and branches nest at most
log2(n) deep, whatever the addresses are: nf_tables refuses more than 15 nested chains.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left
from collections.abc import Mapping

from netpol.compiler import names
from netpol.compiler.ruleset import Goto, InNetwork, Rule, Side
from netpol.model.networks import Address, Network
from netpol.model.policies import Direction


def dispatch(direction: Direction, chains_by_address: Mapping[Address, str]) -> dict[str, tuple[Rule, ...]]:
    """The chains that lead each address of one family to its chain, the root included.

    A pod's packets to its own address fit no leaf and return, allowed: G9.
    """
    tree = _Tree(direction, chains_by_address)
    root = names.judging_chain(direction)
    return {root: tree.rules(sorted(chains_by_address)), **tree.branches}


class _Tree:
    def __init__(self, direction: Direction, chains_by_address: Mapping[Address, str]) -> None:
        self.branches: dict[str, tuple[Rule, ...]] = {}
        self._direction = direction
        self._chains = chains_by_address

    def rules(self, addresses: list[Address]) -> tuple[Rule, ...]:
        """The rules that lead each of these sorted addresses to its chain; branches are added on the way."""
        if not addresses:
            return ()
        if len(addresses) == 1:
            return (self._leaf(addresses[0]),)
        inside, prefix = _split(addresses)
        within, without = addresses[inside], addresses[: inside.start] + addresses[inside.stop :]
        smaller, larger = (within, without) if len(within) <= len(without) else (without, within)
        if len(smaller) == 1:
            return (self._leaf(smaller[0]), *self.rules(larger))
        name = names.branch_chain(prefix, self._direction)
        self.branches[name] = self.rules(smaller)
        branch = Rule((InNetwork(self._side, prefix, negated=smaller is without),), Goto(name))
        return (branch, *self.rules(larger))

    @property
    def _side(self) -> Side:
        return Side.DESTINATION if self._direction is Direction.INGRESS else Side.SOURCE

    def _leaf(self, address: Address) -> Rule:
        own = ipaddress.ip_network(address)
        other = Side.SOURCE if self._direction is Direction.INGRESS else Side.DESTINATION
        return Rule((InNetwork(self._side, own), InNetwork(other, own, negated=True)), Goto(self._chains[address]))


def _split(addresses: list[Address]) -> tuple[slice, Network]:
    """The prefix that holds as near half of these sorted, differing addresses as any, and where in the list they are.

    It lies on the way down the trie into the larger child, until that has at most half: between a third and two
    thirds of the addresses are inside, whatever they are.
    """
    start, stop = 0, len(addresses)
    ways: list[tuple[slice, Network]] = []
    while 2 * (stop - start) > len(addresses):
        bit = (int(addresses[start]) ^ int(addresses[stop - 1])).bit_length() - 1
        middle = bisect_left(addresses, int(addresses[stop - 1]) >> bit << bit, start, stop, key=int)
        start, stop = (start, middle) if middle - start > stop - middle else (middle, stop)
        prefix = ipaddress.ip_network((addresses[start], addresses[start].max_prefixlen - bit), strict=False)
        ways.append((slice(start, stop), prefix))
    return min(ways, key=lambda way: abs(2 * (way[0].stop - way[0].start) - len(addresses)))
