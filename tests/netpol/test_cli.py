"""The whole command line: which command runs, what a person reads, and with which status it ends."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import manifest_directory
import pytest

import netpol
from netpol import cli
from netpol.cli import COMMANDS, INTERRUPTED, main
from netpol.command import matrix, run
from netpol.errors import InputError, KernelRefusal, NetpolError, UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> str:
    return str(manifest_directory.write(tmp_path))


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error; nothing is on standard output."""
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("netpol: ")
    return line.removeprefix("netpol: ")


# --- wrong usage

WRONG = {
    "no command": ([], "COMMAND"),
    "an unknown command": (["enforce"], "invalid choice: 'enforce'"),
    "an unknown flag": (["compile", "-f", "DIR", "--frobnicate"], "--frobnicate"),
    "an unknown flag of the agent": (["--frobnicate"], "unknown: --frobnicate"),
    "an unknown flag in place of one that is missing": (["matrix", "--frobnicate"], "unknown: --frobnicate"),
    "a word too many": (["compile", "-f", "DIR", "more"], "more"),
    "a shortened flag": (["compile", "-f", "DIR", "--hostname", "n1"], "--hostname"),
    "no source": (["compile"], "--source"),
    "a value that is none of the choices": (["compile", "-f", "DIR", "-o", "xml"], "'xml'"),
    "two sources": (["matrix", "-f", "DIR", "-f", "DIR", "-p", "80/TCP"], "--source: may be given only once"),
    "two sources of the demo": (["demo", "-f", "DIR", "--source", "DIR"], "--source: may be given only once"),
    "two nodes": (
        ["compile", "-f", "DIR", "--hostname-override", "n1", "--hostname-override=n2"],
        "--hostname-override: may be given only once",
    ),
    "a port below zero": (
        ["explain", "-f", "DIR", "shop/web", "shop/redis", "-1/TCP"],
        "'-1/TCP' is no PORT/PROTO such as 80/TCP",
    ),
    "a port below zero of several": (
        ["matrix", "-f", "DIR", "-p", "80/TCP", "-p", "-80/TCP"],
        "'-80/TCP' is no PORT/PROTO such as 80/TCP",
    ),
    "a network as an end": (
        ["explain", "-f", "DIR", "10.0.0.0/24", "shop/redis", "80/TCP"],
        "10.0.0.0/24 is a network, which is no end of a connection; an address is",
    ),
    "a switch that is neither": (["compile", "-f", "DIR", "--fail-open=maybe"], "'maybe' is neither true nor false"),
    "a range that is none": (["compile", "-f", "DIR", "--pod-cidr", "10.0.0.1"], "'10.0.0.1' is not a CIDR"),
    "both families off": (
        ["compile", "-f", "DIR", "--enable-ipv4=false", "--enable-ipv6=false"],
        "--enable-ipv4 and --enable-ipv6 are both false",
    ),
    "the router": (["run", "-f", "DIR", "--once", "--run-router"], "--run-router"),
    "the router without a command": (["--source", "DIR", "--once", "--run-router=true"], "--run-router"),
    "no firewall": (["run", "-f", "DIR", "--once", "--run-firewall=false"], "nothing is left to run"),
    "the load balancer": (["run", "-f", "DIR", "--once", "--run-loadbalancer"], "--run-loadbalancer"),
    "no source of the agent": (["run"], "one of --source, --kubeconfig and --master is required"),
    "one port for two": (["run", "-f", "DIR", "--metrics-port=20244"], "--metrics-port and --health-port are both"),
    "a length of time that is none": (
        ["run", "--iptables-sync-period", "5"],
        "--iptables-sync-period: '5' is no length",
    ),
    "a port that is too high": (["run", "--metrics-port=65536"], "--metrics-port: '65536' is no port"),
    "an unknown variant": (["run", "-f", "DIR", "--iptables-variant", "ebtables"], "'ebtables'"),
    "a port that is none": (["matrix", "-f", "DIR", "-p", "http"], "'http'"),
    "a pod that is none": (["explain", "-f", "DIR", "shop/web", "shop/none", "80/TCP"], "shop/none"),
}


@pytest.mark.parametrize(("words", "says"), WRONG.values(), ids=WRONG)
def test_wrong_usage_is_one_line_and_status_2(
    words: list[str], says: str, directory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([directory if word == "DIR" else word for word in words]) == 2
    assert says in complaint(capsys)


# --- wrong input


def test_a_directory_that_is_not_there_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    for command in (["compile"], ["matrix", "-p", "80/TCP"], ["explain", "a/b", "c/d", "80/TCP"]):
        assert main([*command, "-f", str(missing)]) == 2
        assert str(missing) in complaint(capsys)


@pytest.mark.parametrize(
    "content", ["{", "\0", "kind: [", "a: &a [*a]", "- " * 5000, '{"kind": "Pod"', "%YAML 9\n---\n"]
)
@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_no_content_is_a_traceback(
    content: str, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"manifest{suffix}").write_text(content)
    assert main(["compile", "-f", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()
    assert all(line.startswith("netpol: ") for line in printed.err.splitlines())


def test_bytes_that_are_no_text_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.yaml").write_bytes(b"\xff\xfe\xff")
    assert main(["compile", "-f", str(tmp_path)]) == 2
    assert "broken.yaml" in complaint(capsys)


def test_every_problem_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text("{")
    assert main(["compile", "-f", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [name for line in lines for name in ("one", "two") if f"{name}.yaml" in line] == ["one", "two"]


# --- root


@pytest.mark.parametrize("words", [["run", "-f", "DIR", "--once"], ["verify", "-f", "DIR"], ["cleanup"]])
def test_without_root_is_one_line_and_status_1(
    words: list[str], directory: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main([directory if word == "DIR" else word for word in words]) == 1
    assert (
        complaint(capsys) == f"netpol {words[0]} needs root: nobody else sees or changes the kernel's ipsets and rules"
    )


def test_wrong_usage_comes_before_the_want_of_root(
    directory: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["run", "-f", directory, "--run-router"]) == 2
    assert "--run-router" in complaint(capsys)


# --- which command


@pytest.fixture(name="calls")
def _calls(monkeypatch: pytest.MonkeyPatch) -> list[argparse.Namespace]:
    """The arguments that `netpol run` was called with."""
    calls: list[argparse.Namespace] = []

    def record(arguments: argparse.Namespace) -> int:
        calls.append(arguments)
        return 0

    monkeypatch.setattr(run, "run", record)
    return calls


def test_flags_without_a_command_mean_run(calls: list[argparse.Namespace]) -> None:
    """As a DaemonSet gives them."""
    words = ["--run-firewall=true", "--run-router=false", "--hostname-override=n1", "--source", "DIR"]
    assert main(words) == main(["run", *words]) == 0
    assert [vars(each) for each in calls] == [vars(calls[0])] * 2
    assert (calls[0].run_firewall, calls[0].run_router, calls[0].filename) == (True, False, Path("DIR"))


def test_flags_without_a_command_are_taken_from_the_process_too(
    calls: list[argparse.Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["netpol", "--source", "DIR", "--fail-open"])
    assert main() == 0
    assert [each.fail_open for each in calls] == [True]


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([flag])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"netpol {netpol.__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["-h"], *([name, "--help"] for name in COMMANDS)])
def test_help_is_no_run_and_no_error(
    words: list[str], calls: list[argparse.Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert (ended.value.code, calls) == (0, [])
    assert capsys.readouterr().out.startswith("usage: netpol")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(cli.command(name).HELP.split()[0] in text and name in text for name in COMMANDS)


# --- how it ends

ENDS: list[tuple[BaseException, int, list[str]]] = [
    (NetpolError("it failed"), 1, ["netpol: it failed"]),
    (KernelRefusal("refused"), 1, ["netpol: refused"]),
    (UsageError("wrong"), 2, ["netpol: wrong"]),
    (InputError(["one", "two"]), 2, ["netpol: one", "netpol: two"]),
    (KeyboardInterrupt(), INTERRUPTED, []),
]


@pytest.mark.parametrize(("error", "status", "lines"), ENDS)
def test_what_ends_a_command_is_its_status(
    error: BaseException,
    status: int,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(matrix, "run", fail)
    assert main(["matrix", "-f", "DIR", "-p", "80/TCP"]) == status
    assert capsys.readouterr().err.splitlines() == lines


@pytest.mark.parametrize("status", [0, 1])
def test_a_commands_own_status_is_passed_on(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "run", lambda _: status)
    assert main(["matrix", "-f", "DIR", "-p", "80/TCP"]) == status


def test_a_reader_that_goes_away_is_no_error(directory: str) -> None:
    """`netpol compile ... | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "netpol", "compile", "-f", directory, "--hostname-override", "n1"]
    try:
        ended = subprocess.run(words, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_every_command_has_what_the_parser_needs() -> None:
    assert all(cli.command(name).HELP and callable(cli.command(name).run) for name in COMMANDS)


def test_only_the_command_that_is_asked_for_is_imported() -> None:
    seen = "import sys; from netpol.cli import main; main(['matrix', '-p', 'x']); print('pyroute2' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", seen], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


def test_output_that_cannot_be_written_is_one_line_and_status_1() -> None:
    words = [sys.executable, "-m", "netpol", "matrix", "-f", "manifests/examples", "-p", "80/TCP"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(words, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith("netpol: ")


def test_an_unknown_flag_is_named_with_the_help_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--colour"]) == 2
    assert capsys.readouterr().err == "netpol: unknown: --colour (see netpol doctor --help)\n"
