"""Reports are read as they come, however they are cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vm.reports import FILE, Reader

pytestmark = [pytest.mark.vm, pytest.mark.on_host]

CALLED = {"nodeid": "a::b", "when": "call", "outcome": "skipped", "longrepr": ["a.py", 3, "Skipped: why"]}
TORN_DOWN = {"nodeid": "a::b", "when": "teardown", "outcome": "passed", "longrepr": None}


def test_a_report_counts_once_its_line_is_whole(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert reader.read() == 0
    text = "".join(json.dumps(report) + "\n" for report in (CALLED, TORN_DOWN))
    with (tmp_path / FILE).open("w") as file:
        file.write(text[:-5])
        file.flush()
        assert reader.read() == 1
        assert reader.of("a::b") == [{**CALLED, "longrepr": ("a.py", 3, "Skipped: why")}]
        assert not reader.is_whole("a::b")
        file.write(text[-5:])
    assert reader.read() == 1
    assert reader.is_whole("a::b")
    assert reader.of("a::c") == []
    reader.close()
