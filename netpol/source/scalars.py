"""What a YAML scalar means.

It means what kubectl takes it for: no timestamps and no numbers to the base of 60, but
octal, hexadecimal and the long list of booleans.
"""

from __future__ import annotations

import re

from yaml.events import CollectionStartEvent, ScalarEvent

from netpol.source.fields import shown

_CONSTANTS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"([-+]?)(0b[01_]+|0x[0-9a-fA-F_]+|0o[0-7_]+|0[0-7_]*|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_FIRST_OF_NUMBERS = frozenset("+-.0123456789")
LONGEST_INTEGER = 100
"""Python refuses the decimal text of far longer ones; kubectl takes whatever exceeds 64 bits for a float."""

_STRING_TAGS = ("!", "tag:yaml.org,2002:str")
_TAGS: dict[str, tuple[type, ...]] = {
    "tag:yaml.org,2002:null": (type(None),),
    "tag:yaml.org,2002:bool": (bool,),
    "tag:yaml.org,2002:int": (int,),
    "tag:yaml.org,2002:float": (float, int),
}


class UnknownTag(ValueError):
    """The event's value has a tag of a type that no API object has, or that its text is not of."""

    def __init__(self, event: ScalarEvent | CollectionStartEvent) -> None:
        super().__init__(f"has the tag {shown(event.tag)}, which is not understood")
        self.event = event


def scalar(event: ScalarEvent) -> object:
    """The value of a scalar: its text where that is quoted or tagged a string, else what the text looks like."""
    if event.tag is None:
        text = event.value
        if not event.implicit[0]:
            return text
        # What `plain` does, without the call: documents are mostly plain scalars.
        return _number(text) if text[:1] in _FIRST_OF_NUMBERS else _CONSTANTS.get(text, text)
    if event.tag in _STRING_TAGS:
        return event.value
    value = plain(event.value)
    if type(value) not in _TAGS.get(event.tag, ()):
        raise UnknownTag(event)
    return value


def plain(text: str) -> object:
    """The value of an unquoted scalar.

    >>> plain("010"), plain("0x1F"), plain("1e3"), plain("12:30:45"), plain("on"), plain("2026-01-01")
    (8, 31, 1000.0, '12:30:45', True, '2026-01-01')
    """
    if text[:1] in _FIRST_OF_NUMBERS:
        return _number(text)
    return _CONSTANTS.get(text, text)


def _number(text: str) -> object:
    integer = _INTEGER.fullmatch(text) if len(text) <= LONGEST_INTEGER else None
    if integer is not None:
        digits = integer[2].replace("_", "")
        if digits not in ("0b", "0x", "0o"):
            number = int(digits, 8 if digits[0] == "0" and digits.isdecimal() else 0)
            return -number if integer[1] == "-" else number
    if _FLOAT.fullmatch(text):
        return float(text)
    return _CONSTANTS.get(text, text)
