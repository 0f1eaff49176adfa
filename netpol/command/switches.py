"""Boolean flags as kube-router's users write them: `--flag`, `--flag=true`, `--flag=false`."""

from __future__ import annotations

import argparse
import enum

_WORDS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
"""The words that Go's flag packages accept."""


class Switch(enum.Enum):
    """Where a switch stands when nobody touches it."""

    OFF = False
    ON = True


def add_switch(parser: argparse.ArgumentParser, flag: str, default: Switch, text: str) -> None:
    """The parser knows `flag`, with or without a value."""
    word = str(default.value).lower()
    parser.add_argument(
        flag, nargs="?", const=True, default=default.value, type=truth, metavar="BOOL", help=f"{text} (default {word})"
    )


def truth(word: str) -> bool:
    """What the word says; ArgumentTypeError where it says neither."""
    if word not in _WORDS:
        raise argparse.ArgumentTypeError(f"{word!r} is neither true nor false")
    return _WORDS[word]
