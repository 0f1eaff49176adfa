"""What keeping services in the kernel has changed, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from netpol.dataplane import outcome
from netpol.dataplane.steps import Step
from proxy.model import (
    AddDestination,
    AddServer,
    EditDestination,
    EditServer,
    RemoveDestination,
    RemoveServer,
    ServerStep,
)

_WORDS: Mapping[type[ServerStep], str] = {
    AddServer: "servers added",
    EditServer: "servers changed",
    RemoveServer: "servers removed",
    AddDestination: "endpoints added",
    EditDestination: "endpoints weighted anew",
    RemoveDestination: "endpoints removed",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was changed: steps of sets and of the filter table, steps of IPVS, and what stands beside.

    `chains` are those of the other tables, `bound` and `unbound` the addresses that came to the link and left it.
    `links` is 1 where the link itself was not as it should be, and `routes` are what brings marks to IPVS.
    """

    rules: tuple[Step, ...] = ()
    servers: tuple[ServerStep, ...] = ()
    chains: int = 0
    bound: int = 0
    unbound: int = 0
    links: int = 0
    routes: int = 0
    settings: int = 0
    flows_forgotten: int = 0

    @property
    def steps(self) -> int:
        """How much that is; flows are forgotten because of it."""
        beside = self.chains + self.bound + self.unbound + self.links + self.routes + self.settings
        return len(self.rules) + len(self.servers) + beside

    def __add__(self, later: Outcome) -> Outcome:
        return Outcome(
            self.rules + later.rules,
            self.servers + later.servers,
            self.chains + later.chains,
            self.bound + later.bound,
            self.unbound + later.unbound,
            self.links + later.links,
            self.routes + later.routes,
            self.settings + later.settings,
            self.flows_forgotten + later.flows_forgotten,
        )

    def __str__(self) -> str:
        """
        >>> str(Outcome()), str(Outcome(bound=1, flows_forgotten=2))
        ('nothing to change', '1 addresses bound, 2 connections forgotten')
        """
        counts = dict(Counter(_WORDS[type(step)] for step in self.servers)) | {
            "chains of nat and mangle written": self.chains,
            "addresses bound": self.bound,
            "addresses unbound": self.unbound,
            "links set up": self.links,
            "rules and routes of marks changed": self.routes,
            "kernel settings mended": self.settings,
            "connections forgotten": self.flows_forgotten,
        }
        words = [f"{number} {what}" for what, number in counts.items() if number]
        if self.rules:
            words.append(str(outcome.Outcome(self.rules)))
        return ", ".join(words) or "nothing to change"
