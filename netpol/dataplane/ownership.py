"""Whose chains and sets are whose, where several writers share a kernel."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from netpol.compiler import names
from netpol.compiler.ruleset import TableName


class Place(enum.Enum):
    """Where a writer's rules stand behind a hook, as to its neighbour's; both come before everybody else's."""

    ANY = enum.auto()
    """Before them or behind them: they are not counted."""
    BEHIND = enum.auto()
    """Right behind them, where there are any."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """What one writer takes for its own, and no other name does it read or write.

    Of two neighbours one minds its place, so that neither pushes the other from its own.
    """

    is_ours: Callable[[str], bool]
    is_neighbours: Callable[[str], bool]
    place: Place = Place.ANY
    tables: tuple[TableName, ...] = (TableName.FILTER,)


def _is_service_proxys(name: str) -> bool:
    return name.startswith(names.SERVICE_PREFIX)


FIREWALL = Ownership(names.is_ours, _is_service_proxys)
"""The firewall's; its neighbour is the service proxy, which comes behind it."""
