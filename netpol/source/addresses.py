"""Addresses that objects state as their own or as others' to reach."""

from __future__ import annotations

from collections.abc import Callable

from netpol.model.networks import Address, parse_address
from netpol.source.fields import FieldPath, Reading, shown


def read_address(
    value: object, at: FieldPath, reading: Reading, parse: Callable[[str], Address] = parse_address
) -> Address | None:
    """The address that the field's value names; one that stands for none, such as 0.0.0.0, is not had by anything.

    The kernel refuses those in a set, and with them every other change of the same time.
    """
    try:
        address = parse(value if isinstance(value, str) else "")
    except ValueError:
        reading.wrong(at, "is missing" if value is None else f"{shown(value)} is no IP address")
        return None
    if address.is_unspecified:
        reading.wrong(at, f"{shown(value)} is the address of nothing")
        return None
    return address
