"""Which records are those that a person asks for."""

from __future__ import annotations

import pytest
from audit_records import DB, SHELL, WEB, allowance, at, record

from netpol.audit.reader.selection import PodName, Selection
from netpol.audit.record import Action, Cause, ExternalParty, NodeParty, Record

REFUSAL = record()
LOST = Record.of_lost(REFUSAL.ts, "n1", 12)


@pytest.mark.parametrize(("text", "name"), [("web-1", PodName("web-1")), ("shop/web-1", PodName("web-1", "shop"))])
def test_a_pod_is_named_with_or_without_its_namespace(text: str, name: PodName) -> None:
    assert PodName.parse(text) == name


@pytest.mark.parametrize("text", ["", "/", "/web", "shop/", "a/b/c"])
def test_other_texts_name_none(text: str) -> None:
    with pytest.raises(ValueError, match="neither NAME nor NAMESPACE/NAME"):
        PodName.parse(text)


def test_what_asks_nothing_chooses_all() -> None:
    for some in (REFUSAL, allowance(), LOST):
        assert Selection().chooses(some)
        assert Selection().reaches(some)


@pytest.mark.parametrize(("since", "reached"), [(9.999999, True), (10.0, True), (10.000001, False)])
def test_the_last_packet_says_how_old_a_record_is(since: float, *, reached: bool) -> None:
    assert Selection(since=at(since)).reaches(record(0, 10)) is reached


CHOOSING = [
    Selection(namespaces=frozenset({"shop"})),
    Selection(namespaces=frozenset({"ops"})),
    Selection(namespaces=frozenset({"none", "ops"})),
    Selection(pods=frozenset({PodName("db-1")})),
    Selection(pods=frozenset({PodName("shell", "ops"), PodName("none")})),
    Selection(namespaces=frozenset({"ops"}), pods=frozenset({PodName("shell")})),
    Selection(addresses=frozenset({SHELL.ip})),
    Selection(addresses=frozenset({DB.ip}), pods=frozenset({PodName("db-1")})),
    Selection(pods=frozenset({PodName("db-1")}), peers=frozenset({PodName("shell")})),
    Selection(pods=frozenset({PodName("shell")}), peers=frozenset({"10.0.0.9", DB.ip})),
    Selection(peers=frozenset({PodName("shell", "ops")})),
    Selection(actions=frozenset({Action.ALLOW, Action.DENY})),
    Selection(reasons=frozenset({Cause.IMPLICIT_ISOLATION})),
    Selection(directions=frozenset({"ingress"})),
]

REFUSING = [
    Selection(namespaces=frozenset({"sho"})),
    Selection(pods=frozenset({PodName("db")})),
    Selection(pods=frozenset({PodName("shell", "shop")})),
    # Each is true of an end, and not of the same.
    Selection(namespaces=frozenset({"shop"}), pods=frozenset({PodName("shell")})),
    Selection(addresses=frozenset({DB.ip}), pods=frozenset({PodName("shell")})),
    Selection(addresses=frozenset({WEB.ip})),
    # Both are the same end's.
    Selection(pods=frozenset({PodName("db-1")}), peers=frozenset({PodName("db-1"), DB.ip})),
    Selection(namespaces=frozenset({"ops"}), peers=frozenset({PodName("shell")})),
    Selection(actions=frozenset({Action.ALLOW})),
    Selection(reasons=frozenset({Cause.RULE})),
    Selection(directions=frozenset({"egress"})),
    # One of two flags does not hold.
    Selection(namespaces=frozenset({"shop"}), actions=frozenset({Action.WOULD_DENY})),
]


@pytest.mark.parametrize("selection", CHOOSING)
def test_a_record_is_chosen_by_either_end_and_by_its_verdict(selection: Selection) -> None:
    assert selection.chooses(record(peer=SHELL))


@pytest.mark.parametrize("selection", REFUSING)
def test_a_record_that_lacks_something_is_not(selection: Selection) -> None:
    assert not selection.chooses(record(peer=SHELL))


def test_ends_that_are_no_pods_have_addresses_only() -> None:
    outside = record(subject=ExternalParty("10.0.0.9"), peer=NodeParty("n2", "10.0.0.8"), direction=None)
    assert Selection(addresses=frozenset({"10.0.0.9"})).chooses(outside)
    assert Selection(addresses=frozenset({"10.0.0.8"})).chooses(outside)
    assert not Selection(pods=frozenset({PodName("n2")})).chooses(outside)
    assert not Selection(namespaces=frozenset({""})).chooses(outside)
    assert not Selection(directions=frozenset({"ingress", "egress"})).chooses(outside)


def test_what_only_counts_packets_is_nobodys() -> None:
    assert Selection(reasons=frozenset({Cause.LOST})).chooses(LOST)
    assert not Selection(addresses=frozenset({"10.0.0.9"})).chooses(LOST)
    assert not Selection(peers=frozenset({"10.0.0.9"})).chooses(LOST)
    assert not Selection(peers=frozenset({PodName("web-1")})).chooses(LOST)
    assert not Selection(namespaces=frozenset({"shop"})).chooses(LOST)
