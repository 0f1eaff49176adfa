"""What many records come to: no packet is lost, none made up, and what differs stays apart."""

from __future__ import annotations

import json

import msgspec
from audit_records import ANNOTATION, DB, POLICY, RULE, SHELL, WEB, allowance, at, record
from hypothesis import given
from hypothesis import strategies as st

from netpol.audit.reader.summary import PacketKind, Total, encode_total, folded, is_of_packets, totals
from netpol.audit.record import Action, Cause, ExternalParty, Record
from netpol.model.moments import rfc3339

WEB_2 = msgspec.structs.replace(WEB, name="web-2", uid="uid-of-web-2", ip="10.0.0.3")
KIND = PacketKind(
    Action.DENY, Cause.IMPLICIT_ISOLATION, "ingress", "shop/StatefulSet/db", "shop/Deployment/web", "5432/TCP"
)
LOST = Record.of_lost(rfc3339(at(9)), "n1", 12)


def test_repeats_of_a_verdict_are_one_record() -> None:
    repeats = [record(0, 4, count=3, lost=2), record(10, 14, count=4), record(5, 9, count=1, lost=1)]
    assert folded(repeats) == [record(0, 14, count=8, lost=3)]


def test_repeats_from_several_ports_are_of_none() -> None:
    (fold,) = folded([record(src_port=1), record(src_port=2), record(src_port=1)])
    assert (fold.src_port, fold.count) == (None, 3)


def test_what_differs_in_anything_else_is_apart() -> None:
    different = [
        record(),
        record(node="n2"),
        record(action=Action.WOULD_DENY),
        record(reason=Cause.UNKNOWN),
        record(direction="egress"),
        record(subject=WEB_2),
        record(peer=WEB_2),
        record(protocol="UDP"),
        record(dst_port=5433),
        record(icmp_type=8),
        record(policies=(RULE,)),
        record(isolating=(ANNOTATION,)),
        record(nearest_miss=None),
    ]
    assert folded(different) == different


def test_folds_are_in_the_order_of_their_last_packets() -> None:
    early, late = record(0, peer=SHELL), record(2)
    assert folded([record(1), early, late]) == [early, record(1, 2, count=2)]
    assert folded([early, record(1), msgspec.structs.replace(early, last=rfc3339(at(3)))])[-1].peer == SHELL


def test_what_only_counts_lost_packets_is_no_row() -> None:
    assert (is_of_packets(LOST), is_of_packets(record())) == (False, True)
    assert folded([LOST, record()]) == [record()]
    assert totals([LOST]) == []


def test_packets_between_workloads_are_added_up() -> None:
    later = msgspec.structs.replace(POLICY, generation=4)
    total = Total(
        KIND,
        packets=9,
        subject_pods=1,
        peer_pods=2,
        first=rfc3339(at(0)),
        last=rfc3339(at(30)),
        policies=(),
        isolating=(POLICY, later),
    )
    records = [
        record(10, 30, count=3),
        record(0, 20, count=5, peer=WEB_2),
        record(5, peer=WEB_2, isolating=(later,), nearest_miss=None),
    ]
    assert totals(records) == [total]


def test_what_differs_in_ends_port_reason_action_or_direction_is_not() -> None:
    different = [
        record(count=9),
        record(count=8, peer=SHELL),
        record(count=7, subject=WEB, peer=DB),
        record(count=6, dst_port=5433),
        record(count=5, protocol="UDP"),
        record(count=4, reason=Cause.UNKNOWN),
        record(count=3, action=Action.WOULD_DENY),
        record(count=2, direction="egress"),
        allowance(),
    ]
    assert [total.packets for total in totals(different)] == list(range(9, 0, -1))


def test_the_most_packets_come_first_and_equals_by_their_ends() -> None:
    records = [record(peer=WEB), record(peer=SHELL), record(peer=ExternalParty("10.9.9.9"), count=2)]
    assert [total.kind.peer for total in totals(records)] == ["10.9.9.9", "ops/shell", "shop/Deployment/web"]


def test_ends_that_are_no_pods_are_counted_as_none() -> None:
    (total,) = totals([record(subject=ExternalParty("10.0.0.9"), peer=None)])
    assert (total.kind.subject, total.subject_pods, total.kind.peer, total.peer_pods) == ("10.0.0.9", 0, "-", 0)


def test_pods_of_the_same_name_are_told_apart_by_their_uid() -> None:
    reborn = msgspec.structs.replace(WEB, uid="another")
    (total,) = totals([record(), record(peer=reborn)])
    assert total.peer_pods == 2


def test_a_total_is_one_object_in_json() -> None:
    (total,) = totals([record(0, 30, count=3)])
    assert json.loads(encode_total(total)) == {
        "action": "deny",
        "reason": "implicit-isolation",
        "direction": "ingress",
        "subject": "shop/StatefulSet/db",
        "peer": "shop/Deployment/web",
        "port": "5432/TCP",
        "packets": 3,
        "subject_pods": 1,
        "peer_pods": 1,
        "first": rfc3339(at(0)),
        "last": rfc3339(at(30)),
        "policies": [],
        "isolating": [json.loads(msgspec.json.encode(POLICY))],
    }


RECORDS = st.lists(
    st.builds(
        lambda first, length, count, peer, action: record(first, first + length, count=count, peer=peer, action=action),
        first=st.integers(0, 50),
        length=st.integers(0, 50),
        count=st.integers(1, 9),
        peer=st.sampled_from([WEB, WEB_2, SHELL]),
        action=st.sampled_from(Action),
    )
)


@given(RECORDS)
def test_no_packet_is_lost_and_none_made_up(records: list[Record]) -> None:
    count = sum(some.count for some in records)
    assert sum(some.count for some in folded(records)) == count
    assert sum(total.packets for total in totals(records)) == count


@given(RECORDS)
def test_what_was_folded_comes_to_the_same_totals(records: list[Record]) -> None:
    assert totals(folded(records)) == totals(records)
