"""The flags that say where the audit log goes, and the settings they make."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from netpol.command.audit_arguments import add_audit_arguments, audit_settings
from netpol.errors import UsageError
from netpol.settings import AuditSettings, RecordAddress, RecordFile, RecordFormat, StandardOutput, Transport

MEGABYTE = 1 << 20


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_audit_arguments(parser)
    return parser.parse_args(words)


def settings(*words: str) -> AuditSettings:
    return audit_settings(parsed(*words))


def refusal(*words: str) -> str:
    with pytest.raises(argparse.ArgumentError) as caught:
        parsed(*words)
    return str(caught.value)


def test_without_flags_it_goes_to_standard_output() -> None:
    assert settings() == AuditSettings() == AuditSettings(StandardOutput(), (), 5.0)


def test_the_file_has_the_bounds_it_is_given() -> None:
    assert settings(
        *("--audit-log-path=/var/log/netpol/audit.log", "--audit-log-maxsize=7"),
        *("--audit-log-maxbackup=3", "--audit-log-maxage=2"),
    ).file == RecordFile(Path("/var/log/netpol/audit.log"), 7 * MEGABYTE, 3, 2)


def test_zero_is_no_bound_but_a_hundred_megabytes() -> None:
    flags = ("--audit-log-maxsize=0", "--audit-log-maxbackup=0", "--audit-log-maxage=0")

    assert settings("--audit-log-path=a.log", *flags).file == RecordFile(Path("a.log"), 100 * MEGABYTE, 0, 0)


def test_standard_output_has_no_bounds() -> None:
    assert settings("--audit-log-path=-", "--audit-log-maxsize=7").file == StandardOutput()


def test_an_empty_path_is_no_file() -> None:
    assert settings("--audit-log-path=").file is None


def test_a_file_may_be_there_or_not(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    assert settings(f"--audit-log-path={path}").file == RecordFile(path)
    path.touch()
    assert settings(f"--audit-log-path={path}").file == RecordFile(path)


@pytest.mark.parametrize("end", ["", "/", "/missing/"])
def test_a_directory_is_no_file(tmp_path: Path, end: str) -> None:
    assert "is a directory" in refusal(f"--audit-log-path={tmp_path}{end}")


def test_a_socket_is_no_file_and_has_flags_of_its_own() -> None:
    with TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{place}/log")

        assert "--audit-syslog" in refusal(f"--audit-log-path={place}/log")


@pytest.mark.parametrize("flag", ["--audit-log-maxsize", "--audit-log-maxbackup", "--audit-log-maxage"])
@pytest.mark.parametrize("text", ["-1", "1.5", "ten", "", "٣"])
def test_a_bound_is_a_number(flag: str, text: str) -> None:
    assert f"{flag}: {text!r} is no number" in refusal(f"{flag}={text}")


def test_addresses_are_those_of_both_flags_in_their_order() -> None:
    assert settings(
        *("--audit-syslog=unix:///dev/log", "--audit-syslog=udp://log.example:514"),
        *("--audit-socket", "unix:///run/collector.sock", "--audit-socket=udp://[2001:db8::1]:5140"),
    ).addresses == (
        RecordAddress(RecordFormat.SYSLOG, Transport.UNIX, path="/dev/log"),
        RecordAddress(RecordFormat.SYSLOG, Transport.UDP, host="log.example", port=514),
        RecordAddress(RecordFormat.JSON, Transport.UNIX, path="/run/collector.sock"),
        RecordAddress(RecordFormat.JSON, Transport.UDP, host="2001:db8::1", port=5140),
    )


def test_parsing_twice_does_not_add_up() -> None:
    settings("--audit-syslog=unix:///dev/log")

    assert settings().addresses == ()


@pytest.mark.parametrize("flag", ["--audit-syslog", "--audit-socket"])
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "its scheme is neither unix nor udp"),
        ("/dev/log", "its scheme is neither unix nor udp"),
        ("tcp://log.example:514", "its scheme is neither unix nor udp"),
        ("udp://log.example", "it names no port"),
        ("udp://log.example:", "it names no port"),
        ("udp://log.example:0", "it names no port"),
        ("udp://log.example:65536", "Port out of range 0-65535"),
        ("udp://log.example:syslog", "Port could not be cast"),
        ("udp://:514", "it names no host"),
        ("udp://log..example:514", "it names no host"),
        (f"udp://{'x' * 64}:514", "it names no host"),
        ("udp://[::1:514", "Invalid IPv6 URL"),
        ("udp://log.example:514/path", "it has more than a place"),
        ("udp://me@log.example:514", "it has more than a place"),
        ("udp://log.example:514?facility=local1", "it has more than a place"),
        ("unix://", "whole path must follow"),
        ("unix:///", "whole path must follow"),
        ("unix://dev/log", "whole path must follow"),
        ("unix:dev/log", "whole path must follow"),
        ("unix:///run/logs/", "whole path must follow"),
        (f"unix:///{'x' * 107}", "at most 107 bytes"),
    ],
)
def test_a_url_that_names_no_place_is_refused_with_the_reason(flag: str, url: str, reason: str) -> None:
    told = refusal(f"{flag}={url}")

    assert f"{flag}: {url!r} is not unix:///PATH or udp://HOST:PORT" in told
    assert reason in told


def test_the_longest_path_is_one_that_a_socket_can_have() -> None:
    with TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as listener:
        path = f"{place}/{'x' * (107 - len(place) - 1)}"
        listener.bind(path)
        [address] = settings(f"--audit-socket=unix://{path}").addresses

        assert address.path == path


def test_one_place_is_not_told_twice_but_may_be_in_two_forms() -> None:
    with pytest.raises(UsageError, match=r"json\+unix:///run/x more than once"):
        settings("--audit-socket=unix:///run/x", "--audit-socket=unix:///run/x")

    assert len(settings("--audit-socket=unix:///run/x", "--audit-syslog=unix:///run/x").addresses) == 2


def test_the_window_is_a_length_of_time_above_nothing_and_no_longer_than_a_minute() -> None:
    assert settings("--audit-window=1m").window_seconds == 60
    assert "longer than 60s" in refusal("--audit-window=1m1s")
    assert "not greater than 0" in refusal("--audit-window=0s")
    assert "no length of time" in refusal("--audit-window=5")
