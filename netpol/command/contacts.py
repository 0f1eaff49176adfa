"""A table of who reached whom: the ports side by side, and what changed since another table marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from netpol.command.table import Look, Paint
from netpol.policy.reachability import Reachability

Reached = Mapping[str, Reachability]
"""For each port, who reached whom; all of them of the same ends."""

CHANGED = "*"
INDENT = 2
GAP = 3


def contact_table(now: Reached, before: Reached | None, look: Look) -> list[str]:
    """The lines of the table; `before` is what the cells are compared with, if anything."""
    reach = next(iter(now.values()))
    table = _Table(tuple(reach), _destinations(reach), look)
    lines: list[str] = []
    for ports in _side_by_side(list(now), table, look.width):
        lines += ["" for _ in lines[:1]] + table.header(ports)
        for namespace, names in groupby(table.sources, key=lambda name: name.partition("/")[0]):
            lines.append(look.painted(namespace, Paint.HEADING))
            for name in names:
                cells = [table.row(name, now[port], None if before is None else before[port]) for port in ports]
                lines.append(table.label(name) + (" " * GAP).join(cells).rstrip())
    return lines


def totals(now: Reached, before: Reached | None, look: Look) -> str:
    """How many pairs reached each other on each port, and how many did before."""
    words = []
    for port, reach in now.items():
        reached, asked = _count(reach)
        change = "" if before is None else f"{_count(before[port])[0]} -> "
        words.append(f"{look.painted(port, Paint.HEADING)} {change}{reached} of {asked}")
    return "pairs that reached each other: " + ", ".join(words)


def contact_legend(look: Look) -> str:
    """What the symbols mean."""
    reached = look.painted(look.symbols.allowed, Paint.ALLOWED)
    silent = look.painted(look.symbols.refused, Paint.REFUSED)
    return (
        f"{reached} reached   {silent} not reached   {CHANGED} not so before      from: rows   to: columns, by number"
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """The parts of a table with these ends."""

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    look: Look

    @property
    def digits(self) -> int:
        return len(str(len(self.destinations)))

    @property
    def label_width(self) -> int:
        return INDENT + self.digits + 1 + max(len(_own(name)) for name in self.sources) + 2

    @property
    def port_width(self) -> int:
        return len(self.destinations) * (self.digits + 1)

    def label(self, name: str) -> str:
        number = str(self.destinations.index(name) + 1) if name in self.destinations else ""
        return f"{' ' * INDENT}{number:>{self.digits}} {_own(name)}".ljust(self.label_width)

    def header(self, ports: Sequence[str]) -> list[str]:
        titles = [self.look.painted(port.ljust(self.port_width), Paint.HEADING) for port in ports]
        numbers = "".join(f"{place + 1:>{self.digits}} " for place in range(len(self.destinations)))
        left, gap = " " * self.label_width, " " * GAP
        return [(left + gap.join(titles)).rstrip(), (left + gap.join([numbers] * len(ports))).rstrip()]

    def row(self, source: str, now: Reachability, before: Reachability | None) -> str:
        cells = []
        for name in self.destinations:
            reached = now[source].get(name)
            changed = before is not None and before[source].get(name) is not reached
            cells.append(f"{' ' * (self.digits - 1)}{self._marks[reached]}{CHANGED if changed else ' '}")
        return "".join(cells)

    @property
    def _marks(self) -> dict[bool | None, str]:
        painted, symbols = self.look.painted, self.look.symbols
        return {
            True: painted(symbols.allowed, Paint.ALLOWED),
            False: painted(symbols.refused, Paint.REFUSED),
            None: painted(symbols.itself, Paint.FAINT),
        }


def _destinations(reach: Reachability) -> tuple[str, ...]:
    """Every name that some row has a column for, in the order of the rows."""
    found = {name for row in reach.values() for name in row}
    return tuple(name for name in reach if name in found)


def _side_by_side(ports: list[str], table: _Table, width: int) -> list[list[str]]:
    """The ports in groups of as many as the width holds."""
    most = max(1, (width - table.label_width + GAP) // (table.port_width + GAP))
    return [ports[start : start + most] for start in range(0, len(ports), most)]


def _own(name: str) -> str:
    return name.partition("/")[2]


def _count(reach: Reachability) -> tuple[int, int]:
    answers = [reached for row in reach.values() for reached in row.values()]
    return sum(answers), len(answers)
