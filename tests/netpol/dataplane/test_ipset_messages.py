"""Messages stay within the length of an attribute, and each member carries its number."""

from __future__ import annotations

from dataclasses import replace

import pytest

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
from netpol.dataplane import ipset_messages as messages
from netpol.dataplane.netlink import NESTED, attribute, attributes, elements, text_attribute
from netpol.model.networks import Family
from netpol.model.ports import Protocol

NAME = "NETPOL-S-AAAAAAAAAAAAAAAA"
SIX = b"\xfd" + bytes(14) + b"\1"

EACH_TYPE: list[tuple[IpSet, list[Member]]] = [
    (IpSet(NAME, SetType.ADDRESSES, Family.IPV4), [index.to_bytes(4, "big") for index in range(1, 6001)]),
    (IpSet(NAME, SetType.ADDRESSES, Family.IPV6), [SIX[:-2] + index.to_bytes(2, "big") for index in range(1, 3001)]),
    (
        IpSet(NAME, SetType.NETWORKS, Family.IPV4),
        [NetworkMember(bytes([10, index, 0, 0]), 16, index % 2 == 0) for index in range(256)],
    ),
    (
        IpSet(NAME, SetType.ADDRESS_PORTS, Family.IPV6),
        [AddressPort(SIX, Protocol.SCTP, port) for port in range(1, 3001)],
    ),
    (
        IpSet(NAME, SetType.ADDRESS_PORT_ADDRESSES, Family.IPV6),
        [AddressPortAddress(SIX, Protocol.UDP, port, bytes(15) + b"\1") for port in range(3000)],
    ),
    (
        IpSet(NAME, SetType.ADDRESS_PORT_NETWORKS, Family.IPV6),
        [AddressPortNetwork(SIX, Protocol.TCP, port, SIX, 1 + port % 128) for port in range(1, 3001)],
    ),
    (
        IpSet(NAME, SetType.ADDRESS_PORTS, Family.IPV4, has_comments=True),
        [AddressPort(SIX[:4], Protocol.TCP, port, "ü" * (port % 120)) for port in range(1, 1001)],
    ),
    (IpSet(NAME, SetType.SETS, None), [SetReference(f"NETPOL-{index}", "ü" * (index % 120)) for index in range(1000)]),
]


@pytest.mark.parametrize(("target", "members"), EACH_TYPE)
def test_members_read_back_in_order_with_their_numbers(target: IpSet, members: list[Member]) -> None:
    told: list[bytes] = []
    numbers: list[int] = []
    requests = list(messages.member_requests(messages.ADD, target, members))
    for request in requests:
        assert len(request.body) < 1 << 16
        fields = attributes(request.body)
        assert fields[2] == NAME.encode() + b"\0"
        told_of = list(elements(fields[8]))
        numbers += [int.from_bytes(attributes(element)[9], "little") for element in told_of]
        told.append(b"".join(attribute(NESTED | 7, element) for element in told_of))
    assert numbers == list(range(1, len(members) + 1))
    assert len(requests) <= 1 + sum(map(len, told)) // 40_000
    family = {Family.IPV4: b"\2", Family.IPV6: b"\n", None: b"\0"}[target.family]
    head = text_attribute(2, NAME) + text_attribute(3, target.type.value) + attribute(5, family)
    head += attribute(NESTED | 7, attributes(messages.create_request(target).body)[7])
    answers = [
        (head if index == 0 else text_attribute(2, NAME)) + attribute(NESTED | 8, each)
        for index, each in enumerate(told)
    ]
    assert messages.decode_set(answers) == replace(target, members=frozenset(members))


def test_no_members_are_no_message() -> None:
    assert list(messages.member_requests(messages.ADD, EACH_TYPE[0][0], [])) == []


def test_a_misfit_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="a hash:ip holds no NetworkMember"):
        list(messages.member_requests(messages.ADD, EACH_TYPE[0][0], [NetworkMember(bytes(4), 8)]))


def test_an_unknown_type_is_no_set() -> None:
    answer = text_attribute(2, NAME) + text_attribute(3, "bitmap:port") + attribute(5, b"\0")
    assert messages.decode_set([answer]) is None
    assert messages.decode_set([]) is None


@pytest.mark.parametrize(("size", "hash_size"), [(0, 64), (65, 65), (1000, 128)])
def test_a_hash_is_sized_by_its_members_up_to_its_room(size: int, hash_size: int) -> None:
    members = frozenset(index.to_bytes(4, "big") for index in range(size))
    request = messages.create_request(IpSet(NAME, SetType.ADDRESSES, Family.IPV4, members), max_members=128)
    options = attributes(attributes(request.body)[7])
    assert int.from_bytes(options[18], "big") == hash_size
    assert int.from_bytes(options[19], "big") == 128


@pytest.mark.parametrize("timeout", [None, 300, 1 << 16])
def test_a_timeout_is_told_with_the_set_and_read_from_it(timeout: int | None) -> None:
    target = IpSet(NAME, SetType.ADDRESSES, Family.IPV4, timeout_seconds=timeout)
    options = attributes(messages.create_request(target).body)[7]
    assert attributes(options).get(6) == (None if timeout is None else timeout.to_bytes(4, "big"))
    head = text_attribute(2, NAME) + text_attribute(3, "hash:ip") + attribute(5, b"\2")
    assert messages.decode_set([head + attribute(NESTED | 7, options)]) == target


def test_the_time_a_member_has_left_is_passed_over() -> None:
    target = IpSet(NAME, SetType.ADDRESS_PORT_ADDRESSES, Family.IPV6, timeout_seconds=300)
    member = AddressPortAddress(SIX, Protocol.UDP, 53, bytes(15) + b"\1")
    (request,) = messages.member_requests(messages.ADD, target, [member])
    (told,) = elements(attributes(request.body)[8])
    left = attribute(0x4006, (7).to_bytes(4, "big"))
    head = text_attribute(2, NAME) + text_attribute(3, target.type.value) + attribute(5, b"\n")
    options = attribute(NESTED | 7, attribute(0x4006, (300).to_bytes(4, "big")))
    members = attribute(NESTED | 8, attribute(NESTED | 7, told + left))
    assert messages.decode_set([head + options, text_attribute(2, NAME) + members]) == IpSet(
        NAME, target.type, target.family, frozenset({member}), timeout_seconds=300
    )
