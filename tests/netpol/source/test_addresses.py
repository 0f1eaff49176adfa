"""Addresses in fields, and what is none."""

from __future__ import annotations

import pytest
from builders import address

from netpol.model.networks import Address
from netpol.source.addresses import read_address
from netpol.source.fields import Reading


@pytest.mark.parametrize(
    ("value", "expected"),
    [("10.0.0.1", "10.0.0.1"), ("010.0.0.1", "10.0.0.1"), ("FD00::1", "fd00::1"), ("::ffff:10.0.0.1", "10.0.0.1")],
)
def test_an_address_in_any_spelling(value: str, expected: str) -> None:
    reading = Reading()
    assert read_address(value, ("at",), reading) == address(expected)
    assert not reading.problems


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "at[0]: is missing"),
        (5, "at[0]: 5 is no IP address"),
        ("web", "at[0]: 'web' is no IP address"),
        ("10.0.0.0/8", "at[0]: '10.0.0.0/8' is no IP address"),
        ("fe80::1%eth0", "at[0]: 'fe80::1%eth0' is no IP address"),
        ("000.0.0.0", "at[0]: '000.0.0.0' is the address of nothing"),
        ("::", "at[0]: '::' is the address of nothing"),
    ],
)
def test_what_is_none_is_a_problem(value: object, problem: str) -> None:
    reading = Reading()
    assert read_address(value, ("at", 0), reading) is None
    assert [str(each) for each in reading.problems] == [problem]


def test_another_way_to_parse_may_be_given() -> None:
    asked: list[str] = []

    def remembered(text: str) -> Address:
        asked.append(text)
        return address("10.0.0.9")

    assert read_address("10.0.0.1", (), Reading(), remembered) == address("10.0.0.9")
    assert asked == ["10.0.0.1"]
