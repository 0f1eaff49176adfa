"""The way from an isolated address to its pod's chain: a binary tree over address bits.

Each rule decides one bit: it goes to the branch of those addresses that are fewer, or
falls through to the rules of the others, which follow in the same chain. So the n-th pod
costs about log2(n) rules, and whatever the addresses, at most log2(n) branches nest: the
nft variant refuses more than 15 chains below a hook.
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
        fewer, others, network = _split(addresses)
        if len(fewer) == 1:
            return (self._leaf(fewer[0]), *self.rules(others))
        name = names.branch_chain(network, self._direction)
        self.branches[name] = self.rules(fewer)
        return (Rule((InNetwork(self._side, network),), Goto(name)), *self.rules(others))

    @property
    def _side(self) -> Side:
        return Side.DESTINATION if self._direction is Direction.INGRESS else Side.SOURCE

    def _leaf(self, address: Address) -> Rule:
        own = ipaddress.ip_network(address)
        other = Side.SOURCE if self._direction is Direction.INGRESS else Side.DESTINATION
        return Rule((InNetwork(self._side, own), InNetwork(other, own, negated=True)), Goto(self._chains[address]))


def _split(addresses: list[Address]) -> tuple[list[Address], list[Address], Network]:
    """The addresses on the two sides of the first bit they differ in, the fewer first, and the network of these.

    The addresses are sorted and at least two.
    """
    first, last = int(addresses[0]), int(addresses[-1])
    bit = (first ^ last).bit_length() - 1
    boundary = bisect_left(addresses, (last >> bit) << bit, key=int)
    fewer, others = sorted((addresses[:boundary], addresses[boundary:]), key=len)
    return fewer, others, ipaddress.ip_network((fewer[0], fewer[0].max_prefixlen - bit), strict=False)
