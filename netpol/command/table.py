"""A reachability grid for people: rows are sources, numbered columns the same pods as destinations."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, TextIO

from netpol.policy.reachability import Reachability


class Symbols(NamedTuple):
    """One character for each thing a cell, or a shortened name, can say."""

    allowed: str
    refused: str
    itself: str
    ellipsis: str


UNICODE = Symbols("✓", "✗", "·", "…")
ASCII = Symbols("+", "x", ".", "~")


class Paint(enum.Enum):
    """What a cell or a heading looks like on a terminal; the values are SGR parameters."""

    HEADING = "1"
    FAINT = "2"
    REFUSED = "31"
    ALLOWED = "32"


@dataclass(frozen=True, slots=True)
class Look:
    """What the place that a table is printed to can show."""

    symbols: Symbols = UNICODE
    coloured: bool = False
    width: int = 80

    def painted(self, text: str, paint: Paint) -> str:
        """The text in its colour, where there are colours."""
        return f"\x1b[{paint.value}m{text}\x1b[0m" if self.coloured else text


def look_of(stream: TextIO, environment: Mapping[str, str], width: int) -> Look:
    """How to print to `stream`: colours on a terminal unless NO_COLOR (no-color.org) or TERM=dumb, ASCII if need be."""
    try:
        "".join(UNICODE).encode(stream.encoding or "ascii")
        symbols = UNICODE
    except UnicodeEncodeError:
        symbols = ASCII
    coloured = stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    return Look(symbols, coloured, width)


def grid(title: str, reach: Reachability, look: Look) -> list[str]:
    """The lines of a grid of all pairs, as many side by side as the width holds, and what it comes to."""
    names = list(reach)
    if not names:
        return [f"{look.painted(title, Paint.HEADING)}: there are no actionable pods"]
    label = _Label.of(names, look)
    lines = [f"{look.painted(title, Paint.HEADING)}: {_summary(reach)}"]
    for block in _blocks(names, look.width - label.width):
        lines += ["", *_header(block, label), *_rows(names, block, reach, label, look)]
    return lines


def legend(look: Look) -> str:
    """What the symbols mean."""
    allowed = look.painted(look.symbols.allowed, Paint.ALLOWED)
    refused = look.painted(look.symbols.refused, Paint.REFUSED)
    itself = look.painted(look.symbols.itself, Paint.FAINT)
    return (
        f"{allowed} allowed   {refused} refused   {itself} itself      from: rows   to: columns, by the rows' numbers"
    )


def _summary(reach: Reachability) -> str:
    answers = [allowed for row in reach.values() for allowed in row.values()]
    allowed = sum(answers)
    pods = "1 pod" if len(reach) == 1 else f"{len(reach)} pods"
    return f"{allowed} of {len(answers)} pairs of {pods} allowed, {len(answers) - allowed} refused"


class _Column(NamedTuple):
    """A column of a grid: the row of the pod it is for, and the blanks between it and the one before."""

    row: int
    gap: str


@dataclass(frozen=True, slots=True)
class _Label:
    """The left part of a row: the pod's number, and its name without the namespace, shortened where too long."""

    digits: int
    name_width: int
    ellipsis: str

    @classmethod
    def of(cls, names: Sequence[str], look: Look) -> _Label:
        digits = len(str(len(names)))
        longest = max(len(_pod_of(name)) for name in names)
        return cls(digits, min(longest, max(12, look.width // 2 - digits - 5)), look.symbols.ellipsis)

    @property
    def width(self) -> int:
        return 2 + self.digits + 1 + self.name_width + 2

    def text(self, index: int, name: str) -> str:
        return f"  {index + 1:>{self.digits}} {self._shortened(_pod_of(name)):<{self.name_width}}  "

    def _shortened(self, name: str) -> str:
        """Both ends of the name: a workload's name is in front, what tells its pods apart behind."""
        if len(name) <= self.name_width:
            return name
        tail = (self.name_width - 1) // 2
        return f"{name[: self.name_width - 1 - tail]}{self.ellipsis}{name[-tail:]}"


def _blocks(names: Sequence[str], room: int) -> list[list[_Column]]:
    """All columns in one block where they fit, spaced or close together; else in as few as needed."""
    spaced = _filled(names, room, " ")
    return spaced if len(spaced) == 1 else _filled(names, room, "")


def _filled(names: Sequence[str], room: int, spacing: str) -> list[list[_Column]]:
    blocks: list[list[_Column]] = []
    used = 0
    for index, name in enumerate(names):
        gap = spacing if index and _namespace_of(names[index - 1]) == _namespace_of(name) else f"{spacing} "
        if not blocks or used + len(gap) + 1 > room:
            gap = ""
            blocks.append([])
            used = 0
        blocks[-1].append(_Column(index, gap))
        used += len(gap) + 1
    return blocks


def _header(block: Sequence[_Column], label: _Label) -> list[str]:
    """The columns' numbers, read from top to bottom."""
    numbers = [f"{column.row + 1:>{label.digits}}" for column in block]
    return [
        " " * label.width
        + "".join(f"{column.gap}{number[line]}" for column, number in zip(block, numbers, strict=True))
        for line in range(label.digits)
    ]


def _rows(names: Sequence[str], block: Sequence[_Column], reach: Reachability, label: _Label, look: Look) -> list[str]:
    symbols = {
        True: look.painted(look.symbols.allowed, Paint.ALLOWED),
        False: look.painted(look.symbols.refused, Paint.REFUSED),
        None: look.painted(look.symbols.itself, Paint.FAINT),
    }
    lines = []
    for namespace, members in groupby(enumerate(names), key=lambda member: _namespace_of(member[1])):
        lines.append(look.painted(namespace, Paint.HEADING))
        for index, name in members:
            cells = "".join(f"{column.gap}{symbols[reach[name].get(names[column.row])]}" for column in block)
            lines.append(label.text(index, name) + cells)
    return lines


def _namespace_of(name: str) -> str:
    return name.partition("/")[0]


def _pod_of(name: str) -> str:
    return name.partition("/")[2]
