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
_SHORTEST_NAME = 16
_SHORTEST_REMARK = 20


class Fit(enum.Enum):
    """How a cell is put into its column."""

    LEFT = "left"
    RIGHT = "right"
    SHORTENED = "shortened"
    """To the left, and without its middle, or left out, where there is too little room: it is then in the remark."""


class Column(NamedTuple):
    """The heading of a column, and how its cells fit in.

    One that is not `needed` is left out where there is too little room for names: its cells are then in the remark.
    """

    heading: str
    fit: Fit = Fit.LEFT
    needed: bool = True


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
        self._remark = remark
        self._look = look
        self._widest = [len(column.heading) for column in columns]
        self._shown: list[bool] = []

    def lines(self, rows: Sequence[Row]) -> list[str]:
        """The rows, below the headings where these were not shown yet, or are others by now."""
        for row in rows:
            lengths = (len(cell.text) for cell in row.cells)
            self._widest = [max(pair) for pair in zip(self._widest, lengths, strict=True)]
        widths = self._fitting()
        shown = [width > 0 for width in widths]
        headings = []
        if rows and shown != self._shown:
            self._shown = shown
            headings.append(self._headings(widths))
        return headings + [line for row in rows for line in self._row(row, widths)]

    def _fitting(self) -> list[int]:
        """The columns' widths, those of names being shortened, the widest first, until all fits; 0 is left out.

        Where names would be too short to say anything, columns that are not needed are left out, the last first;
        where even that does not help, the names are.
        """
        widths = list(self._widest)
        names = [place for place, column in enumerate(self._columns) if column.fit is Fit.SHORTENED]
        spare = [place for place, column in enumerate(self._columns) if not column.needed]
        while names and self._excess(_shortest(widths, names)) > 0:
            if not spare:
                return [0 if place in names else width for place, width in enumerate(self._widest)]
            widths[spare.pop()] = 0
        for _ in range(self._excess(widths) if names else 0):
            widths[max(names, key=lambda place: widths[place])] -= 1
        return widths

    def _excess(self, widths: Sequence[int]) -> int:
        """By how much columns of these widths are too wide for the terminal."""
        shown = [width for width in widths if width]
        return sum(shown) + len(_GAP) * (len(shown) - 1) - self._look.width

    def _headings(self, widths: Sequence[int]) -> str:
        """The line of headings; that of the remarks is left out where none has room beside its row."""
        line = self._line([Cell(column.heading, Paint.HEADING) for column in self._columns], widths)
        has_room = self._room_beside(widths) >= len(self._remark)
        return f"{line}{_GAP}{self._look.painted(self._remark, Paint.HEADING)}" if has_room else line.rstrip()

    def _row(self, row: Row, widths: Sequence[int]) -> list[str]:
        line = self._line(row.cells, widths)
        remark = self._printable("; ".join(filter(None, (*self._missing(row, widths), row.remark))))
        if self._room_beside(widths) >= len(remark):
            return [f"{line}{_GAP}{remark}".rstrip()]
        room = max(self._look.width - len(_INDENT), _SHORTEST_REMARK)
        # A name that is broken cannot be copied; the terminal goes on below with one that is too long.
        broken = textwrap.wrap(remark, room, break_long_words=False, break_on_hyphens=False)
        return [line.rstrip(), *(f"{_INDENT}{words}" for words in broken)]

    def _room_beside(self, widths: Sequence[int]) -> int:
        """The columns of the terminal that are left for a remark."""
        return self._look.width - sum(width + len(_GAP) for width in widths if width)

    def _line(self, cells: Sequence[Cell], widths: Sequence[int]) -> str:
        """The cells of the columns that are shown."""
        placed = zip(cells, self._columns, widths, strict=True)
        return _GAP.join(self._cell(cell, column.fit, width) for cell, column, width in placed if width)

    def _missing(self, row: Row, widths: Sequence[int]) -> Iterator[str]:
        """The cells that are not shown whole, with their headings."""
        for cell, column, width in zip(row.cells, self._columns, widths, strict=True):
            if len(cell.text) > width:
                yield f"{column.heading.lower()} {cell.text}"

    def _cell(self, cell: Cell, fit: Fit, width: int) -> str:
        text = self._printable(cell.text)
        if fit is Fit.SHORTENED:
            text = self._look.symbols.shortened(text, width)
        blank = " " * (width - len(text))
        painted = self._look.painted(text, cell.paint) if cell.paint else text
        return blank + painted if fit is Fit.RIGHT else painted + blank

    def _printable(self, text: str) -> str:
        """The text with nothing in it that a terminal would obey, or that the stream has no character for."""
        ascii_only = self._look.symbols is ASCII
        return "".join(
            character if character.isprintable() and (character.isascii() or not ascii_only) else "?"
            for character in text
        )


def _shortest(widths: Sequence[int], names: Sequence[int]) -> list[int]:
    """The widths with names as short as they may be."""
    return [min(width, _SHORTEST_NAME) if place in names else width for place, width in enumerate(widths)]
