from __future__ import annotations

import pytest
from builders import address, block

from netpol.model.networks import Family, IPBlock, family_of, parse_address, parse_network


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("010.000.0.09", "10.0.0.9"),
        ("FD00:0::1", "fd00::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("::FFFF:102:304", "1.2.3.4"),
        ("::1.2.3.4", "::102:304"),
    ],
)
def test_addresses(text: str, parsed: str) -> None:
    assert parse_address(text).exploded == address(parsed).exploded


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0",
        "10.0.0.256",
        "10.0.0.1/32",
        "fe80::1%eth0",
        "fe80::1%1",
        "a.b.c.d",
        "10.0.0.-1",
        "١.٢.٣.٤",
        "1..2.3",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.1.2.3/16", "10.1.0.0/16"),
        ("010.1.0.0/016", "10.1.0.0/16"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.0.0.1/32", "10.0.0.1/32"),
        ("FD00::1/64", "fd00::/64"),
        ("::/0", "::/0"),
        ("::ffff:10.1.2.3/112", "10.1.0.0/16"),
        ("::ffff:10.1.2.3/128", "10.1.2.3/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
    ],
)
def test_v5_networks_lose_their_host_bits_and_leading_zeros(text: str, network: str) -> None:
    assert str(parse_network(text)) == network


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.0",
        "10.0.0.0/",
        "/8",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/-1",
        "10.0.0.0/٨",
        "fe80::%1/64",
        "10.0.0.0/8/8",
        "::ffff:10.0.0.0/95",
        "::ffff:10.0.0.0/0",
        "::ffff:10.0.0.0/129",
        f"10.0.0.0/{'9' * 5000}",
    ],
)
def test_v5_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a CIDR") as raised:
        parse_network(text)
    assert str(raised.value) == f"{text!r} is not a CIDR"


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("9.255.255.255", False),
        ("10.0.0.0", True),
        ("10.8.255.255", True),
        ("10.9.0.0", False),
        ("10.9.255.255", False),
        ("10.10.0.0", True),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("::ffff:10.0.0.1", True),
        ("::10.0.0.1", False),
    ],
)
def test_v5_a_block_is_its_network_without_its_holes(text: str, inside: bool) -> None:
    assert (address(text) in block("10.0.0.0/8", "10.9.0.0/16", "10.20.0.0/16")) is inside


def test_a_block_reads_the_same_whatever_the_order_of_its_holes() -> None:
    one, other = block("10.0.0.0/8", "10.9.0.0/16", "10.2.0.0/16"), block("10.0.0.0/8", "10.2.0.0/16", "10.9.0.0/16")
    assert one == other
    assert str(one) == str(other) == "10.0.0.0/8 except 10.2.0.0/16,10.9.0.0/16"
    assert str(IPBlock(parse_network("fd00::/8"))) == "fd00::/8"


def test_families() -> None:
    assert family_of(address("10.0.0.1")) is Family.IPV4
    assert family_of(parse_network("::/0")) is Family.IPV6
    assert [family.bits for family in Family] == [32, 128]
