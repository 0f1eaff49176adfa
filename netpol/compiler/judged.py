"""The pods of this node with the programs that judge them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from netpol.compiler.pod_chain import PodProgram, auditing_program, enforcing_program
from netpol.model.networks import Address, Family, family_of
from netpol.model.policies import Direction
from netpol.model.treatment import AuditLevel, Enforcement, Extent
from netpol.policy.holders import Holder
from netpol.policy.resolve import Resolver
from netpol.settings import NodeOptions


def is_local(holder: Holder, options: NodeOptions) -> bool:
    """True where the holder runs on the node and has an address of a family that is judged there."""
    return holder.pod.node == options.name and any(holder.packed[family] for family in options.families)


@dataclass(frozen=True, slots=True)
class JudgedPod:
    """A holder of this node, and a program for each direction that it is isolated for, be it under audit."""

    holder: Holder
    programs: Mapping[Direction, PodProgram]

    @classmethod
    def of(cls, holder: Holder, resolver: Resolver, options: NodeOptions) -> Self:
        """The pod as its policies and its namespace's annotations have it judged.

        What enforced policies allow all together allow too, for rules only add up (B12): of a
        direction for which a pod is isolated, policies under audit would refuse nothing more (X16).
        """
        pod, log_group = holder.pod, options.log_group
        treatment = resolver.treatment(pod, options.treatment)
        enforced = resolver.standing(pod)
        every = enforced if treatment.audit is AuditLevel.NONE else resolver.standing(pod, Extent.ALL)
        programs: dict[Direction, PodProgram] = {}
        for direction in Direction:
            if direction in enforced.isolated:
                programs[direction] = enforcing_program(pod, direction, enforced, treatment, log_group)
            elif direction in every.isolated:
                programs[direction] = auditing_program(pod, direction, every, log_group)
        return cls(holder, programs)

    def enforced_addresses(self, family: Family) -> Iterable[Address]:
        """The pod's addresses of the family where anything enforced isolates it, for whichever direction."""
        if any(program.enforcement is Enforcement.ENFORCE for program in self.programs.values()):
            return [address for address in self.holder.addresses if family_of(address) is family]
        return ()

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
