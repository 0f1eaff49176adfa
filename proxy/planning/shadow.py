"""The virtual servers that are there, kept up by the steps that were carried out instead of by reading them again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from proxy.model import (
    AddDestination,
    AddServer,
    Destination,
    EditDestination,
    EditServer,
    HeldDestination,
    HeldServer,
    RemoveDestination,
    RemoveServer,
    Scheduling,
    ServerKey,
    ServerStep,
)


class ServerShadow:
    """Equal to what would be read, as long as nobody else writes; what servers carry is as of the read."""

    def __init__(self, held: Mapping[ServerKey, HeldServer] | None = None) -> None:
        self._held = dict(held or {})

    @property
    def servers(self) -> Mapping[ServerKey, HeldServer]:
        """The servers by key, as of now and later."""
        return self._held

    def part(self, keys: Iterable[ServerKey]) -> dict[ServerKey, HeldServer]:
        """Those of these servers that are there."""
        return {key: self._held[key] for key in keys if key in self._held}

    def found(self, keys: Iterable[ServerKey], held: Mapping[ServerKey, HeldServer]) -> None:
        """Of these servers exactly those of `held` are there, as read a moment ago."""
        for key in keys:
            self._held.pop(key, None)
        self._held.update(held)

    def follow(self, steps: Iterable[ServerStep]) -> None:
        """These steps were carried out."""
        for step in steps:
            match step:
                case AddServer(key, scheduling) | EditServer(key, scheduling):
                    self._schedule(key, scheduling)
                case RemoveServer(key):
                    self._held.pop(key, None)
                case AddDestination(key, destination, weight, forwarding) | EditDestination(
                    key, destination, weight, forwarding
                ):
                    self._put(key, destination, HeldDestination(weight, forwarding))
                case RemoveDestination(key, destination):
                    self._put(key, destination, None)

    def _schedule(self, key: ServerKey, scheduling: Scheduling) -> None:
        known = self._held.get(key)
        self._held[key] = HeldServer(key, scheduling) if known is None else replace(known, scheduling=scheduling)

    def _put(self, key: ServerKey, destination: Destination, held: HeldDestination | None) -> None:
        known = self._held[key]
        others = {each: found for each, found in known.destinations.items() if each != destination}
        self._held[key] = replace(known, destinations=others if held is None else {**others, destination: held})
