"""`netpol audit` as a person runs it: real files, real pipes, and what it ends with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import manifest_directory
import pytest
from audit_records import SHELL, allowance, lines, put_aside, record, refusal, write

from netpol.audit.reader.summary import encode_total, totals
from netpol.audit.record import PodParty, Record, encode
from netpol.cli import INTERRUPTED, main

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 20.0

HEADINGS = ["TIME", "ACTION", "DIR", "SUBJECT", "PEER", "PORT", "COUNT", "WHY"]


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> Path:
    """A log that was rotated: a refusal twice, another and an allowed packet."""
    log = tmp_path / "audit.log"
    put_aside(write(log, record(0), allowance(10)), "2026-01-02T03-04-16.000")
    return write(log, record(20, count=2, lost=12), record(30, peer=SHELL))


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def run(log: Path, *words: str) -> int:
    return main(["audit", "--audit-log-path", str(log), *words])


def command(log: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "netpol", "audit", "--audit-log-path", str(log), *words]


def environment_of(changes: Mapping[str, str]) -> dict[str, str]:
    """What Python has of the environment: the C library has a terminal's width in it, which readline put there."""
    return {**os.environ, **changes}


def piped(
    log: Path, *words: str, text: bytes = b"", environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[bytes]:
    """The command once it has ended, which was told `text` and wrote to pipes."""
    return subprocess.run(
        command(log, *words),
        cwd=ROOT,
        env=environment_of(environment),
        input=text,
        capture_output=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


# --- the table


def test_repeats_are_folded_across_files(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(log) == 0
    printed = capsys.readouterr()
    heading, *rows = [line.split() for line in printed.out.splitlines()]
    assert heading == HEADINGS
    assert [row[:9] for row in rows] == [
        [
            "2026-01-02T03:04:15Z",
            "allow",
            "ingress",
            "shop/db-1",
            "shop/web-1",
            "5432/TCP",
            "allowed",
            "by",
            "ingress[0]",
        ],
        ["2026-01-02T03:04:25Z", "deny", "ingress", "shop/db-1", "shop/web-1", "5432/TCP", "3", "in", "20s;"],
        [
            "2026-01-02T03:04:35Z",
            "deny",
            "ingress",
            "shop/db-1",
            "ops/shell",
            "5432/TCP",
            "isolated",
            "by",
            "NetworkPolicy",
        ],
    ]
    assert printed.err == "netpol: packets of that time that are in no record: 12\n"


def test_the_flags_choose(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(log, "--since", "2026-01-02T03:04:10Z", "--namespace", "shop", "--action=deny", "--pod=web-1") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["TIME", "2026-01-02T03:04:25Z"]


def test_it_is_as_wide_as_the_terminal(
    log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    assert run(log) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[:2] == [
        "2026-01-02  ACTION  DIR      SUBJECT    PEER        PORT      COUNT  WHY",
        "03:04:15Z   allow   ingress  shop/db-1  shop/web-1  5432/TCP",
    ]
    assert max(map(len, table)) <= 90


@pytest.mark.parametrize("flag", ["--summary=false", "--summary"])
def test_nothing_found_is_said(log: Path, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(log, "--namespace", "none", "--since", "2026-01-02T03:04:30Z", flag) == 0
    assert capsys.readouterr() == ("", "netpol: no record is as asked for\n")


# --- JSON and totals


def test_json_is_the_log_as_it_is(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    later = encode(record(40))[:-1] + ',"note":"später"}'.encode()
    with log.open("ab") as file:
        file.write(b"no record\n" + later + b"\n")
    assert run(log, "-o", "json") == 0
    printed = capsys.readouterr()
    known = [record(0), allowance(10), record(20, count=2, lost=12), record(30, peer=SHELL)]
    assert printed.out.encode() == lines(known) + later + b"\n"
    assert printed.err.splitlines()[0] == "netpol: lines that hold no record: 1"


def test_totals_are_the_most_packets_first(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(log, "--summary") == 0
    heading, *rows = [line.split()[:6] for line in capsys.readouterr().out.splitlines()]
    assert heading == ["PACKETS", "ACTION", "DIR", "SUBJECT", "PEER", "PORT"]
    assert rows == [
        ["3", "deny", "ingress", "shop/StatefulSet/db", "shop/Deployment/web", "5432/TCP"],
        ["1", "deny", "ingress", "shop/StatefulSet/db", "ops/shell", "5432/TCP"],
        ["1", "allow", "ingress", "shop/StatefulSet/db", "shop/Deployment/web", "5432/TCP"],
    ]


def test_totals_as_json_are_a_line_each(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(log, "--summary", "-o", "json", "--action", "deny") == 0
    expected = totals([record(0), record(20, count=2), record(30, peer=SHELL)])
    assert capsys.readouterr().out.encode().splitlines() == [encode_total(total) for total in expected]


def test_json_is_written_whatever_the_encoding_of_the_output(log: Path) -> None:
    log.write_bytes(encode(record(40))[:-1] + ',"note":"später"}\n'.encode())
    ended = piped(log, "-o", "json", environment={"PYTHONIOENCODING": "ascii"})
    assert json.loads(ended.stdout.splitlines()[-1])["note"] == "später"


# --- wrong usage


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--follow", "--summary"], "--follow and --summary exclude each other"),
        (["--follow", "--summary=true", "-o", "json"], "--follow and --summary exclude each other"),
        (["forget"], "invalid choice: 'forget'"),
        (["--forget"], "unknown: --forget"),
        (["--since", "yesterday"], "--since: 'yesterday' is neither"),
        (["--summary=true", "suggest"], "--follow, --summary and --output are none of netpol audit suggest"),
        (["-o", "json", "suggest"], "--follow, --summary and --output are none of netpol audit suggest"),
        (["--follow=true", "suggest"], "--follow, --summary and --output are none of netpol audit suggest"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    words: list[str], says: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(log, *words) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert says in printed.err


def test_a_log_that_is_not_there_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none.log") == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert "none.log" in printed.err


@pytest.mark.parametrize("words", [[], ["--follow"], ["--summary"]])
def test_a_log_that_is_a_directory_is_one_line_and_status_2(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, *words) == 2
    assert capsys.readouterr() == ("", f"netpol: {tmp_path} is no audit log but a directory\n")


# --- the subcommand


def suggested(log: Path, before: Sequence[str], after: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The policies suggested where these flags stand on either side of the subcommand."""
    manifests = manifest_directory.write(log.parent) / "manifests.yaml"
    assert run(log, *before, "suggest", "-f", str(manifests), *after) == 0
    return capsys.readouterr().out


def test_flags_count_before_the_subcommand_and_after_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    redis, web = (PodParty("shop", name, "", "", "") for name in ("redis", "web"))
    shell = PodParty("ops", "shell", "", "", "")
    log = write(tmp_path / "audit.log", *(refusal(redis, peer, 6380) for peer in (web, shell)), refusal(web, shell))
    of_redis, by_web, by_shell = ("--pod", "redis"), ("--peer", "web"), ("--peer", "ops/shell")
    both = suggested(log, (*by_web, *by_shell), (), capsys)
    assert suggested(log, by_web, by_shell, capsys) == suggested(log, (), (*by_web, *by_shell), capsys) == both
    partners = ("shop/web on 6380/TCP", "ops/shell on 6380/TCP", "ops/shell on 80/TCP")
    assert [partner in both for partner in partners] == [True, True, True]
    one = suggested(log, of_redis, by_shell, capsys)
    assert [partner in one for partner in partners] == [False, True, False]


@pytest.mark.parametrize(("flag", "value"), [("--since", "1h"), ("--audit-log-path", "audit.log")])
def test_what_may_be_given_once_is_refused_on_both_sides_of_the_subcommand(
    flag: str, value: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifests = manifest_directory.write(log.parent) / "manifests.yaml"
    before = () if flag == "--audit-log-path" else (flag, value)
    assert run(log, *before, "suggest", "-f", str(manifests), flag, value) == 2
    assert capsys.readouterr() == ("", f"netpol: {flag} may be given only once\n")


# --- following


@contextmanager
def following(log: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The command under way, which Ctrl-C reaches as in a shell; it is killed where it does not end."""
    ours = signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command(log, "--follow", *words),
        cwd=ROOT,
        env=environment_of({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        signal.signal(signal.SIGINT, ours)
        watch = signal.signal(signal.SIGALRM, lambda *_: process.kill())
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)
        try:
            yield process
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, watch)
            process.kill()


def read(process: subprocess.Popen[str], number: int) -> list[str]:
    """So many lines, as soon as they are there."""
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(number)]


def test_records_are_printed_as_they_are_written_and_ctrl_c_ends_it(log: Path) -> None:
    with following(log) as process:
        assert [line.split()[:2] for line in read(process, 3)] == [
            ["TIME", "ACTION"],
            ["2026-01-02T03:04:25Z", "deny"],
            ["2026-01-02T03:04:35Z", "deny"],
        ]
        write(log, record(40))
        assert read(process, 1)[0].startswith("2026-01-02T03:04:45Z  deny")
        put_aside(log, "2026-01-02T03-04-50.000")
        write(log, record(50), Record.of_lost(record(50).ts, "n1", 12), record(51))
        assert [line.split()[0] for line in read(process, 2)] == ["2026-01-02T03:04:55Z", "2026-01-02T03:04:56Z"]
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, rest) == (INTERRUPTED, "")
    assert said == "netpol: packets of that time that are in no record: 12\n"


def test_json_is_followed_too(log: Path) -> None:
    with following(log, "-o", "json", "--since", "2026-01-02T03:04:30Z") as process:
        assert read(process, 1) == [encode(record(30, peer=SHELL)).decode() + "\n"]
        write(log, record(40), record(41))
        assert read(process, 2) == [encode(record(second)).decode() + "\n" for second in (40, 41)]


def test_it_ends_when_its_reader_has_gone_though_nothing_is_written(log: Path) -> None:
    with following(log) as process:
        read(process, 1)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        assert (process.wait(PATIENCE_SECONDS), said) == (0, "")


def test_standard_input_is_followed_to_its_end() -> None:
    text = b"the agent starts\n" + lines([record(0), record(1, peer=SHELL), record(2)])
    ended = piped(Path("-"), "--follow", "--pod", "web-1", text=text)
    assert [line.split()[0] for line in ended.stdout.splitlines()[1:]] == [
        b"2026-01-02T03:04:05Z",
        b"2026-01-02T03:04:07Z",
    ]
    assert (ended.returncode, ended.stderr) == (0, b"netpol: lines that hold no record: 1\n")
