"""Long lists cut short for a person: the first of them, and how many more there are."""

from __future__ import annotations

from collections.abc import Iterable


def listed(names: Iterable[object], most: int) -> str:
    """The names in a sentence, at most `most` of them, the last of which is then the number of the others.

    >>> listed(["x/a", "x/b", "x/c"], 3), listed(["x/a", "x/b", "x/c", "x/d"], 3), listed([], 3)
    ('x/a, x/b and x/c', 'x/a, x/b and 2 more', '')
    """
    words = [str(name) for name in names]
    if len(words) > most:
        words = [*words[: most - 1], f"{len(words) - most + 1} more"]
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def first_lines(lines: Iterable[object], most: int) -> list[str]:
    """The first `most` of the lines, and one that says how many more there are.

    >>> first_lines(["one", "two", "three"], 2), first_lines(["one", "two"], 2)
    (['one', 'two', '... and 1 more'], ['one', 'two'])
    """
    words = [str(line) for line in lines]
    more = len(words) - most
    return [*words[:most], f"... and {more} more"] if more > 0 else words
