"""The parts of an audit log work together: what a kernel logs is in the file, as long as it is asked for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from builders import namespace
from live_node import wait_until
from logging_rules import logged_arriving, refuse_arriving
from prometheus_client import CollectorRegistry

from netpol.audit.clock import wall_clock
from netpol.audit.record import Cause, Record, decode
from netpol.audit.recording import recording
from netpol.model.facts import Fact, Key, Kind
from netpol.settings import AuditSettings, RecordFile, NodeOptions
from netpol.telemetry.metrics import Metrics

FACTS = (Fact(Key(Kind.NAMESPACE, "", "x"), namespace("x")),)


def records(path: Path) -> list[Record]:
    return [decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def send(number: int) -> None:
    """So many packets meet the rule."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(number):
            sender.sendto(b"x", ("127.0.0.1", 99))


@pytest.mark.kernel
def test_what_the_kernel_logs_is_in_the_file_and_at_the_end_all_of_it(private_network: None, tmp_path: Path) -> None:
    refuse_arriving("-p udp --dport 99", "1:NETPOL-INVALID")
    path = tmp_path / "audit.log"
    settings = AuditSettings(RecordFile(path), window_seconds=0.2)
    with recording(NodeOptions("n1"), settings, Metrics(CollectorRegistry())) as recorder:
        recorder.follow(FACTS, 0, wall_clock())
        wait_until(lambda: is_listening(100), "the group is read")
        send(3)
        wait_until(lambda: records(path), "a record")
        send(4)
    assert sum(record.count + record.lost for record in records(path)) == 7 == logged_arriving()
    assert {(record.node, record.reason) for record in records(path)} == {("n1", Cause.INVALID)}
    assert not is_listening(100)


@pytest.mark.kernel
def test_it_listens_where_it_is_told_to(private_network: None, tmp_path: Path) -> None:
    entered = list[bool]()

    @contextmanager
    def enter() -> Iterator[None]:
        entered.append(True)
        yield

    settings = AuditSettings(RecordFile(tmp_path / "audit.log"))
    with recording(NodeOptions("n1"), settings, Metrics(CollectorRegistry()), enter):
        wait_until(lambda: entered, "the namespace is entered")
        wait_until(lambda: is_listening(100), "the group is read")


def is_listening(group: int) -> bool:
    """True where somebody has the group, in the network namespace of this thread."""
    lines = Path("/proc/thread-self/net/netfilter/nfnetlink_log").read_text(encoding="ascii").splitlines()
    return any(int(line.split()[0]) == group for line in lines)
