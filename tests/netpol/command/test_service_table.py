"""Virtual servers in rows, and in JSON."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest

from netpol.command.aligned import UNBOUNDED
from netpol.command.look import Look
from netpol.command.service_listing import NO_RECORD, ListedServer
from netpol.command.service_table import scheduling_flags, scheduling_words, server_json, service_lines
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from netpol.model.services import SchedulerFlag
from proxy.model import Destination, Forwarding, HeldDestination, HeldServer, Scheduling, ServerAddress, ServerMark
from proxy.ownership import Record

KEY = ServerAddress(ip_address("10.96.0.10"), Protocol.TCP, 80)
ONE, TWO = Destination(ip_address("10.0.0.2"), 8080), Destination(ip_address("10.0.1.3"), 8080)
STAYING, DRAINING = HeldDestination(active=2, inactive=5), HeldDestination(weight=0, active=1)
WEB = ListedServer(
    HeldServer(KEY, Scheduling("lc", persistence_seconds=10800), {ONE: STAYING, TWO: DRAINING}),
    KEY,
    Record("shop/web:http", "cluster"),
    is_ours=True,
)


def lines(*servers: ListedServer, width: int = UNBOUNDED) -> list[str]:
    return service_lines(servers, Look(width=width))


def test_each_endpoint_has_a_row_and_what_is_true_of_all_stands_once() -> None:
    assert lines(WEB) == [
        "SERVICE        FOR      ADDRESS            SCHEDULER            ENDPOINT       WEIGHT  ACTIVE  INACTIVE  NOTE",
        "shop/web:http  cluster  10.96.0.10:80/TCP  lc, affinity 10800s  10.0.0.2:8080       1       2         5",
        f"{'':64}10.0.1.3:8080       0       1         0  draining",
    ]


def test_where_there_is_too_little_room_the_scheduler_goes_below() -> None:
    assert lines(WEB, width=90) == [
        "SERVICE        FOR      ADDRESS            ENDPOINT       WEIGHT  ACTIVE  INACTIVE  NOTE",
        "shop/web:http  cluster  10.96.0.10:80/TCP  10.0.0.2:8080       1       2         5",
        "    scheduler lc, affinity 10800s",
        f"{'':43}10.0.1.3:8080       0       1         0",
        "    draining",
    ]


def test_a_server_without_endpoints_refuses() -> None:
    idle = ListedServer(HeldServer(KEY, Scheduling()), KEY, Record("shop/web:http", "cluster"), is_ours=True)
    (row,) = lines(idle)[1:]
    assert row.split()[3:] == ["rr", "none", "connections", "are", "refused"]


def test_one_that_is_answered_directly_says_by_which_mark() -> None:
    mark = ServerMark(Family.IPV4, 0x4E000001)
    held = HeldServer(mark, Scheduling(), {ONE: HeldDestination(forwarding=Forwarding.TUNNEL)})
    direct = ListedServer(held, KEY, Record("shop/web:http", "external"), is_ours=True)
    assert lines(direct)[1].endswith("  answers directly (mark 0x4e000001 of IPv4)")


def test_of_what_nobody_recorded_only_the_kernel_tells() -> None:
    foreign = ListedServer(HeldServer(ServerMark(Family.IPV6, 7), Scheduling()), None, NO_RECORD, is_ours=False)
    assert lines(foreign)[1].startswith("-        -    mark 0x7 of IPv6  rr ")


@pytest.mark.parametrize(
    ("scheduling", "words"),
    [
        (Scheduling(), "rr"),
        (Scheduling("sh", frozenset({SchedulerFlag.FIRST, SchedulerFlag.SECOND})), "sh fallback port"),
        (Scheduling("mh", frozenset({SchedulerFlag.SECOND}), 60), "mh port, affinity 60s"),
        (Scheduling("wrr", frozenset({SchedulerFlag.FIRST})), "wrr flag-1"),
        (Scheduling("sh", frozenset({SchedulerFlag.THIRD})), "sh flag-3"),
    ],
)
def test_a_scheduler_and_what_it_is_told(scheduling: Scheduling, words: str) -> None:
    assert scheduling_words(scheduling) == words
    assert all(flag in words for flag in scheduling_flags(scheduling))


def test_json_says_the_same() -> None:
    found = server_json(WEB)
    assert json.loads(json.dumps(found)) == found
    endpoints = found.pop("endpoints")
    assert found == {
        "ours": True,
        "service": "shop/web:http",
        "namespace": "shop",
        "name": "web",
        "for": "cluster",
        "address": "10.96.0.10",
        "port": 80,
        "protocol": "TCP",
        "mark": None,
        "scheduler": "lc",
        "flags": [],
        "affinity_seconds": 10800,
    }
    one = {"address": "10.0.0.2", "port": 8080, "forwarding": "masquerade", "weight": 1, "draining": False}
    two = {"address": "10.0.1.3", "port": 8080, "forwarding": "masquerade", "weight": 0, "draining": True}
    counts = {"active": 2, "inactive": 5, "persistent": 0}, {"active": 1, "inactive": 0, "persistent": 0}
    assert endpoints == [one | counts[0], two | counts[1]]


def test_json_of_a_mark_that_nobody_recorded_has_no_address() -> None:
    foreign = ListedServer(HeldServer(ServerMark(Family.IPV4, 7), Scheduling()), None, NO_RECORD, is_ours=False)
    found = server_json(foreign)
    assert (found["ours"], found["service"], found["address"], found["mark"]) == (False, None, None, 7)
