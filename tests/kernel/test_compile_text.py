"""The text of `netpol compile`, loaded by the tools themselves as the docs say, is what `netpol run` writes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from private_network import missing, private_network

from netpol.cli import main
from netpol.settings import Variant

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
WORLDS = sorted((ROOT / "tests/golden").glob("*.yaml"))
SECTION = """awk '/^# ip/ {tool = $2} tool == "%s"'"""


@pytest.fixture
def _network() -> Iterator[None]:
    try:
        with private_network():
            yield
    except OSError as refusal:
        missing(f"no network namespace: {refusal}")


def load(text: str, section: str, *command: str) -> None:
    """The kernel holds this section of the text."""
    part = subprocess.run(["sh", "-c", SECTION % section], input=text, capture_output=True, text=True, check=True)
    assert part.stdout.count("\n") > 1
    done = subprocess.run(command, input=part.stdout, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.usefixtures("_network")
@pytest.mark.parametrize("variant", Variant, ids=lambda variant: variant.value)
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.stem)
def test_what_is_printed_loads_and_leaves_nothing_to_change(
    world: Path, variant: Variant, capsys: pytest.CaptureFixture[str]
) -> None:
    node = ["-f", str(world), "--hostname-override", "n1"]
    assert main(["compile", *node]) == 0
    text = capsys.readouterr().out
    load(text, "ipset", "ipset", "restore")
    for tool in ("iptables", "ip6tables"):
        load(text, f"{tool}-restore", f"{tool}-{variant.value}-restore", "--noflush")
    status = main(["verify", *node, f"--iptables-variant={variant.value}"])
    assert (status, capsys.readouterr().out) == (0, "n1: the kernel holds what the policies ask for\n")


def test_the_docs_say_how_to_load_it() -> None:
    for section, command in (
        ("ipset", "ipset restore"),
        ("iptables-restore", "iptables-restore --noflush"),
        ("ip6tables-restore", "ip6tables-restore --noflush"),
    ):
        assert f"{SECTION % section} rules | {command}" in PAGE
