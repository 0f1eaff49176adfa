"""Members have one text, one identity, and sets they fit into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.compiler.ruleset import (
    AddressPort,
    AddressPortAddress,
    AddressPortNetwork,
    IpSet,
    Member,
    NetworkMember,
    SetReference,
    SetType,
)
from netpol.dataplane.members import describe, key, misfit
from netpol.model.networks import Family
from netpol.model.ports import Protocol

ONE = bytes([10, 0, 0, 1])


@pytest.mark.parametrize(
    ("member", "text"),
    [
        (ONE, "10.0.0.1"),
        (b"\xfd" + bytes(14) + b"\1", "fd00::1"),
        (b"abc", "616263"),
        (NetworkMember(ONE, 24), "10.0.0.1/24"),
        (NetworkMember(bytes(16), 1, nomatch=True), "::/1 nomatch"),
        (AddressPort(ONE, Protocol.SCTP, 80), "10.0.0.1,sctp:80"),
        (AddressPortAddress(ONE, Protocol.UDP, 53, bytes([10, 0, 0, 2])), "10.0.0.1,udp:53,10.0.0.2"),
        (AddressPortNetwork(ONE, Protocol.TCP, 80, bytes([10, 1, 0, 0]), 16), "10.0.0.1,tcp:80,10.1.0.0/16"),
        (AddressPort(ONE, Protocol.TCP, 80, "why"), "10.0.0.1,tcp:80"),
        (SetReference("NETPOL-X", "why"), "NETPOL-X"),
    ],
)
def test_members_are_described_as_ipset_writes_them(member: Member, text: str) -> None:
    assert describe(member) == text


@given(st.binary(min_size=16, max_size=16), st.integers(1, 128), st.booleans())
def test_a_networks_key_is_its_prefix(packed: bytes, prefix: int, nomatch: bool) -> None:
    masked = key(NetworkMember(packed, prefix, nomatch))
    assert isinstance(masked, NetworkMember)
    assert not masked.nomatch
    assert key(masked) == masked
    assert int.from_bytes(packed, "big") >> (128 - prefix) == int.from_bytes(masked.packed, "big") >> (128 - prefix)
    assert int.from_bytes(masked.packed, "big") & ((1 << (128 - prefix)) - 1) == 0


def test_comments_are_no_part_of_a_key() -> None:
    assert key(SetReference("A", "x")) == key(SetReference("A", "y")) != key(SetReference("B", "x"))
    assert key(ONE) == ONE
    assert key(AddressPort(ONE, Protocol.TCP, 1)) == AddressPort(ONE, Protocol.TCP, 1)
    assert key(AddressPort(ONE, Protocol.TCP, 1, "x")) == AddressPort(ONE, Protocol.TCP, 1)
    assert key(AddressPort(ONE, Protocol.TCP, 1, "x")) != key(AddressPort(ONE, Protocol.UDP, 1, "x"))


def test_the_key_of_a_network_of_peers_is_its_prefix() -> None:
    beyond, masked = (
        AddressPortNetwork(ONE, Protocol.TCP, 1, bytes(each), 8) for each in ((10, 1, 2, 3), (10, 0, 0, 0))
    )
    assert key(beyond) == key(masked) == masked
    assert key(masked._replace(prefix=16)) != masked


def test_what_fits_has_no_misfit() -> None:
    for family, packed in ((Family.IPV4, ONE), (Family.IPV6, bytes(16))):
        assert misfit(IpSet("A", SetType.ADDRESSES, family), packed) is None
        assert misfit(IpSet("A", SetType.NETWORKS, family), NetworkMember(packed, family.bits)) is None
        assert misfit(IpSet("A", SetType.NETWORKS, family), NetworkMember(packed, 1)) is None
        assert misfit(IpSet("A", SetType.ADDRESS_PORTS, family), AddressPort(packed, Protocol.UDP, 65535)) is None
        answers = IpSet("A", SetType.ADDRESS_PORT_ADDRESSES, family)
        assert misfit(answers, AddressPortAddress(packed, Protocol.UDP, 0, packed)) is None
        sources = IpSet("A", SetType.ADDRESS_PORT_NETWORKS, family)
        assert misfit(sources, AddressPortNetwork(packed, Protocol.TCP, 1, packed, family.bits)) is None
        commented = IpSet("A", SetType.ADDRESS_PORTS, family, has_comments=True)
        assert misfit(commented, AddressPort(packed, Protocol.TCP, 1, "c" * 255)) is None
        assert misfit(IpSet("A", SetType.SETS, None), SetReference("B", "c" * 255)) is None


def test_a_set_without_family_holds_no_address() -> None:
    assert misfit(IpSet("A", SetType.ADDRESSES, None), ONE) == "it is no address of the set's family"
