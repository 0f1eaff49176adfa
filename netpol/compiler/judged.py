"""The pods of this node with the programs that judge them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from netpol.compiler.pod_chain import PodProgram, pod_program
from netpol.model.networks import Address, Family, family_of
from netpol.model.policies import Direction
from netpol.policy.holders import Holder
from netpol.policy.resolve import Resolver
from netpol.settings import NodeOptions


def is_local(holder: Holder, options: NodeOptions) -> bool:
    """True where the holder runs on the node and has an address of a family that is judged there."""
    return holder.pod.node == options.name and any(holder.packed[family] for family in options.families)


@dataclass(frozen=True, slots=True)
class JudgedPod:
    """A holder of this node, and a program for each direction that it is isolated for."""

    holder: Holder
    programs: Mapping[Direction, PodProgram]

    @classmethod
    def of(cls, holder: Holder, resolver: Resolver, log_group: int) -> Self:
        """The pod as its policies and its namespace's annotation have it judged."""
        standing = resolver.standing(holder.pod)
        return cls(
            holder,
            {
                direction: pod_program(holder.pod, direction, standing, log_group)
                for direction in Direction
                if direction in standing.isolated
            },
        )

    def chains(self, direction: Direction, family: Family) -> Iterator[tuple[Address, str]]:
        """Each address of the family that is judged for the direction, with its chain."""
        program = self.programs.get(direction)
        if program is not None:
            for address in self.holder.addresses:
                if family_of(address) is family:
                    yield address, program.chain


def chains_by_address(pods: Iterable[JudgedPod], direction: Direction, family: Family) -> dict[Address, str]:
    """The chain of each isolated address of the family."""
    return {address: chain for pod in pods for address, chain in pod.chains(direction, family)}
