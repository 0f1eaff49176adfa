"""What runs the upstream suite rolls out the manifest as it is, but for the flags that it is asked to add."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from testbed import upstream


def arguments(objects: list[dict[str, Any]]) -> list[str]:
    (found,) = (each for each in objects if each["kind"] == "DaemonSet")
    words: list[str] = found["spec"]["template"]["spec"]["containers"][0].pop("args")
    return words


@pytest.mark.parametrize("flags", [[], ["--iptables-variant=legacy", "-v=2"]])
def test_flags_are_added_and_nothing_else_is_changed(flags: list[str]) -> None:
    rolled_out: Any = upstream.firewall(flags)["items"]
    written = list(yaml.safe_load_all(upstream.FIREWALL.read_text()))
    assert arguments(rolled_out) == [*arguments(written), *flags]
    assert rolled_out == written


@pytest.mark.parametrize("refused", ["--family=5", "--focus", "legacy"])
def test_a_word_that_is_not_understood_starts_nothing(refused: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        upstream.main([refused])
