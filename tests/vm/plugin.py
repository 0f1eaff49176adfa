"""pytest's side of the levels that run in a guest: one boot for all their tests, whose reports come out here.

The tests are collected here, run there, and reported here one by one: one summary, `-k`, `-x` and node ids as usual.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from private_network import EVERYTHING_REQUIRED
from testbed.level_images import made_for_a_guest
from vm.guest import DIED, IN_GUEST, LOOK_SECONDS, MEMORY_MB, TIMED_OUT, Guest
from vm.host_cpu import NoGuest
from vm.reports import Reader, Report, Writer

TESTS = Path(__file__).parents[1]
HOST_MARK = "on_host"
PASSED_ON = ("CI", "NETPOL_REQUIRE_ALL", "NETPOL_TESTBED")
LAST_WORDS = 6000
DUMP_SECONDS = 20
"""How long before the guest is given up its pytest prints where every thread stands."""


@dataclass(frozen=True, slots=True)
class Level:
    """A mark whose tests share a guest.

    `patience_seconds` is how long the next report may take; the first one's includes the boot. `prepare` is called
    before it, and returns environment variables for the guest.
    """

    mark: str
    memory_mb: int
    patience_seconds: float
    prepare: Callable[[], Mapping[str, str]] = dict


LEVELS = (Level("vm", MEMORY_MB, 180), Level("vm_e2e", 3000, 900, made_for_a_guest))


class LevelRun:
    """The tests of one level, running in their guest."""

    def __init__(self, level: Level, config: pytest.Config, tests: Sequence[str], directory: Path) -> None:
        self._patience_seconds = level.patience_seconds
        dump = level.patience_seconds - DUMP_SECONDS
        command = [
            *(sys.executable, "-m", "pytest", f"--rootdir={config.rootpath}", f"--config-file={config.inipath}"),
            *(
                "-p",
                "vm.plugin",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:randomly",
                "-p",
                "no:xdist",
                "--tb=short",
                "--color=no",
                "-q",
            ),
            *("-o", f"faulthandler_timeout={dump:g}", *tests),
        ]
        passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment = {**passed_on, **level.prepare(), "PYTHONPATH": str(TESTS)}
        # Node ids are paths from there.
        place = config.rootpath
        self._guest = Guest(directory, command, environment=environment, place=place, memory_mb=level.memory_mb)
        self._reader = Reader(self._guest.out)

    def reports_of(self, test: str) -> list[Report]:
        """All reports of the test, waited for until it has ended or nothing more is to be expected."""
        last = time.monotonic()
        while not self._reader.is_whole(test):
            was_running = self._guest.is_running()
            if self._reader.read():
                last = time.monotonic()
            elif not was_running:
                break
            elif time.monotonic() > last + self._patience_seconds:
                self._guest.wait(0)
            else:
                time.sleep(LOOK_SECONDS)
        return self._reader.of(test)

    def is_whole(self, test: str) -> bool:
        """True where the test ran to its end."""
        return self._reader.is_whole(test)

    def why_no_report(self) -> str:
        """What to say of a test that nothing is known of."""
        status = self._guest.wait(0)
        how = {TIMED_OUT: "the guest was given up", DIED: "the guest's kernel ended"}.get(status, f"status {status}")
        return f"no report of this test came out of the guest ({self._guest.directory}): {how}\n{self._last_words()}"

    def close(self) -> None:
        """The guest is gone."""
        self._guest.kill()
        self._reader.close()

    def _last_words(self) -> str:
        kernel = (self._guest.directory / "kernel").read_text(errors="replace")
        return self._guest.console[-LAST_WORDS:] + kernel[-LAST_WORDS:]


class Levels:
    """The plugin of pytest on the host."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._runs: dict[Level, LevelRun | NoGuest] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Called by pytest to run a test; None leaves it to others."""
        level = level_of(item)
        if level is None:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports(self._run(level, item.session), item):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        # What a test before it, that ran here, left for it in common: pytest's own protocol ends that after each.
        cast(Any, item.session)._setupstate.teardown_exact(nextitem)
        return True

    def pytest_sessionfinish(self) -> None:
        """Called by pytest."""
        for run in self._runs.values():
            if isinstance(run, LevelRun):
                run.close()

    def _run(self, level: Level, session: pytest.Session) -> LevelRun | NoGuest:
        if level not in self._runs:
            tests = [item.nodeid for item in session.items if level_of(item) is level]
            factory: pytest.TempPathFactory = cast(Any, self._config)._tmp_path_factory
            try:
                self._runs[level] = LevelRun(level, self._config, tests, factory.mktemp(level.mark))
            except NoGuest as lack:
                self._runs[level] = lack
        return self._runs[level]

    def _reports(self, run: LevelRun | NoGuest, item: pytest.Item) -> list[pytest.TestReport]:
        if isinstance(run, NoGuest):
            return [_absent(item, str(run))]
        from_serializable = self._config.hook.pytest_report_from_serializable
        found = [from_serializable(config=self._config, data=data) for data in run.reports_of(item.nodeid)]
        return found if run.is_whole(item.nodeid) else [*found, _failed(item, run.why_no_report())]


def level_of(item: pytest.Item) -> Level | None:
    """The level whose guest the test runs in; None where it runs here."""
    if item.get_closest_marker(HOST_MARK) is not None:
        return None
    return next((level for level in LEVELS if item.get_closest_marker(level.mark) is not None), None)


def pytest_configure(config: pytest.Config) -> None:
    """Called by pytest."""
    if IN_GUEST in os.environ:
        config.pluginmanager.register(Writer(config, Path(os.environ["VM_OUT"])), "vm-reports")
    else:
        config.pluginmanager.register(Levels(config), "vm-levels")


def _absent(item: pytest.Item, reason: str) -> pytest.TestReport:
    if EVERYTHING_REQUIRED:
        return _failed(item, reason)
    place = (str(item.path), item.location[1] or 0, f"Skipped: {reason}")
    return pytest.TestReport(item.nodeid, item.location, {}, "skipped", place, "setup")


def _failed(item: pytest.Item, reason: str) -> pytest.TestReport:
    return pytest.TestReport(item.nodeid, item.location, {}, "failed", reason, "call")
