"""Messages are those of RFC 5424, and their text is the record."""

from __future__ import annotations

import re

import msgspec
import pytest
from outlets import records

import netpol
from netpol.audit.outlets.syslog import MOST_SEQUENCE, following, message
from netpol.audit.record import Action, MissEntry, Record, decode, encode

SYNTAX = re.compile(
    rb"<(?P<priority>[1-9]\d{0,2})>1"
    rb" (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z)"
    rb" (?P<host>[!-~]{1,255})"
    rb" (?P<name>[!-~]{1,48})"
    rb" (?P<process>[!-~]{1,128})"
    rb" (?P<kind>[!-~]{1,32})"
    rb" (?P<data>(?:\[[!#-<>-\\^-~]{1,32}(?: [!#-<>-\\^-~]{1,32}=\"(?:[^\"\\\]]|\\[\"\\\]])*\")*\])+)"
    rb" (?P<text>.*)",
    re.DOTALL,
)
"""The grammar of its section 6."""

MARK = b"\xef\xbb\xbf"


def fields(record: Record, sequence: int = 1) -> dict[str, bytes]:
    found = SYNTAX.fullmatch(message(record, sequence))
    assert found
    return found.groupdict()


@pytest.fixture
def record() -> Record:
    [record] = records(1)
    return record


def test_a_record_is_a_message(record: Record) -> None:
    told = fields(record, 17)

    assert decode(told["text"]) == record
    assert told["time"].decode() == record.ts
    assert (told["host"], told["name"], told["process"], told["kind"]) == (b"n1", b"netpol", b"-", b"deny")
    version = netpol.__version__
    assert told["data"].decode() == f'[meta sequenceId="17"][origin software="netpol" swVersion="{version}"]'


@pytest.mark.parametrize(
    ("action", "severity"), [(Action.DENY, 4), (Action.WOULD_DENY, 5), (Action.ALLOW, 6), (Action.UNKNOWN, 4)]
)
def test_the_facility_is_local0_and_the_severity_the_actions(record: Record, action: Action, severity: int) -> None:
    told = fields(msgspec.structs.replace(record, action=action))

    assert divmod(int(told["priority"]), 8) == (16, severity)
    assert told["kind"].decode() == action.value


def test_every_action_has_a_severity(record: Record) -> None:
    assert all(fields(msgspec.structs.replace(record, action=action)) for action in Action)


def test_plain_text_has_no_byte_order_mark_and_other_text_has(record: Record) -> None:
    miss = MissEntry("NetworkPolicy", "web", "allow", "u", 1, 0, ("port",), "für 80/TCP")
    other = msgspec.structs.replace(record, nearest_miss=miss)

    assert fields(record)["text"] == encode(record)
    assert fields(other)["text"] == MARK + encode(other)


@pytest.mark.parametrize(
    ("node", "host"), [("a b\nc", b"a?b?c"), ("", b"-"), ("ü", b"?"), ("n" * 300, b"n" * 255), ("n1.x", b"n1.x")]
)
def test_a_nodes_name_breaks_no_message(record: Record, node: str, host: bytes) -> None:
    assert fields(msgspec.structs.replace(record, node=node))["host"] == host


def test_numbers_begin_again_at_one() -> None:
    assert [following(1), following(MOST_SEQUENCE - 1), following(MOST_SEQUENCE)] == [2, 2_147_483_647, 1]
