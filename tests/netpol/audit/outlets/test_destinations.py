"""Each place that is asked for has an outlet, which writes there."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from outlets import NODE, NOW, decoded, records

from netpol.audit.outlets.destinations import outlets
from netpol.audit.outlets.outlet import Outlet
from netpol.audit.record import decode
from netpol.settings import AuditSettings, RecordAddress, RecordFile, RecordFormat, StandardOutput, Transport
from netpol.telemetry.metrics import Metrics

SYSLOG = RecordAddress(RecordFormat.SYSLOG, Transport.UNIX, path="/dev/log")
UDP = RecordAddress(RecordFormat.JSON, Transport.UDP, host="log.example", port=5140)


def made(settings: AuditSettings) -> tuple[Outlet, ...]:
    return outlets(settings, NODE, Metrics(), lambda: NOW)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (AuditSettings(), ["stdout"]),
        (AuditSettings(None), []),
        (AuditSettings(RecordFile(Path("audit.log"))), ["file"]),
        (
            AuditSettings(StandardOutput(), (SYSLOG, UDP)),
            ["stdout", "syslog+unix:///dev/log", "json+udp://log.example:5140"],
        ),
    ],
)
def test_every_place_has_an_outlet_of_its_own_name(settings: AuditSettings, names: list[str]) -> None:
    assert [outlet.name for outlet in made(settings)] == names


def test_a_record_gets_to_each_place(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        address = RecordAddress(RecordFormat.JSON, Transport.UDP, host="127.0.0.1", port=listener.getsockname()[1])
        path = tmp_path / "audit.log"
        each = (*made(AuditSettings(RecordFile(path), (address,))), *made(AuditSettings()))
        for outlet in each:
            outlet.start()
            outlet.put(records(1)[0])
        for outlet in each:
            outlet.stop(5)

        assert [decode(listener.recv(1 << 16))] == records(1)
    assert decoded(path.read_bytes()) == records(1)
    assert decoded(capfdbinary.readouterr().out) == records(1)


def test_a_standard_output_that_is_closed_is_nobody_elses_file(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "__stdout__", None)

    assert made(AuditSettings()) == ()
    assert [record.getMessage() for record in caplog.records] == ["the audit log has no standard output to go to"]
