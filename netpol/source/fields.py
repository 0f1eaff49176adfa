"""Typed reads of an object's fields, noting where each is not what the API says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

FieldPath = tuple[str | int, ...]
"""The keys and indices that lead from an object to a field of it."""

Fields = Mapping[Any, object]
"""A mapping as YAML gives it: its keys need not be strings."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SHOWN = 60
_NOTHING: Fields = {}


def render(path: FieldPath) -> str:
    """The path as people write it.

    >>> render(("spec", "ingress", 0, "from")), render(("metadata", "labels", "example.org/tier"))
    ('spec.ingress[0].from', 'metadata.labels[example.org/tier]')
    """
    parts = [
        f".{step}" if isinstance(step, str) and _PLAIN_KEY.fullmatch(step) else f"[{_in_one_line(str(step))}]"
        for step in path
    ]
    return "".join(parts).removeprefix(".")


def shown(value: object) -> str:
    """The value in a message: short, in one line, and harmless whatever it is.

    >>> shown("web"), shown(True), shown([[]]), shown(10**5000)
    ("'web'", 'true', 'a list', 'a huge number')
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value) if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]!r}..."
        case int():
            # The text of an integer of thousands of digits is refused by Python itself.
            return str(value) if value.bit_length() <= 64 else "a huge number"
        case float():
            return str(value)
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def is_integer(value: object) -> TypeGuard[int]:
    """True for an integer; YAML's and JSON's booleans are none.

    >>> is_integer(80), is_integer(True), is_integer(80.0)
    (True, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool)


def _in_one_line(text: str) -> str:
    return text if text.isprintable() and len(text) <= _LONGEST_SHOWN else shown(text)


@dataclass(frozen=True, slots=True)
class Problem:
    """One field that is not what it should be."""

    path: FieldPath
    message: str

    def __str__(self) -> str:
        return f"{render(self.path)}: {self.message}" if self.path else self.message


class Malformed(ValueError):
    """The object cannot be what it claims to be; `problems` are all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class Reading:
    """The reading of one object: each read returns a value of its type and notes what was wrong.

    An absent and a null field read alike, as nothing of that type: so the API server takes
    them too. A field of another type reads as nothing as well, and is a problem.
    """

    __slots__ = ("problems",)

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def wrong(self, path: FieldPath, message: str) -> None:
        """Note a problem with the field at `path`."""
        self.problems.append(Problem(path, message))

    def unless_malformed(self) -> None:
        """Raise Malformed with all that was wrong, if anything was."""
        if self.problems:
            raise Malformed(self.problems)

    def only(self, parent: Fields, at: FieldPath, known: tuple[str, ...]) -> bool:
        """True where `parent` has no other fields than `known`; each other one is a problem."""
        unknown = [key for key in parent if key not in known]
        for key in unknown:
            self.wrong((*at, key if isinstance(key, str) else shown(key)), "is no field known here")
        return not unknown

    def text(self, parent: Fields, at: FieldPath, key: str) -> str:
        """The string at `key`."""
        value = parent.get(key)
        if isinstance(value, str):
            return value
        if value is not None:
            self.wrong((*at, key), f"must be a string, not {shown(value)}")
        return ""

    def flag(self, parent: Fields, at: FieldPath, key: str) -> bool:
        """The boolean at `key`."""
        value = parent.get(key)
        if isinstance(value, bool):
            return value
        if value is not None:
            self.wrong((*at, key), f"must be true or false, not {shown(value)}")
        return False

    def number(self, parent: Fields, at: FieldPath, key: str) -> int:
        """The integer at `key`."""
        value = parent.get(key)
        if is_integer(value):
            return value
        if value is not None:
            self.wrong((*at, key), f"must be an integer, not {shown(value)}")
        return 0

    def mapping(self, parent: Fields, at: FieldPath, key: str) -> Fields:
        """The mapping at `key`."""
        value = parent.get(key)
        if isinstance(value, dict):
            return value
        if value is not None:
            self.wrong((*at, key), f"must be a mapping, not {shown(value)}")
        return _NOTHING

    def sequence(self, parent: Fields, at: FieldPath, key: str) -> Sequence[object]:
        """The list at `key`."""
        value = parent.get(key)
        if isinstance(value, list):
            return value
        if value is not None:
            self.wrong((*at, key), f"must be a list, not {shown(value)}")
        return ()

    def mappings(self, parent: Fields, at: FieldPath, key: str) -> Iterator[tuple[FieldPath, Fields]]:
        """Each mapping of the list at `key`, and its path."""
        for index, entry in enumerate(self.sequence(parent, at, key)):
            path = (*at, key, index)
            if isinstance(entry, dict):
                yield path, entry
            else:
                self.wrong(path, f"must be a mapping, not {shown(entry)}")

    def texts(self, parent: Fields, at: FieldPath, key: str) -> dict[str, str]:
        """The mapping of strings to strings at `key`, without the entries that are anything else."""
        found: dict[str, str] = {}
        for name, value in self.mapping(parent, at, key).items():
            if not isinstance(name, str):
                self.wrong((*at, key), f"has a key that is no string: {shown(name)}")
            elif not isinstance(value, str):
                self.wrong((*at, key, name), f"must be a string, not {shown(value)}")
            else:
                found[name] = value
        return found
