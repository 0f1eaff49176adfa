"""What became of each test in a guest, handed from pytest there to pytest here, line by line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TextIO

import pytest

FILE = "reports.jsonl"

Report = dict[str, Any]
"""A report as pytest makes JSON of it."""


class Writer:
    """The plugin of pytest in the guest: each report is in the file, and seen by the host, as it comes."""

    def __init__(self, config: pytest.Config, directory: Path) -> None:
        self._config = config
        self._file = (directory / FILE).open("a", encoding="utf-8")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._file.write(json.dumps(data, default=str) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def pytest_unconfigure(self) -> None:
        """Called by pytest."""
        self._file.close()


class Reader:
    """The reports that have come so far, by test."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._file: TextIO | None = None
        self._begun = ""
        self._by_test: dict[str, list[Report]] = {}

    def read(self) -> int:
        """How many reports came since the last call."""
        if self._file is None:
            if not self._path.exists():
                return 0
            self._file = self._path.open(encoding="utf-8")
        *lines, self._begun = (self._begun + self._file.read()).split("\n")
        for line in lines:
            report = json.loads(line)
            if isinstance(report.get("longrepr"), list):
                # A skip's place and reason, which JSON cannot tell from a list.
                report["longrepr"] = tuple(report["longrepr"])
            self._by_test.setdefault(report["nodeid"], []).append(report)
        return len(lines)

    def of(self, test: str) -> list[Report]:
        """The reports of one test, in order."""
        return self._by_test.get(test, [])

    def is_whole(self, test: str) -> bool:
        """True where no further report of this test comes."""
        return any(report["when"] == "teardown" for report in self.of(test))

    def close(self) -> None:
        """The file is closed."""
        if self._file is not None:
            self._file.close()
