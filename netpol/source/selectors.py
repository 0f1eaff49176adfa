"""Label selectors as objects state them (G6), and the syntax of labels."""

from __future__ import annotations

import re

from netpol.model.labels import Operator, Requirement, Selector
from netpol.source.fields import FieldPath, Fields, Reading, shown

_LONGEST_NAME = 63
_LONGEST_PREFIX = 253
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_OPERATORS = {operator.value: operator for operator in Operator}
_WITH_VALUES = (Operator.IN, Operator.NOT_IN)


def is_label_value(text: str) -> bool:
    """True where an object's label can have this value; the empty string is one.

    >>> is_label_value(""), is_label_value("v1.2"), is_label_value("-x")
    (True, True, False)
    """
    return not text or (len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None)


def is_label_key(text: str) -> bool:
    """True where an object can have a label of this key.

    >>> is_label_key("app"), is_label_key("example.org/app"), is_label_key("a/b/c")
    (True, True, False)
    """
    prefix, slash, name = text.rpartition("/")
    if slash and not is_subdomain(prefix):
        return False
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


def is_subdomain(text: str) -> bool:
    """True for a DNS subdomain in the API's sense, which most objects' names are."""
    return len(text) <= _LONGEST_PREFIX and _SUBDOMAIN.fullmatch(text) is not None


def decode_selector(value: object, at: FieldPath, reading: Reading) -> Selector | None:
    """The selector, or None where any part of it is not understood: half a selector selects too much (M7)."""
    if not isinstance(value, dict):
        reading.wrong(at, f"must be a selector, not {shown(value)}")
        return None
    before = len(reading.problems)
    reading.only(value, at, ("matchLabels", "matchExpressions"))
    requirements = _match_labels(value, at, reading)
    requirements += [
        requirement
        for path, expression in reading.mappings(value, at, "matchExpressions")
        if (requirement := _expression(expression, path, reading)) is not None
    ]
    return Selector.of(requirements) if len(reading.problems) == before else None


def _match_labels(selector: Fields, at: FieldPath, reading: Reading) -> list[Requirement]:
    requirements = []
    for key, value in reading.texts(selector, at, "matchLabels").items():
        path = (*at, "matchLabels", key)
        if not is_label_key(key):
            reading.wrong(path, f"{shown(key)} is no label key")
        elif not is_label_value(value):
            reading.wrong(path, f"{shown(value)} is no label value")
        else:
            requirements.append(Requirement(key, Operator.IN, frozenset({value})))
    return requirements


def _expression(expression: Fields, at: FieldPath, reading: Reading) -> Requirement | None:
    """The requirement, or None with a problem noted."""
    reading.only(expression, at, ("key", "operator", "values"))
    key = reading.text(expression, at, "key")
    word = reading.text(expression, at, "operator")
    values = reading.sequence(expression, at, "values")
    operator = _OPERATORS.get(word)
    if not is_label_key(key):
        reading.wrong((*at, "key"), f"{shown(key)} is no label key")
        return None
    if operator is None:
        reading.wrong((*at, "operator"), f"{shown(word)} is no operator; they are {', '.join(_OPERATORS)}")
        return None
    if (operator in _WITH_VALUES) != bool(values):
        needs = "needs values" if operator in _WITH_VALUES else "forbids values"
        reading.wrong((*at, "values"), f"{operator.value} {needs}")
        return None
    good = [value for value in values if isinstance(value, str) and is_label_value(value)]
    if len(good) < len(values):
        reading.wrong((*at, "values"), "must be label values, each a string")
        return None
    return Requirement(key, operator, frozenset(good))
