"""Of all that changes in nf_tables, what concerns our chains is told, and nothing else."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.compiler.names import is_ours
from netpol.compiler.ruleset import TableName
from netpol.dataplane.netlink import NFTABLES, attribute, number_attribute, text_attribute
from netpol.dataplane.nft_events import Event, decode_events
from netpol.dataplane.ownership import Ownership, Place

WRITER = 4711
DELETE_TABLE, NEW_CHAIN, DELETE_CHAIN, NEW_RULE, DELETE_RULE, NEW_SET, NEW_GENERATION = 2, 3, 5, 6, 8, 9, 15
CHAIN_KINDS = (NEW_CHAIN, DELETE_CHAIN)


def jump(chain: str, name: str = "immediate") -> bytes:
    """The expressions of a rule that counts packets and leads to the chain."""
    verdict = attribute(2, number_attribute(1, 0xFFFFFFFD) + text_attribute(2, chain))
    data = number_attribute(1, 0) + attribute(2, verdict)
    counter, leading = (
        text_attribute(1, each) + attribute(2, inner) for each, inner in (("counter", b""), (name, data))
    )
    return attribute(1, counter) + attribute(1, leading)


def message(
    kind: int, chain: str = "", table: str = "filter", family: int = socket.AF_INET, rule: bytes | None = None
) -> bytes:
    fields = text_attribute(1, table)
    if chain:
        fields += text_attribute(3 if kind in CHAIN_KINDS else 2, chain)
    fields += number_attribute(7, 1) + attribute(4, text_attribute(1, "NETPOL-INPUT") if rule is None else rule)
    head = struct.pack("=IHHII", 20 + len(fields), NFTABLES | kind, 0, 1, WRITER)
    return head + struct.pack("=BBH", family, 0, 0) + fields


@pytest.mark.parametrize(
    ("kind", "chain", "words"),
    [
        (NEW_RULE, "NETPOL-INPUT", "chain NETPOL-INPUT of the filter table of IPv4 was given a rule"),
        (DELETE_RULE, "NETPOL-INPUT", "chain NETPOL-INPUT of the filter table of IPv4 was bereft of a rule"),
        (NEW_CHAIN, "NETPOL-TCP", "chain NETPOL-TCP of the filter table of IPv4 was made"),
        (DELETE_CHAIN, "NETPOL-TCP", "chain NETPOL-TCP of the filter table of IPv4 was deleted"),
        (NEW_RULE, "FORWARD", "chain FORWARD of the filter table of IPv4 was given a rule"),
        (DELETE_RULE, "OUTPUT", "chain OUTPUT of the filter table of IPv4 was bereft of a rule"),
        (DELETE_CHAIN, "INPUT", "chain INPUT of the filter table of IPv4 was deleted"),
        (DELETE_TABLE, "", "the filter table of IPv4 was deleted"),
    ],
)
def test_what_concerns_us(kind: int, chain: str, words: str) -> None:
    assert list(decode_events(message(kind, chain))) == [Event(words, WRITER)]
    assert list(decode_events(message(kind, chain, family=socket.AF_INET6))) == [
        Event(words.replace("IPv4", "IPv6"), WRITER)
    ]


@pytest.mark.parametrize(
    "other",
    [
        message(NEW_RULE, "KUBE-SERVICES"),
        message(NEW_RULE, "NETPOL-mine"),
        message(NEW_CHAIN, "NETPOL-SERVICE-INPUT"),
        message(NEW_RULE, "NETPOL-SERVICE-INPUT"),
        message(DELETE_RULE, "NETPOL-SERVICE-INPUT"),
        message(NEW_RULE, "INPUT", rule=jump("NETPOL-SERVICE-INPUT")),
        message(DELETE_RULE, "INPUT", rule=jump("NETPOL-SERVICE-INPUT")),
        message(NEW_RULE, "PREROUTING"),
        message(NEW_RULE, "MY-INPUT"),
        message(NEW_CHAIN, "INPUT"),
        message(NEW_RULE, "INPUT", table="nat"),
        message(DELETE_TABLE, table="nat"),
        message(NEW_RULE, "NETPOL-INPUT", family=1),
        message(NEW_SET, "NETPOL-INPUT"),
        message(NEW_GENERATION),
    ],
)
def test_what_does_not(other: bytes) -> None:
    assert list(decode_events(other)) == []
    beside = decode_events(other + message(NEW_RULE, "NETPOL-INPUT") + other)
    assert [event.words for event in beside] == ["chain NETPOL-INPUT of the filter table of IPv4 was given a rule"]


@pytest.mark.parametrize("rule", [b"", jump("KUBE-FORWARD"), jump("NETPOL-INPUT"), jump("NETPOL-SERVICE-INPUT", "log")])
def test_any_other_rule_behind_a_hook_may_come_before_ours(rule: bytes) -> None:
    (event,) = decode_events(message(NEW_RULE, "INPUT", rule=rule))
    assert event.words == "chain INPUT of the filter table of IPv4 was given a rule"


def test_a_neighbours_rule_in_a_chain_of_ours_concerns_us() -> None:
    (event,) = decode_events(message(NEW_RULE, "NETPOL-INPUT", rule=jump("NETPOL-SERVICE-INPUT")))
    assert event.words == "chain NETPOL-INPUT of the filter table of IPv4 was given a rule"


def test_of_another_writer_its_own_chains_and_tables_count() -> None:
    proxys = Ownership(lambda name: name == "NETPOL-SERVICE-INPUT", is_ours, Place.BEHIND, (TableName.NAT,))
    told = (
        message(NEW_RULE, "NETPOL-SERVICE-INPUT", table="nat")
        + message(NEW_RULE, "PREROUTING", table="nat")
        + message(DELETE_TABLE, table="nat")
    )
    untold = (
        message(NEW_RULE, "NETPOL-SERVICE-INPUT")
        + message(NEW_RULE, "NETPOL-INPUT", table="nat")
        + message(NEW_RULE, "FORWARD", table="nat")
        + message(NEW_RULE, "INPUT", table="nat", rule=jump("NETPOL-INPUT"))
        + message(DELETE_TABLE)
    )
    assert [event.words for event in decode_events(untold + told, proxys)] == [
        "chain NETPOL-SERVICE-INPUT of the nat table of IPv4 was given a rule",
        "chain PREROUTING of the nat table of IPv4 was given a rule",
        "the nat table of IPv4 was deleted",
    ]


@given(st.binary(max_size=60), st.integers(0, 60), st.integers(0, 15))
def test_any_bytes_are_read_to_their_end(noise: bytes, cut: int, kind: int) -> None:
    head = struct.pack("=IHHII", 16 + len(noise), NFTABLES | kind, 0, 1, WRITER)
    for datagram in (noise, head + noise, message(NEW_RULE, "NETPOL-INPUT")[:cut]):
        assert len(list(decode_events(datagram))) <= 1
    assert len(list(decode_events(message(NEW_RULE, "INPUT", rule=noise)))) <= 1
