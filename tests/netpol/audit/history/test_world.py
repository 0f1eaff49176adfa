"""Who was who at one moment."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import address, namespace, node, pod
from history import NODE, Told

from netpol.audit.history.timeline import NAMED_FOR
from netpol.audit.history.world import Timelines
from netpol.model.networks import parse_network
from netpol.model.treatment import AuditLevel, Treatment
from netpol.policy.judgement import ExternalEnd
from netpol.settings import NodeOptions

A = pod("x/a", "10.0.0.1", node=NODE)
B = pod("x/b", "10.0.0.1", node=NODE)
AT = address("10.0.0.1")
OWN = node(NODE, "10.0.0.254", "192.168.0.1", pod_cidrs=["10.0.0.0/24"])


def test_a_pod_is_named_for_ten_minutes_after_it_is_gone() -> None:
    told = Told(A)
    told.becomes(seconds=10)
    assert [told.at(seconds).departed(AT) for seconds in (5, 15, 610, 610.1)] == [None, A, A, None]


def test_an_address_that_was_used_again_is_not_confused() -> None:
    """Gone twice, a moment says who was meant."""
    told = Told(A)
    for seconds, objects in ((10, ()), (20, (B,)), (30, ())):
        told.becomes(*objects, seconds=seconds)
    assert [told.at(seconds).departed(AT) for seconds in (5, 15, 25, 35)] == [None, A, None, B]


def test_g3_a_finished_pod_has_let_go_of_its_address() -> None:
    told = Told(A)
    told.becomes(replace(A, finished=True), seconds=10)
    assert told.at(15).departed(AT) == A


def test_nobody_is_remembered_longer_however_late_the_question() -> None:
    told = Told(A)
    told.becomes(seconds=10)
    told.becomes(namespace("x"), seconds=10 + NAMED_FOR // 1_000_000)
    assert told.at(610).departed(AT) == A
    assert told.at(611).departed(AT) is None


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("10.0.0.1", False),  # a pod's
        ("10.0.0.9", True),
        ("10.0.0.254", False),  # the node's own, the bridge's say
        ("10.0.0.253", True),  # another node's
        ("192.0.2.1", False),  # not of the range
        ("fd00::1", True),  # of the range that the flag names
    ],
)
def test_g12_what_the_kernel_takes_for_unknown(text: str, *, unknown: bool) -> None:
    options = NodeOptions(NODE, pod_cidrs=(parse_network("10.9.0.0/16"), parse_network("fd00::/64")))
    told = Told(A, OWN, node("n2", "10.0.0.253"), options=options)
    assert told.at(1).is_unknown(address(text)) is unknown


def test_g12_can_be_turned_off() -> None:
    assert not Told(OWN, options=NodeOptions(NODE, fail_open=True)).at(1).is_unknown(address("10.0.0.9"))


def test_x17_what_is_recorded_at_each_moment() -> None:
    options = NodeOptions(NODE, treatment=Treatment(audit=AuditLevel.ALLOWS))
    told = Told(replace(namespace("x"), audit=AuditLevel.NONE), options=options)
    told.becomes(namespace("x"), seconds=10)
    assert told.at(5).audit_level("x") is AuditLevel.NONE
    assert told.at(15).audit_level("x") is AuditLevel.ALLOWS
    assert told.at(5).audit_level("unknown") is AuditLevel.ALLOWS


def test_only_pods_of_this_node_are_local() -> None:
    world = Told(A, replace(pod("x/c", "10.0.1.1"), node="n2"), OWN).at(1)
    local = [world.is_local(world.end_at(address(text))) for text in ("10.0.0.1", "10.0.1.1", "192.168.0.1", "8.8.8.8")]
    assert local == [True, False, False, False]


def test_a_cluster_of_nothing_knows_nobody() -> None:
    assert Timelines.of_nothing().oracle().end_at(AT) == ExternalEnd(AT)
