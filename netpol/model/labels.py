"""Label selectors (G6)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Labels = Mapping[str, str]


class Operator(enum.Enum):
    """How a requirement compares an object's value; the values are the API's words."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label; `values` is empty for Exists and DoesNotExist."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Labels) -> bool:
        """True where `labels` meets the condition; the negative operators also match a missing key."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value in self.values
            case Operator.NOT_IN:
                return value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None

    def __str__(self) -> str:
        """The notation of `kubectl get -l`.

        >>> str(Requirement("tier", Operator.NOT_IN, frozenset({"db", "cache"})))
        'tier notin (cache,db)'
        """
        values = ",".join(sorted(self.values))
        match self.operator:
            case Operator.IN:
                return f"{self.key}={values}" if len(self.values) == 1 else f"{self.key} in ({values})"
            case Operator.NOT_IN:
                return f"{self.key} notin ({values})"
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements that must all hold, in a canonical order; none at all selects everything."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def of(cls, requirements: Iterable[Requirement]) -> Selector:
        """The selector of these requirements: equal for equal meaning of each, in whatever order."""
        return cls(tuple(sorted(set(requirements), key=str)))

    def matches(self, labels: Labels) -> bool:
        """True where every requirement holds for `labels`."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        """Equal texts mean equal selectors: `*` is no label key.

        >>> str(EVERYTHING)
        '*'
        """
        return ",".join(map(str, self.requirements)) or "*"


EVERYTHING = Selector()
