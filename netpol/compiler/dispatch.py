"""The way from an isolated address to its pod's chain: a binary tree over address bits.

Each rule decides one bit: it goes to the branch of the addresses with that bit clear, or
falls through to the rules of the others, which follow in the same chain. So the n-th pod
costs about log2(n) rules and a new pod changes at most two chains.
"""

from __future__ import annotations

import ipaddress
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
        split, clear = _split(addresses)
        if split == 1:
            return (self._leaf(addresses[0]), *self.rules(addresses[1:]))
        name = names.branch_chain(clear, self._direction)
        self.branches[name] = self.rules(addresses[:split])
        branch = Rule((InNetwork(self._side, clear),), Goto(name))
        return (branch, *self.rules(addresses[split:]))

    @property
    def _side(self) -> Side:
        return Side.DESTINATION if self._direction is Direction.INGRESS else Side.SOURCE

    def _leaf(self, address: Address) -> Rule:
        own = ipaddress.ip_network(address)
        other = Side.SOURCE if self._direction is Direction.INGRESS else Side.DESTINATION
        return Rule((InNetwork(self._side, own), InNetwork(other, own, negated=True)), Goto(self._chains[address]))


def _split(addresses: list[Address]) -> tuple[int, Network]:
    """How many of these sorted, differing addresses have the first bit they differ in clear, and their network."""
    first, last = int(addresses[0]), int(addresses[-1])
    bit = (first ^ last).bit_length() - 1
    prefix = addresses[0].max_prefixlen - bit
    clear = ipaddress.ip_network((addresses[0], prefix), strict=False)
    boundary = (last >> bit) << bit
    return next(i for i, address in enumerate(addresses) if int(address) >= boundary), clear
