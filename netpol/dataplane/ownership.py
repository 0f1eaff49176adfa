"""Whose chains and sets are whose, where several writers share a kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netpol.compiler import names


@dataclass(frozen=True, slots=True)
class Ownership:
    """What one writer takes for its own, and no other name does it read or write.

    A neighbour's rules may stand before ours behind a hook, and ours before its: neither pushes
    the other from its place.
    """

    is_ours: Callable[[str], bool]
    is_neighbours: Callable[[str], bool]


def _is_service_proxys(name: str) -> bool:
    return name.startswith(names.SERVICE_PREFIX)


FIREWALL = Ownership(names.is_ours, _is_service_proxys)
"""The firewall's, whose neighbour is the service proxy."""
