"""Things that have a selector each, found by labels without asking every selector."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from netpol.model.labels import Labels, Operator, Selector

Thing = TypeVar("Thing", bound=Hashable)
Label = tuple[str, str]


def first_choice(selector: Selector) -> tuple[Label, ...]:
    """The labels one of which an object needs for `selector` to match it; empty where it names no value.

    They are those of the first requirement that lists values: others are not looked at.
    """
    for each in selector.requirements:
        if each.operator is Operator.IN:
            return tuple((each.key, value) for value in each.values)
    return ()


class SelectorIndex(Generic[Thing]):
    """Things by the first label their selectors need; those that need none in particular are together."""

    def __init__(self) -> None:
        self._needing: dict[Label | None, dict[Thing, Selector]] = {}

    def __bool__(self) -> bool:
        return bool(self._needing)

    def add(self, selector: Selector, thing: Thing) -> None:
        """`thing` is found by what `selector` matches."""
        for label in first_choice(selector) or (None,):
            self._needing.setdefault(label, {})[thing] = selector

    def remove(self, selector: Selector, thing: Thing) -> None:
        """`thing`, which was added with this selector, is found no more."""
        for label in first_choice(selector) or (None,):
            needing = self._needing[label]
            del needing[thing]
            if not needing:
                del self._needing[label]

    def matching(self, labels: Labels) -> Iterator[Thing]:
        """The things whose selector matches, each once: an object has one value of a key."""
        for label in (None, *labels.items()):
            needing = self._needing.get(label)
            if needing is not None:
                yield from (thing for thing, selector in needing.items() if selector.matches(labels))

    def selectors(self) -> dict[Thing, Selector]:
        """Every thing with its selector."""
        return {thing: selector for needing in self._needing.values() for thing, selector in needing.items()}
