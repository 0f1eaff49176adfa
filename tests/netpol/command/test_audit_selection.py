"""The flags that choose records, and what is read of a log for them."""

from __future__ import annotations

import argparse
import io
import os
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from audit_records import SHELL, allowance, at, lines, put_aside, record, write
from hypothesis import given
from hypothesis import strategies as st

from netpol.audit.clock import wall_clock
from netpol.audit.reader.lines import MOST_LINE_BYTES
from netpol.audit.reader.selection import PodName, Selection
from netpol.audit.record import Action, Cause, Record
from netpol.command.audit_selection import (
    DEFAULT_PATH,
    add_selection_arguments,
    joined,
    path_of,
    selected_entries,
    selected_records,
    selection_of,
)
from netpol.errors import InputError, UsageError
from netpol.model.moments import SECOND, parse_rfc3339, rfc3339


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_selection_arguments(parser)
    return parser.parse_args(words)


def selected(path: Path, *words: str) -> list[Record]:
    return list(selected_records(parsed("--audit-log-path", str(path), *words)))


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


# --- flags


def test_nothing_is_asked_for_where_nothing_is_said() -> None:
    arguments = parsed()
    assert (selection_of(arguments), path_of(arguments)) == (Selection(), DEFAULT_PATH)
    assert vars(arguments) == {}


def test_each_flag_asks_for_something() -> None:
    arguments = parsed(
        *("--namespace", "shop", "--namespace=ops", "--pod", "web-1", "--pod=ops/shell", "--ip", "FD00::0:1"),
        *("--peer", "db-1", "--peer=ops/shell", "--peer=10.0.0.1"),
        *("--action", "deny", "--action=would-deny", "--reason", "unknown-pod", "--direction", "egress"),
    )
    assert selection_of(arguments) == Selection(
        None,
        frozenset({"shop", "ops"}),
        frozenset({PodName("web-1"), PodName("shell", "ops")}),
        frozenset({"fd00::1"}),
        frozenset({PodName("db-1"), PodName("shell", "ops"), "10.0.0.1"}),
        frozenset({Action.DENY, Action.WOULD_DENY}),
        frozenset({Cause.UNKNOWN_POD}),
        frozenset({"egress"}),
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("2h", 7200), ("1d", 86400), ("1d2h30m", 95400), ("90s", 90), ("0", 0)]
)
def test_a_length_of_time_is_counted_back_from_now(text: str, seconds: int) -> None:
    before = wall_clock()
    since = selection_of(parsed("--since", text)).since
    assert since is not None
    assert before <= since + seconds * SECOND <= wall_clock()


@pytest.mark.parametrize("text", ["2026-01-02T03:04:05.678901Z", "2026-01-02T04:04:05.678901+01:00"])
def test_a_time_is_that_time(text: str) -> None:
    assert selection_of(parsed("--since", text)).since == at(0)


@pytest.mark.parametrize(
    "text", ["99999999d", f"{'9' * 400}d", f"{'9' * 5000}d1h", f"{'9' * 400}s", "1960-01-01T00:00:00Z"]
)
def test_before_the_epoch_there_is_nothing(text: str) -> None:
    assert selection_of(parsed("--since", text)).since == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--since", "yesterday"), "'yesterday' is neither a length of time such as 10m or 1d nor a time such as"),
        (("--since", "2026-01-02"), "'2026-01-02' is neither"),
        (("--since", "d"), "'d' is neither"),
        (("--since", "1d2"), "'1d2' is neither"),
        (("--since", "1m", "--since", "2m"), "may be given only once"),
        (("--audit-log-path", "a", "--audit-log-path", "b"), "may be given only once"),
        (("--audit-log-path", ""), "an empty path names no log"),
        (("--pod", "a/b/c"), "'a/b/c' is neither NAME nor NAMESPACE/NAME"),
        (("--ip", "10.0.0.0/8"), "10.0.0.0/8"),
        (("--peer", "a/b/c"), "'a/b/c' is neither NAME nor NAMESPACE/NAME"),
        (("--action", "refuse"), "'refuse'"),
        (("--reason", "because"), "'because'"),
        (("--direction", "up"), "'up'"),
    ],
)
def test_other_words_are_refused(words: Iterable[str], complaint: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=complaint):
        parsed(*words)


ODD = st.text() | st.from_regex(r"[0-9]{0,400}(\.[0-9]*)?(d|h|m|s|ms|µs|T|Z|[-+:./])*[0-9]{0,40}(h|Z)?", fullmatch=True)
TIMES = st.builds(lambda time, end: time.isoformat() + end, st.datetimes(), st.sampled_from(["Z", "+23:59", "-23:59"]))


@given(ODD | TIMES)
def test_any_words_name_a_time_that_can_be_or_are_refused(text: str) -> None:
    with suppress(argparse.ArgumentError):
        since = selection_of(parsed(f"--since={text}")).since
        assert since is not None
        assert 0 <= since < parse_rfc3339("9999-12-31T23:59:59Z") + 2 * 86400 * SECOND


@given(st.sampled_from(["--pod", "--ip", "--peer", "--namespace"]), ODD)
def test_any_words_name_an_end_or_are_refused(flag: str, text: str) -> None:
    with suppress(argparse.ArgumentError):
        assert selection_of(parsed(f"{flag}={text}")) != Selection()


def test_what_a_subcommand_is_given_adds_to_what_stands_before_it() -> None:
    parser = argparse.ArgumentParser()
    add_selection_arguments(parser)
    after = parser.add_subparsers().add_parser("then")
    add_selection_arguments(after, "then_")
    words = ("--pod", "web", "--ip", "10.0.0.1", "then", "--pod", "db", "--since", "2026-01-02T03:04:05.678901Z")
    assert selection_of(joined(parser.parse_args(words), "then_")) == Selection(
        at(0), pods=frozenset({PodName("web"), PodName("db")}), addresses=frozenset({"10.0.0.1"})
    )
    with pytest.raises(UsageError, match="--since may be given only once"):
        joined(parser.parse_args(["--since", "1h", "then", "--since", "2h"]), "then_")


# --- what is read


def test_the_files_that_were_put_aside_are_read_first(log: Path) -> None:
    records = [record(second) for second in range(4)]
    put_aside(write(log, records[0]), "2026-01-02T03-04-06.000")
    put_aside(write(log, records[1]), "2026-01-02T03-04-07.000")
    write(log, *records[2:])
    assert selected(log) == records
    assert selected(log, "--since", rfc3339(at(1))) == records[1:]


def test_files_that_are_too_old_are_not_read(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_bytes(b"it starts\n")
    put_aside(log, "2026-01-02T03-04-06.000")
    write(log, record(5))
    assert selected(log, "--since", "2026-01-02T03:04:06.500Z") == [record(5)]
    assert capsys.readouterr().err == ""
    assert selected(log) == [record(5)]
    assert capsys.readouterr().err == "netpol: lines that hold no record: 1\n"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_what_only_has_the_name_of_a_file_put_aside_is_passed_over(log: Path, make: Callable[[Path], None]) -> None:
    make(log.with_name("audit-2026-01-02T03-04-06.000.log"))
    put_aside(write(log, record(1)), "2026-01-02T03-04-07.000")
    write(log, record(2))
    assert selected(log) == [record(1), record(2)]


def test_records_of_other_kinds_are_left_out(log: Path) -> None:
    write(log, record(0), allowance(1), record(2, peer=SHELL))
    assert selected(log, "--action", "deny", "--pod", "ops/shell") == [record(2, peer=SHELL)]


def test_a_last_line_without_its_end_is_read_where_it_is_whole(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_bytes(lines([record(0), record(1)])[:-1])
    assert selected(log) == [record(0), record(1)]
    assert capsys.readouterr().err == ""
    log.write_bytes(lines([record(0), record(1)])[:-2])
    assert selected(log) == [record(0)]
    assert capsys.readouterr().err == "netpol: lines that hold no record: 1\n"


def test_what_is_missing_is_said_once_all_is_read(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_bytes(b"it starts\n" + lines([record(0, lost=5), allowance(1, lost=7)]) + b"it ends\n")
    records = selected_records(parsed("--audit-log-path", str(log), "--action", "deny"))
    assert next(records).lost == 5
    assert capsys.readouterr().err == ""
    assert list(records) == []
    assert capsys.readouterr().err.splitlines() == [
        "netpol: lines that hold no record: 2",
        "netpol: packets of that time that are in no record: 12",
    ]


def test_a_log_that_is_not_there_is_an_error_that_says_what_to_do(log: Path) -> None:
    with pytest.raises(InputError, match=r"kubectl .* logs POD \| netpol audit --audit-log-path -") as caught:
        selected(log)
    assert f"there is no audit log {log}: " in str(caught.value)


def test_what_can_be_no_log_is_named(log: Path) -> None:
    directory, loop, listened = log.with_name("directory"), log.with_name("loop"), log.with_name("socket")
    directory.mkdir()
    loop.symlink_to(loop)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(listened))
        for path, what in ((directory, "a directory"), (loop, "a loop of symbolic links"), (listened, "a socket")):
            with pytest.raises(InputError) as caught:
                selected(path)
            assert str(caught.value) == f"{path} is no audit log but {what}"


@pytest.mark.parametrize("read", ["file", "stream"])
def test_a_line_that_is_too_long_is_skipped_and_counted(
    log: Path, read: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write_bytes(lines([record(0)]) + b"x" * (40 * MOST_LINE_BYTES) + b"\n" + lines([record(1)]) + b"rest")
    if read == "stream":
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(log.read_bytes())))
    assert selected(log if read == "file" else Path("-")) == [record(0), record(1)]
    assert capsys.readouterr().err == "netpol: lines that hold no record: 2\n"


def test_an_empty_log_is_none(log: Path) -> None:
    log.touch()
    assert selected(log) == []


def test_standard_input_is_read_as_it_comes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = b"level=info\n" + lines([record(0)]) + b"2026-01-02T03:04:05Z " + lines([record(1)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert selected(Path("-")) == [record(0), record(1)]
    assert capsys.readouterr().err == "netpol: lines that hold no record: 1\n"


def test_a_pipe_with_a_name_is_read_like_standard_input() -> None:
    """As a shell has it in `netpol audit --audit-log-path <(kubectl logs ...)`."""
    reader, writer = os.pipe()
    os.write(writer, lines([record(0)]))
    os.close(writer)
    try:
        assert selected(Path(f"/dev/fd/{reader}")) == [record(0)]
    finally:
        os.close(reader)


def test_each_record_has_its_own_text(log: Path) -> None:
    text = lines([record(0)])[:-2] + b',"cluster":"east"}'
    log.write_bytes(text + b"\n")
    assert [entry.text for entry in selected_entries(parsed("--audit-log-path", str(log)))] == [text]
