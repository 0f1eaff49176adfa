"""Plain scalars mean what kubectl takes them for."""

from __future__ import annotations

import math

import pytest
from yaml.events import ScalarEvent

from netpol.source.scalars import UnknownTag, plain, scalar


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_nulls(text: str) -> None:
    assert plain(text) is None


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "yes", "Yes", "on", "ON"])
def test_truths(text: str) -> None:
    assert plain(text) is True


@pytest.mark.parametrize("text", ["false", "False", "no", "NO", "off"])
def test_falsehoods(text: str) -> None:
    assert plain(text) is False


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("80", 80),
        ("-1", -1),
        ("+1", 1),
        ("1_000", 1000),
        ("010", 8),
        ("0o10", 8),
        ("0x1F", 31),
        ("-0b11", -3),
    ],
)
def test_integers(text: str, number: int) -> None:
    value = plain(text)
    assert value == number
    assert type(value) is int


@pytest.mark.parametrize(("text", "number"), [("1.10", 1.1), ("1e3", 1000.0), (".5", 0.5), ("08", 8.0), ("6e10", 6e10)])
def test_floats(text: str, number: float) -> None:
    value = plain(text)
    assert value == number
    assert type(value) is float


def test_the_floats_that_are_no_numbers() -> None:
    assert plain(".inf") == math.inf
    assert plain("-.Inf") == -math.inf
    value = plain(".nan")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_a_number_of_any_length_costs_nothing() -> None:
    assert plain("9" * 100_000) == math.inf
    assert plain("0x" + "f" * 100_000) == "0x" + "f" * 100_000


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01",
        "2026-01-01T00:00:00Z",
        "12:30:45",
        "10.0.0.1",
        "fd00::1",
        "=",
        "y",
        "n",
        "0b_",
        "0x_",
        "0o_",
        "-",
        "+",
        ".",
        "1.2.3",
        "nil",
        "tRue",
    ],
)
def test_everything_else_is_text(text: str) -> None:
    assert plain(text) == text


def event(text: str, *, quoted: bool = False, tag: str | None = None) -> ScalarEvent:
    return ScalarEvent(None, tag, (not quoted and tag is None, quoted), text)


def test_quotes_make_a_string() -> None:
    assert scalar(event("5")) == 5
    assert scalar(event("5", quoted=True)) == "5"
    assert scalar(event("name")) == "name"


@pytest.mark.parametrize("tag", ["!", "tag:yaml.org,2002:str"])
def test_tags_make_a_string(tag: str) -> None:
    assert scalar(event("5", tag=tag)) == "5"


@pytest.mark.parametrize(
    ("name", "text", "value"), [("int", "5", 5), ("float", "5", 5), ("bool", "on", True), ("null", "", None)]
)
def test_a_tag_may_say_what_the_text_says(name: str, text: str, value: object) -> None:
    assert scalar(event(text, tag=f"tag:yaml.org,2002:{name}")) == value


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("tag:yaml.org,2002:int", "five"),
        ("tag:yaml.org,2002:bool", "1"),
        ("tag:yaml.org,2002:binary", "aGk="),
        ("tag:yaml.org,2002:timestamp", "2026-01-01"),
        ("!secret", "x"),
    ],
)
def test_other_tags_are_refused(tag: str, text: str) -> None:
    with pytest.raises(UnknownTag, match="is not understood"):
        scalar(event(text, tag=tag))
