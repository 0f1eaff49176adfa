"""Addresses that no host has, or that mean another one on each: nothing is sent there for a service."""

from __future__ import annotations

from netpol.model.networks import Address, Family, family_of, parse_network

_SPECIAL = {
    # A packet to the network 0.0.0.0/8 is a broadcast to the kernel.
    Family.IPV4: {
        "0.0.0.0/8": "an unspecified address",
        "127.0.0.0/8": "a loopback address",
        "169.254.0.0/16": "a link-local address",
        "224.0.0.0/4": "a multicast address",
        "255.255.255.255/32": "the broadcast address",
    },
    Family.IPV6: {
        "::/128": "an unspecified address",
        "::1/128": "a loopback address",
        "fe80::/10": "a link-local address",
        "ff00::/8": "a multicast address",
    },
}
_SPANS = {
    family: tuple(
        (int(network.network_address), int(network.broadcast_address), words)
        for text, words in special.items()
        for network in (parse_network(text),)
    )
    for family, special in _SPECIAL.items()
}
"""As numbers: every endpoint is asked about."""


def speciality(address: Address) -> str | None:
    """What is special about the address, in words; None for one that a host can have for itself.

    >>> from netpol.model.networks import parse_address
    >>> speciality(parse_address("127.0.0.7")), speciality(parse_address("10.0.0.7"))
    ('a loopback address', None)
    """
    number = int(address)
    for first, last, words in _SPANS[family_of(address)]:
        if first <= number <= last:
            return words
    return None
