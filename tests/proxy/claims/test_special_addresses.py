"""Addresses that are nothing to send to."""

from __future__ import annotations

import pytest
from builders import address

from proxy.claims.special_addresses import speciality


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.0.0.0", "an unspecified address"),  # noqa: S104 - nothing is bound to it here
        ("0.255.255.255", "an unspecified address"),
        ("127.0.0.1", "a loopback address"),
        ("127.255.255.255", "a loopback address"),
        ("169.254.169.254", "a link-local address"),
        ("224.0.0.0", "a multicast address"),
        ("239.255.255.255", "a multicast address"),
        ("255.255.255.255", "the broadcast address"),
        ("::", "an unspecified address"),
        ("::1", "a loopback address"),
        ("fe80::1", "a link-local address"),
        ("febf:ffff::1", "a link-local address"),
        ("ff02::1", "a multicast address"),
    ],
)
def test_what_no_host_has_for_itself_is_told(text: str, words: str) -> None:
    assert speciality(address(text)) == words


NEIGHBOURS = """
    1.0.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 223.255.255.255 240.0.0.1 255.255.255.254
    ::2 fe7f::1 fec0::1 feff::1 fd00::1 2001:db8::1
"""


@pytest.mark.parametrize("text", NEIGHBOURS.split())
def test_any_other_address_can_be_a_hosts(text: str) -> None:
    assert speciality(address(text)) is None
