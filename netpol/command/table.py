"""Grids of who reaches whom, for people: rows are sources, numbered columns the same pods as destinations."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from netpol.command.look import Look, Paint, Symbols
from netpol.policy.reachability import Reachability

CHANGED = "*"
CHANGED_MEANS = f"{CHANGED} not so before"

_GAP = 3
_SHORTEST_NAME = 12


@dataclass(frozen=True, slots=True)
class Panel:
    """One port's answers, and the ones that they are compared with, if any.

    `spared` are pairs among those with a yes that are shown by a symbol of their own.
    """

    title: str
    now: Reachability
    before: Reachability | None = None
    spared: Set[tuple[str, str]] = frozenset()

    @property
    def cell_width(self) -> int:
        """The columns of a terminal that one answer takes: where it is compared, there is room for a mark."""
        return 1 if self.before is None else 1 + len(CHANGED)


class Outcomes(enum.Enum):
    """What a grid's answers are: the words for a yes, for a no, and for all pairs with a yes."""

    JUDGED = "allowed", "refused", "pairs that may connect"
    SUPPOSED = "allowed", "refused", "pairs that may connect once everything is enforced"
    PROBED = "reached", "not reached", "pairs that reached each other"


def grids(panels: Sequence[Panel], look: Look, visitors: Collection[str] = ()) -> list[str]:
    """A grid of all pairs for each panel, as many side by side as the width holds; all panels are of the same ends.

    `visitors` are sources that are no destinations. Where even one grid is too wide, it goes on below.
    """
    sources = [name for panel in panels[:1] for name in panel.now]
    if not sources:
        return ["there are no actionable pods"]
    destinations = [name for name in sources if name not in visitors]
    label = _Label.of(sources, destinations, look)
    blocks = [block for panel in panels for block in _blocks(panel, destinations, look.width - label.width)]
    lines: list[str] = []
    for group in _side_by_side(blocks, look.width - label.width):
        lines += ["" for _ in lines[:1]]
        lines += [f"{' ' * label.width}{line}" for line in _header(group, look)]
        for namespace, names in groupby(sources, key=_namespace_of):
            lines.append(look.painted(namespace, Paint.HEADING))
            lines += [label.text(name) + _beside(block.row(name, look) for block in group) for name in names]
    return [line.rstrip() for line in lines]


def totals(panels: Sequence[Panel], outcomes: Outcomes, look: Look) -> str:
    """How many pairs have a yes in each panel, and how many had before."""
    _, _, title = outcomes.value
    words = []
    for panel in panels:
        yes, asked = _count(panel.now)
        change = "" if panel.before is None else f"{_count(panel.before)[0]} -> "
        words.append(f"{look.painted(panel.title, Paint.HEADING)} {change}{yes} of {asked}")
    return f"{title}: {', '.join(words)}"


def legend(outcomes: Outcomes, look: Look, *others: str) -> str:
    """What the symbols mean, and what others are said to mean."""
    yes, no, _ = outcomes.value
    symbols = look.symbols
    meanings = [
        f"{look.painted(symbols.allowed, Paint.ALLOWED)} {yes}",
        f"{look.painted(symbols.refused, Paint.REFUSED)} {no}",
        f"{look.painted(symbols.itself, Paint.FAINT)} itself",
        *others,
        "from rows to columns",
    ]
    return "   ".join(meanings)


@dataclass(frozen=True, slots=True)
class _Label:
    """The left part of a row: the pod's number, and its name without the namespace, shortened where too long."""

    numbers: dict[str, int]
    digits: int
    name_width: int
    symbols: Symbols

    @classmethod
    def of(cls, sources: Sequence[str], destinations: Sequence[str], look: Look) -> _Label:
        digits = len(str(len(destinations)))
        longest = max(len(_own_name(name)) for name in sources)
        width = min(longest, max(_SHORTEST_NAME, look.width // 2 - digits - 5))
        numbers = {name: number for number, name in enumerate(destinations, 1)}
        return cls(numbers, digits, width, look.symbols)

    @property
    def width(self) -> int:
        return 2 + self.digits + 1 + self.name_width + 2

    def text(self, name: str) -> str:
        shown = self.symbols.shortened(_own_name(name), self.name_width)
        return f"  {self.numbers.get(name, ''):>{self.digits}} {shown:<{self.name_width}}  "


class _Column(NamedTuple):
    """A column of a grid: whom it is for, and the blanks between it and the one before."""

    number: int
    name: str
    gap: str


@dataclass(frozen=True, slots=True)
class _Block:
    """As many columns of a panel as stand in one grid."""

    panel: Panel
    columns: tuple[_Column, ...]

    @property
    def width(self) -> int:
        return max(len(self.panel.title), self._cells_width)

    @property
    def _cells_width(self) -> int:
        return sum(len(column.gap) + self.panel.cell_width for column in self.columns)

    def numbers(self, digits: int) -> Iterator[str]:
        """The columns' numbers, read from top to bottom."""
        blank = " " * (self.panel.cell_width - 1)
        for place in range(digits):
            yield self._line(str(column.number).rjust(digits)[place] + blank for column in self.columns)

    def row(self, source: str, look: Look) -> str:
        return self._line(self._cell(source, column.name, look) for column in self.columns)

    def _line(self, cells: Iterable[str]) -> str:
        """The cells, whose colours take no room, and blanks up to the block's width."""
        spaced = (column.gap + cell for column, cell in zip(self.columns, cells, strict=True))
        return "".join(spaced) + " " * (self.width - self._cells_width)

    def _cell(self, source: str, name: str, look: Look) -> str:
        answer, before = self.panel.now[source].get(name), self.panel.before
        if (source, name) in self.panel.spared:
            symbol = look.painted(look.symbols.spared, Paint.WOULD_REFUSE)
        else:
            symbol = {
                True: look.painted(look.symbols.allowed, Paint.ALLOWED),
                False: look.painted(look.symbols.refused, Paint.REFUSED),
                None: look.painted(look.symbols.itself, Paint.FAINT),
            }[answer]
        if before is None:
            return symbol
        return symbol + (" " if before[source].get(name) is answer else CHANGED)


def _blocks(panel: Panel, names: Sequence[str], room: int) -> list[_Block]:
    """All columns in one block where they fit, spaced or close together; else in as few as needed."""
    if panel.before is None:
        spaced = _cut(panel, names, room, " ")
        if len(spaced) == 1:
            return spaced
    return _cut(panel, names, room, "")


def _cut(panel: Panel, names: Sequence[str], room: int, spacing: str) -> list[_Block]:
    blocks: list[list[_Column]] = [[]]
    used = 0
    for index, name in enumerate(names):
        gap = spacing if index and _namespace_of(names[index - 1]) == _namespace_of(name) else f"{spacing} "
        if not blocks[-1] or used + len(gap) + panel.cell_width > room:
            gap = ""
            blocks += [[]] if blocks[-1] else []
            used = 0
        blocks[-1].append(_Column(index + 1, name, gap))
        used += len(gap) + panel.cell_width
    return [_Block(panel, tuple(columns)) for columns in blocks]


def _side_by_side(blocks: Sequence[_Block], room: int) -> list[list[_Block]]:
    """The blocks in groups of as many as the width holds."""
    groups: list[list[_Block]] = []
    used = 0
    for block in blocks:
        if not groups or used + _GAP + block.width > room:
            groups.append([])
            used = -_GAP
        groups[-1].append(block)
        used += _GAP + block.width
    return groups


def _header(group: Sequence[_Block], look: Look) -> Iterator[str]:
    yield _beside(
        look.painted(block.panel.title, Paint.HEADING) + " " * (block.width - len(block.panel.title)) for block in group
    )
    digits = max((len(str(column.number)) for block in group for column in block.columns), default=0)
    for numbers in zip(*(block.numbers(digits) for block in group), strict=True):
        yield _beside(numbers)


def _beside(parts: Iterable[str]) -> str:
    return (" " * _GAP).join(parts)


def _namespace_of(name: str) -> str:
    return name.partition("/")[0]


def _own_name(name: str) -> str:
    return name.partition("/")[2]


def _count(reach: Reachability) -> tuple[int, int]:
    answers = [answer for row in reach.values() for answer in row.values()]
    return sum(answers), len(answers)
