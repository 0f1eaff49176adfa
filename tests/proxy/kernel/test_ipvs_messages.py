"""The bytes that IPVS is asked by, and what its answers say."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from netpol.dataplane.netlink import NESTED, Request, attribute, attributes
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from netpol.model.services import SchedulerFlag
from netpol.settings import ConnectionTimeouts
from proxy.kernel import ipvs_messages as messages
from proxy.model import (
    AddDestination,
    AddServer,
    Destination,
    EditDestination,
    EditServer,
    Forwarding,
    HeldDestination,
    HeldServer,
    RemoveDestination,
    RemoveServer,
    Scheduling,
    ServerAddress,
    ServerMark,
    ServerStep,
    Traffic,
)

FAMILY_ID = 0x1F
KEY = ServerAddress(ip_address("10.96.0.1"), Protocol.UDP, 53)
KEY_6 = ServerAddress(ip_address("fd00::1"), Protocol.TCP, 443)
MARK = ServerMark(Family.IPV6, 0x4E000001)
TO = Destination(ip_address("10.244.0.1"), 8053)
PACKED, PACKED_6 = bytes([10, 96, 0, 1]) + bytes(12), ip_address("fd00::1").packed

IDENTITY = {1: b"\2\0", 2: b"\x11\0", 3: PACKED, 4: b"\0\x35"}
IDENTITY_6 = {1: b"\x0a\0", 2: b"\6\0", 3: PACKED_6, 4: b"\1\xbb"}


def server(request: Request) -> dict[int, bytes]:
    return attributes(attributes(request.body)[1])


def destination(request: Request) -> dict[int, bytes]:
    return attributes(attributes(request.body)[2])


def test_the_family_is_asked_for_by_its_name() -> None:
    request = messages.family_request()
    assert request == Request(16, b"\x09\0\2\0IPVS\0\0\0\0", 3, version=1)
    assert messages.decode_family(attribute(2, b"IPVS\0") + attribute(1, struct.pack("=H", 0x1F))) == 0x1F


@pytest.mark.parametrize(
    ("step", "command"),
    [
        (AddServer(KEY, Scheduling()), 1),
        (EditServer(KEY, Scheduling()), 2),
        (RemoveServer(KEY), 3),
        (AddDestination(KEY, TO), 5),
        (EditDestination(KEY, TO, 0), 6),
        (RemoveDestination(KEY, TO), 7),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_step_is_a_command_on_its_server(step: ServerStep, command: int) -> None:
    request = messages.step_request(FAMILY_ID, step)
    assert (request.kind, request.family, request.version) == (FAMILY_ID, command, 1)
    assert server(request).items() >= IDENTITY.items()


def test_a_server_is_made_with_all_that_it_is() -> None:
    scheduling = Scheduling("mh", frozenset({SchedulerFlag.FIRST, SchedulerFlag.THIRD}), 10800)
    request = messages.step_request(FAMILY_ID, AddServer(KEY, scheduling))
    assert server(request) == {
        **IDENTITY,
        6: b"mh\0",
        7: struct.pack("=II", 0x29, 0xFFFFFFFF),
        8: struct.pack("=I", 10800),
        9: b"\xff\xff\xff\xff",
    }


def test_of_ipv6_the_kernel_wants_the_length_of_a_prefix() -> None:
    request = messages.step_request(FAMILY_ID, EditServer(KEY_6, Scheduling()))
    assert server(request) == {**IDENTITY_6, 6: b"rr\0", 7: b"\0\0\0\0\xff\xff\xff\xff", 8: bytes(4), 9: b"\x80\0\0\0"}


def test_a_mark_has_neither_address_nor_port() -> None:
    assert server(messages.server_request(FAMILY_ID, MARK)) == {1: b"\x0a\0", 5: struct.pack("=I", 0x4E000001)}


def test_a_destination_is_made_with_all_that_it_is() -> None:
    request = messages.step_request(FAMILY_ID, AddDestination(KEY, TO, 3, Forwarding.TUNNEL))
    identity = {1: bytes([10, 244, 0, 1]) + bytes(12), 2: b"\x1f\x75", 11: b"\2\0"}
    assert destination(request) == {**identity, 3: b"\2\0\0\0", 4: b"\3\0\0\0", 5: bytes(4), 6: bytes(4)}
    assert destination(messages.step_request(FAMILY_ID, RemoveDestination(KEY, TO))) == identity


def test_only_the_times_that_are_given_are_set() -> None:
    request = messages.timeouts_request(FAMILY_ID, ConnectionTimeouts(tcp=900, udp=300))
    assert request.family == 12
    assert attributes(request.body) == {4: struct.pack("=I", 900), 6: struct.pack("=I", 300)}


def test_what_is_there_already_is_edited_to_what_was_to_be_added() -> None:
    scheduling = Scheduling("sh")
    assert messages.correction(AddServer(KEY, scheduling)) == EditServer(KEY, scheduling)
    assert messages.correction(AddDestination(KEY, TO, 2, Forwarding.TUNNEL)) == EditDestination(
        KEY, TO, 2, Forwarding.TUNNEL
    )


def told(fields: dict[int, bytes], kind: int = 1) -> bytes:
    return attribute(NESTED | kind, b"".join(attribute(*each) for each in fields.items()))


SCHEDULING = {6: b"wlc\0", 7: struct.pack("=II", 0x2 | 0x1 | 0x10, 0xFFFFFFFF), 8: struct.pack("=I", 60), 9: bytes(4)}


def test_an_answer_tells_a_server() -> None:
    held = Scheduling("wlc", frozenset({SchedulerFlag.SECOND}), 60)
    assert messages.decode_server(told({**IDENTITY, **SCHEDULING})) == HeldServer(KEY, held)
    assert messages.decode_server(told({**IDENTITY_6, **SCHEDULING})) == HeldServer(KEY_6, held)
    mark = {1: b"\x0a\0", 5: struct.pack("=I", 0x4E000001)}
    assert messages.decode_server(told({**mark, **SCHEDULING})) == HeldServer(MARK, held)


def test_a_time_to_stay_without_the_flag_for_it_is_none() -> None:
    fields = {**IDENTITY, **SCHEDULING, 7: struct.pack("=II", 2, 0xFFFFFFFF)}
    assert messages.decode_server(told(fields)) == HeldServer(KEY, Scheduling("wlc"))


def test_a_server_of_another_protocol_is_none_of_ours_to_tell() -> None:
    assert messages.decode_server(told({**IDENTITY, **SCHEDULING, 2: b"\x32\0"})) is None
    assert messages.decode_server(told({**IDENTITY, **SCHEDULING, 2: b"\1\0"})) is None


NUMBERS = range(1, 11)


@pytest.mark.parametrize(("kind", "wide"), [(12, range(1, 11)), (10, (4, 5))])
def test_traffic_is_told_in_either_width(kind: int, wide: range) -> None:
    counted = b"".join(attribute(each, struct.pack("=Q" if each in wide else "=I", each * 7)) for each in NUMBERS)
    found = messages.decode_server(told({**IDENTITY, **SCHEDULING, kind: counted}))
    assert found is not None
    assert found.traffic == Traffic(*(each * 7 for each in NUMBERS))


def test_the_wider_numbers_are_believed() -> None:
    narrow, wide = attribute(1, struct.pack("=I", 1)), attribute(1, struct.pack("=Q", 1 << 40))
    found = messages.decode_server(told({**IDENTITY, **SCHEDULING, 10: narrow, 12: wide}))
    assert found is not None
    assert found.traffic == Traffic(connections=1 << 40)


DESTINATION = {
    1: bytes([10, 244, 0, 1]) + bytes(12),
    2: b"\x1f\x75",
    3: bytes(4),
    4: struct.pack("=i", 5),
    7: struct.pack("=I", 1),
    8: struct.pack("=I", 2),
    9: struct.pack("=I", 3),
    11: b"\2\0",
}


def test_an_answer_tells_a_destination_and_its_connections() -> None:
    to, held = messages.decode_destination(told(DESTINATION, 2), KEY)
    assert (to, held) == (TO, HeldDestination(5))
    assert (held.active, held.inactive, held.persistent, held.connections) == (1, 2, 3, 6)


def test_a_destination_that_tells_no_family_has_its_servers() -> None:
    fields = {**DESTINATION, 1: PACKED_6}
    del fields[11]
    to, _ = messages.decode_destination(told(fields, 2), KEY_6)
    assert to == Destination(ip_address("fd00::1"), 8053)


@pytest.mark.parametrize(
    ("fields", "forwarding"),
    [
        ({3: b"\2\0\0\0"}, Forwarding.TUNNEL),
        ({3: b"\2\0\0\0", 13: b"\0"}, Forwarding.TUNNEL),
        ({3: b"\2\0\0\0", 13: b"\1"}, None),
        ({3: b"\3\0\0\0"}, None),
    ],
)
def test_a_way_that_is_never_asked_for_is_none(fields: dict[int, bytes], forwarding: Forwarding | None) -> None:
    _, held = messages.decode_destination(told({**DESTINATION, **fields}, 2), KEY)
    assert held.forwarding is forwarding


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (AddServer(KEY_6, Scheduling()), "virtual server [fd00::1]:443/TCP cannot be added"),
        (EditServer(KEY, Scheduling()), "virtual server 10.96.0.1:53/UDP cannot be edited"),
        (RemoveServer(MARK), "virtual server mark 0x4e000001 of IPv6 cannot be removed"),
        (AddDestination(MARK, TO), f"destination {TO} cannot be added to virtual server {MARK}"),
        (EditDestination(MARK, TO, 0), f"destination {TO} of virtual server {MARK} cannot be edited"),
        (RemoveDestination(MARK, TO), f"destination {TO} of virtual server {MARK} cannot be removed"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_steps_in_words(step: ServerStep, words: str) -> None:
    assert messages.describe(step) == words
