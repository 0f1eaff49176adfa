"""Rows stand in columns, and every word of them is somewhere at every width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netpol.command.aligned import UNBOUNDED, Aligned, Cell, Column, Fit, Row
from netpol.command.look import ASCII, Look, Paint

COLUMNS = (Column("N", Fit.RIGHT), Column("NAME", Fit.SHORTENED), Column("STATE"))
LONG = "guestbook-frontend-7d9f8c6b5-abcde"


def row(number: str, name: str, state: str, remark: str = "") -> Row:
    return Row((Cell(number), Cell(name), Cell(state)), remark)


def aligned(*rows: Row, width: int = UNBOUNDED) -> list[str]:
    return Aligned(COLUMNS, "WHY", Look(width=width)).lines(rows)


def test_columns_are_as_wide_as_their_widest_cell_and_nothing_trails() -> None:
    assert aligned(row("1", "a", "", "so"), row("100", "web-1", "refused")) == [
        "  N  NAME   STATE    WHY",
        "  1  a               so",
        "100  web-1  refused",
    ]


def test_a_remark_goes_below_where_there_is_no_room_beside() -> None:
    rows = [row("1", "a", "up", "x" * 8), row("2", "b", "up", "x" * 9)]
    assert aligned(*rows, width=24) == [
        "N  NAME  STATE  WHY",
        "1  a     up     xxxxxxxx",
        "2  b     up",
        "    xxxxxxxxx",
    ]


def test_below_it_is_broken_between_words() -> None:
    lines = aligned(row("1", "a", "up", "one two three four five six seven"), width=24)
    assert lines[2:] == ["    one two three four", "    five six seven"]


def test_the_heading_of_remarks_is_left_out_where_there_is_no_room_for_it() -> None:
    assert aligned(row("1", "a", "up", "why not"), width=18)[0] == "N  NAME  STATE"


def test_a_name_loses_its_middle_and_is_whole_in_the_remark() -> None:
    assert aligned(row("1", LONG, "up", "so it is"), width=30) == [
        "N  NAME                  STATE",
        "1  guestbook-…6b5-abcde  up",
        "    name",
        f"    {LONG};",
        "    so it is",
    ]


def test_names_of_which_too_little_is_left_are_only_in_the_remark() -> None:
    assert aligned(row("1", LONG, "up"), width=26)[:2] == ["N  NAME              STATE", "1  guestboo…5-abcde  up"]
    assert aligned(row("1", LONG, "up"), row("2", "web", "up"), width=25) == [
        "N  STATE  WHY",
        "1  up",
        "    name",
        f"    {LONG}",
        "2  up     name web",
    ]


def test_columns_that_are_not_needed_go_before_names_and_the_last_goes_first() -> None:
    columns = (Column("HOW", needed=False), Column("NAME", Fit.SHORTENED), Column("N", Fit.RIGHT, needed=False))
    row = Row((Cell("up"), Cell("a" * 20), Cell("12")), "so")
    shown = {width: Aligned(columns, "WHY", Look(width=width)).lines([row]) for width in (25, 24, 21, 20, 16, 15)}
    assert {width: lines[:2] for width, lines in shown.items()} == {
        25: ["HOW  NAME               N", f"up   {'a' * 8}…{'a' * 7}  12"],
        24: ["HOW  NAME", f"up   {'a' * 9}…{'a' * 9}"],
        21: ["HOW  NAME", f"up   {'a' * 8}…{'a' * 7}"],
        20: ["NAME", "a" * 20],
        16: ["NAME", f"{'a' * 8}…{'a' * 7}"],
        15: ["HOW   N  WHY", "up   12"],
    }
    assert [shown[width][-1] for width in (25, 24, 20)] == ["    so", "    n 12; so", "    how up; n 12; so"]


def test_the_widest_name_is_shortened_first() -> None:
    columns = (Column("FROM", Fit.SHORTENED), Column("TO", Fit.SHORTENED))
    cells = (Cell("a" * 20), Cell("b" * 30))
    assert Aligned(columns, "", Look(width=42)).lines([Row(cells)])[1] == f"{'a' * 20}  bbbbbbbbbb…bbbbbbbbb"
    assert Aligned(columns, "", Look(width=36)).lines([Row(cells)])[1] == "aaaaaaaa…aaaaaaaa  bbbbbbbb…bbbbbbbb"


def test_where_no_column_is_of_names_none_is_shortened() -> None:
    assert Aligned((Column("N"),), "", Look(width=3)).lines([Row((Cell("12345"),))]) == ["N", "12345"]


def test_what_is_shown_later_stands_below_what_was_shown_before() -> None:
    table = Aligned(COLUMNS, "WHY", Look(width=40))
    assert table.lines([]) == []
    assert table.lines([row("1", "web-1", "up")]) == ["N  NAME   STATE  WHY", "1  web-1  up"]
    assert table.lines([row("20", "a", "down", "it fell")]) == ["20  a      down   it fell"]
    assert table.lines([]) == []


def test_the_headings_are_shown_again_where_columns_had_to_go() -> None:
    table = Aligned(COLUMNS, "WHY", Look(width=24))
    assert table.lines([row("1", "guestbook-1", "up")])[0] == "N  NAME         STATE"
    assert table.lines([row("1", "guestbook-1", "not so well")]) == [
        "N  STATE        WHY",
        "1  not so well",
        "    name guestbook-1",
    ]
    assert table.lines([row("2", "web", "up")]) == ["2  up           name web"]


def test_colours_take_no_room() -> None:
    cells = (Cell("1"), Cell("a"), Cell("up", Paint.ALLOWED))
    lines = Aligned(COLUMNS, "WHY", Look(coloured=True)).lines([Row(cells, "so"), row("2", "b", "down")])
    assert lines == [
        "\x1b[1mN\x1b[0m  \x1b[1mNAME\x1b[0m  \x1b[1mSTATE\x1b[0m  \x1b[1mWHY\x1b[0m",
        "1  a     \x1b[32mup\x1b[0m     so",
        "2  b     down",
    ]


def test_a_terminal_is_told_nothing_but_text() -> None:
    assert aligned(row("1", "a\x1b[31mb", "up\n", "\x07so\tit is"))[1] == "1  a?[31mb  up?    ?so?it is"


def test_where_there_is_only_ascii_other_characters_are_replaced() -> None:
    rows = [row("1", f"{LONG}-é", "up", "für")]
    assert Aligned(COLUMNS, "WHY", Look(ASCII, width=30)).lines(rows)[1:] == [
        "1  guestbook-~5-abcde-?  up",
        "    name",
        f"    {LONG}-?;",
        "    f?r",
    ]


WORDS = st.text("abc-", min_size=1, max_size=30)


@given(st.lists(st.builds(row, WORDS, WORDS, WORDS, st.text("abc ")), min_size=1), st.integers(1, 200))
def test_every_word_is_somewhere_at_every_width(rows: list[Row], width: int) -> None:
    text = "\n".join(aligned(*rows, width=width))
    for some in rows:
        assert all(cell.text in text for cell in some.cells)
        assert all(word in text for word in some.remark.split())


@given(st.lists(st.builds(row, WORDS, WORDS, WORDS), min_size=1))
def test_no_row_is_wider_than_asked_for_if_its_other_columns_are_not(rows: list[Row]) -> None:
    assert all(len(line) <= 80 for line in aligned(*rows, width=80))
