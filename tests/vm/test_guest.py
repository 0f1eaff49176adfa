"""A guest hands on what becomes of its command, and leaves nothing else behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from private_network import missing
from testbed.processes import processes_naming
from vm.guest import DIED, TIMED_OUT, Guest, require
from vm.host_cpu import NoGuest
from vm.plugin import TESTS
from waiting import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.on_host]

SOON_SECONDS = 60
EVERY_OUTCOME = """
import subprocess
import pytest
pytestmark = pytest.mark.vm
def test_that_passes():
    with open("/proc/version") as version:
        assert "Linux" in version.read()
@pytest.mark.parametrize("word", ["two words", "[]"])
def test_that_fails(word):
    print("printed by the test")
    assert word == "none of them"
def test_that_skips():
    pytest.skip("no reason")
def test_that_ends_the_kernel():
    subprocess.run(["busybox", "poweroff", "-f"])
    subprocess.run(["sleep", "60"])
def test_that_never_runs():
    pass
"""


@pytest.fixture(autouse=True)
def _guests() -> None:
    try:
        require()
    except NoGuest as lack:
        missing(str(lack))


def test_a_command_has_its_status_and_its_output_and_what_it_left(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    script = (
        f"id -un; pwd; echo left > $VM_OUT/file; touch {beside} && echo written; [ -d /proc/sys/net/ipv4/vs ] && exit 3"
    )
    with Guest(tmp_path / "run", ["sh", "-c", script]) as guest:
        assert guest.wait(SOON_SECONDS) == 3
    assert guest.console.split() == ["root", str(Path.cwd()), "written"]
    assert (guest.out / "file").read_text() == "left\n"
    assert not beside.exists()


def test_a_guest_whose_kernel_ends_has_died(tmp_path: Path) -> None:
    with Guest(tmp_path / "run", ["busybox", "poweroff", "-f"]) as guest:
        assert guest.wait(SOON_SECONDS) == DIED


def test_a_guest_that_takes_too_long_is_ended_with_all_of_it(tmp_path: Path) -> None:
    with Guest(tmp_path / "run", ["sh", "-c", "echo begun; sleep 600"]) as guest:
        wait_until(lambda: guest.console == "begun\n", "the command has begun", SOON_SECONDS)
        assert processes_naming(guest.directory)
        assert guest.wait(0) == TIMED_OUT
    wait_until(lambda: not processes_naming(guest.directory), "nothing of it runs")


def test_every_outcome_comes_out_of_the_guest(tmp_path: Path) -> None:
    (tmp_path / "test_outcomes.py").write_text(EVERY_OUTCOME)
    said = pytest_of(tmp_path / "test_outcomes.py")
    assert "== 4 failed, 1 passed, 1 skipped in" in said
    assert re.findall(r"^(PASSED|FAILED|SKIPPED).*?test_outcomes.py:{1,2}(\S+)", said, re.MULTILINE) == [
        ("PASSED", "test_that_passes"),
        ("SKIPPED", "13:"),
        ("FAILED", "test_that_fails[two"),
        ("FAILED", "test_that_fails[[]]"),
        ("FAILED", "test_that_ends_the_kernel"),
        ("FAILED", "test_that_never_runs"),
    ]
    assert said.count("printed by the test") == 2
    assert said.count("no report of this test came out of the guest") >= 2
    assert "the guest's kernel ended" in said


@pytest.mark.parametrize(("required", "outcome"), [("", "skipped"), ("1", "failed")])
def test_a_machine_without_guests_says_what_it_lacks(tmp_path: Path, required: str, outcome: str) -> None:
    (tmp_path / "test_outcomes.py").write_text(EVERY_OUTCOME)
    said = pytest_of(tmp_path / "test_outcomes.py", PATH=str(tmp_path), NETPOL_REQUIRE_ALL=required)
    assert f"== 6 {outcome} in" in said
    assert "no linux.uml on this machine (Debian: user-mode-linux)" in said


def pytest_of(file: Path, **environment: str) -> str:
    """What pytest says of the tests in this file, as of any level's."""
    command = [sys.executable, "-m", "pytest", "-p", "vm.plugin", "-p", "no:randomly", "-p", "no:cacheprovider"]
    settings = [
        f"--config-file={TESTS.parent / 'tox.ini'}",
        f"--rootdir={file.parent}",
        f"--basetemp={file.parent / 't'}",
    ]
    done = subprocess.run(
        [*command, *settings, "-rA", "--color=no", str(file)],
        cwd=file.parent,
        env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout
