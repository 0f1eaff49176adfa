"""The table of who reached whom."""

from __future__ import annotations

import re

from netpol.command.contacts import contact_legend, contact_table, totals
from netpol.command.table import ASCII, Look

REACH = {
    "x/a": {"x/b": True, "y/c": False},
    "x/b": {"x/a": True, "y/c": True},
    "y/c": {"x/a": False, "x/b": False},
    "outside/o": {"x/a": True, "x/b": True, "y/c": True},
}
EARLIER = {name: dict.fromkeys(row, True) for name, row in REACH.items()}
PLAIN = Look(ASCII, width=80)


def test_ports_stand_side_by_side_and_changes_are_marked() -> None:
    now = {"80/TCP": REACH, "53/UDP": EARLIER}
    before = {"80/TCP": EARLIER, "53/UDP": EARLIER}
    assert contact_table(now, before, PLAIN) == [
        "       80/TCP   53/UDP",
        "       1 2 3    1 2 3",
        "x",
        "  1 a  . + x*   . + +",
        "  2 b  + . +    + . +",
        "y",
        "  3 c  x*x*.    + + .",
        "outside",
        "    o  + + +    + + +",
    ]


def test_nothing_is_marked_where_nothing_was_before() -> None:
    assert not any("*" in line for line in contact_table({"80/TCP": REACH}, None, PLAIN))


def test_ports_that_do_not_fit_stand_below_each_other() -> None:
    wide = contact_table({"80/TCP": REACH, "81/TCP": REACH}, None, Look(ASCII, width=30))
    narrow = contact_table({"80/TCP": REACH, "81/TCP": REACH}, None, Look(ASCII, width=15))
    assert len(wide) == 9
    assert len(narrow) == 2 * 9 + 1
    assert narrow[9:11] == ["", "       81/TCP"]


def test_columns_are_as_wide_as_their_numbers() -> None:
    names = [f"x/p{number}" for number in range(1, 11)]
    reach = {source: {name: True for name in names if name != source} for source in names}
    lines = contact_table({"80/TCP": reach}, None, PLAIN)
    assert lines[1] == "           1  2  3  4  5  6  7  8  9 10"
    assert lines[3] == "   1 p1    .  +  +  +  +  +  +  +  +  +"
    assert lines[12] == "  10 p10   +  +  +  +  +  +  +  +  +  ."


def test_colours_change_nothing_but_colours() -> None:
    coloured = Look(ASCII, coloured=True)
    lines = contact_table({"80/TCP": REACH}, {"80/TCP": EARLIER}, coloured)
    assert "\x1b[31mx\x1b[0m*" in lines[3]
    plain = [re.sub(r"\x1b\[\d*m", "", line).rstrip() for line in lines]
    assert plain == contact_table({"80/TCP": REACH}, {"80/TCP": EARLIER}, PLAIN)


def test_totals_say_what_changed() -> None:
    assert totals({"80/TCP": REACH}, None, PLAIN) == "pairs that reached each other: 80/TCP 6 of 9"
    assert totals({"80/TCP": REACH}, {"80/TCP": EARLIER}, PLAIN) == "pairs that reached each other: 80/TCP 9 -> 6 of 9"


def test_the_legend_has_the_symbols() -> None:
    assert contact_legend(PLAIN).startswith("+ reached   x not reached   * not so before")
