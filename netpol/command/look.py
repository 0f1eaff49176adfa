"""What the place that a command prints to can show: symbols, colours and columns."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TextIO


class Symbols(NamedTuple):
    """One character for each thing a cell, or a shortened name, can say."""

    allowed: str
    refused: str
    itself: str
    spared: str
    ellipsis: str

    def shortened(self, name: str, width: int) -> str:
        """Both ends of a name that is too long: a workload's name is in front, what tells its pods apart behind.

        >>> ASCII.shortened("guestbook-7d9f", 9), ASCII.shortened("redis", 9)
        ('gues~7d9f', 'redis')
        """
        if len(name) <= width:
            return name
        tail = (width - 1) // 2
        return f"{name[: width - 1 - tail]}{self.ellipsis}{name[-tail:]}"


UNICODE = Symbols("✓", "✗", "·", "!", "…")
ASCII = Symbols("+", "x", ".", "!", "~")


class Paint(enum.Enum):
    """What a cell or a heading looks like on a terminal; the values are SGR parameters."""

    HEADING = "1"
    FAINT = "2"
    REFUSED = "31"
    ALLOWED = "32"
    WOULD_REFUSE = "33"


@dataclass(frozen=True, slots=True)
class Look:
    """How to print: which symbols, whether in colours, and in how many columns."""

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
