"""Rows of text in columns, each with a remark that goes below where there is no room beside it."""

from __future__ import annotations

import enum
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from netpol.command.look import ASCII, Look, Paint

UNBOUNDED = 1 << 31
"""The width of what is no terminal: nothing is shortened there, and every row is a line."""

_GAP = "  "
_INDENT = "    "
_SHORTEST_NAME = 8
_SHORTEST_REMARK = 20


class Fit(enum.Enum):
    """How a cell is put into its column."""

    LEFT = "left"
    RIGHT = "right"
    SHORTENED = "shortened"
    """To the left, and where there is too little room without its middle; the remark then has it whole."""


class Column(NamedTuple):
    """The heading of a column, and how its cells fit in."""

    heading: str
    fit: Fit = Fit.LEFT


class Cell(NamedTuple):
    """The text of a cell, and its colour if it has one."""

    text: str
    paint: Paint | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A cell for each column, and what is to be said beside them."""

    cells: tuple[Cell, ...]
    remark: str = ""


class Aligned:
    """Columns under one heading that are as wide as what was shown so far asks for, and as narrow as the look."""

    def __init__(self, columns: Sequence[Column], remark: str, look: Look) -> None:
        self._columns = tuple(columns)
        self._heading = Row(tuple(Cell(column.heading, Paint.HEADING) for column in columns), remark)
        self._look = look
        self._widest = [0 for _ in columns]

    def lines(self, rows: Sequence[Row]) -> list[str]:
        """The rows, and the headings above the first of all."""
        if not any(self._widest) and rows:
            rows = [self._heading, *rows]
        for row in rows:
            lengths = (len(cell.text) for cell in row.cells)
            self._widest = [max(pair) for pair in zip(self._widest, lengths, strict=True)]
        widths = self._fitting()
        return [line for row in rows for line in self._row(row, widths)]

    def _fitting(self) -> list[int]:
        """The columns' widths, those of names being shortened, the widest first, until all fits if it can."""
        widths = list(self._widest)
        shortened = [place for place, column in enumerate(self._columns) if column.fit is Fit.SHORTENED]
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - self._look.width
        for _ in range(excess):
            place = max(shortened, key=lambda place: widths[place])
            if widths[place] <= _SHORTEST_NAME:
                break
            widths[place] -= 1
        return widths

    def _row(self, row: Row, widths: Sequence[int]) -> list[str]:
        cells = zip(row.cells, self._columns, widths, strict=True)
        line = _GAP.join(self._cell(cell, column.fit, width) for cell, column, width in cells)
        remark = self._printable("; ".join(filter(None, (*self._shortened(row, widths), row.remark))))
        paint = Paint.HEADING if row is self._heading else None
        if sum(widths) + len(_GAP) * len(widths) + len(remark) <= self._look.width:
            return [f"{line}{_GAP}{self._painted(remark, paint)}".rstrip()]
        if row is self._heading:
            return [line.rstrip()]
        room = max(self._look.width - len(_INDENT), _SHORTEST_REMARK)
        return [line.rstrip(), *textwrap.wrap(remark, room, initial_indent=_INDENT, subsequent_indent=_INDENT)]

    def _shortened(self, row: Row, widths: Sequence[int]) -> Iterator[str]:
        """The cells that are not shown whole, with their headings."""
        for cell, column, width in zip(row.cells, self._columns, widths, strict=True):
            if len(cell.text) > width:
                yield f"{column.heading.lower()} {cell.text}"

    def _cell(self, cell: Cell, fit: Fit, width: int) -> str:
        text = self._printable(cell.text)
        if fit is Fit.SHORTENED:
            text = self._look.symbols.shortened(text, width)
        blank = " " * (width - len(text))
        painted = self._painted(text, cell.paint)
        return blank + painted if fit is Fit.RIGHT else painted + blank

    def _painted(self, text: str, paint: Paint | None) -> str:
        return self._look.painted(text, paint) if paint and text else text

    def _printable(self, text: str) -> str:
        """The text with nothing in it that a terminal would obey, or that the stream has no character for."""
        ascii_only = self._look.symbols is ASCII
        return "".join(
            character if character.isprintable() and (character.isascii() or not ascii_only) else "?"
            for character in text
        )
