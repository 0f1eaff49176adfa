"""The pages a person reads agree with the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

import tree

from netpol.cli import COMMANDS, build_parser

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/commands.md").read_text(encoding="utf-8")

SMALL_PAGE = """
## `netpol look`

| `-f, --filename DIR` | where |
| `--wide` | more of it |

## Others
`--not-a-flag` is only mentioned.
"""


def small_parser(*flags: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    look = parser.add_subparsers().add_parser("look")
    look.add_argument("-f", "--filename")
    for flag in flags:
        look.add_argument(flag)
    return parser


def test_every_command_and_flag_is_described() -> None:
    assert tree.undocumented_flags(build_parser(), PAGE) == []


def test_every_flag_described_exists() -> None:
    assert tree.flags_that_are_gone(build_parser(), PAGE) == []


def test_the_parser_is_looked_at() -> None:
    flags = tree.flags_by_command(build_parser())
    assert flags.keys() == {*COMMANDS, "audit suggest"}
    assert "--output" in flags["doctor"]


def test_a_flag_without_a_description_is_found() -> None:
    assert tree.undocumented_flags(small_parser("--wide", "--deep"), SMALL_PAGE) == [
        "netpol look --deep: not described"
    ]


def test_a_command_without_a_section_is_found() -> None:
    assert tree.undocumented_flags(small_parser(), "## `netpol other`\n`--filename`\n") == ["netpol look: no section"]


def test_a_description_without_a_flag_is_found() -> None:
    assert tree.flags_that_are_gone(small_parser(), SMALL_PAGE) == ["netpol look --wide: no such flag"]
    assert tree.flags_that_are_gone(small_parser("--wide"), SMALL_PAGE) == []


def test_the_readme_names_what_a_person_types_first() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme
    assert [name for name in COMMANDS if f"netpol {name}" not in readme] == []
