from __future__ import annotations

import io
import re

import pytest

from netpol.command.table import ASCII, UNICODE, Look, Symbols, grid, legend, look_of
from netpol.policy.reachability import Reachability

ESCAPE = re.compile(r"\x1b\[[0-9]+m")


def reach(*names: str, refused: tuple[tuple[str, str], ...] = ()) -> Reachability:
    return {source: {name: (source, name) not in refused for name in names if name != source} for source in names}


def many(count: int, namespaces: int = 3) -> Reachability:
    return reach(*sorted(f"team-{number % namespaces}/workload-{number}" for number in range(count)))


def test_rows_carry_names_and_columns_their_numbers() -> None:
    answers = reach("db/redis", "web/frontend", "web/job", refused=(("web/job", "db/redis"), ("db/redis", "web/job")))
    assert grid("6379/TCP", answers, Look()) == [
        "6379/TCP: 4 of 6 pairs of 3 pods allowed, 2 refused",
        "",
        "              1  2 3",
        "db",
        "  1 redis     ·  ✓ ✗",
        "web",
        "  2 frontend  ✓  · ✓",
        "  3 job       ✗  ✓ ·",
    ]


def test_numbers_of_two_digits_are_read_from_top_to_bottom() -> None:
    lines = grid("80/TCP", many(11, namespaces=1), Look())
    assert lines[2:4] == [
        "                                    1 1",
        "                  1 2 3 4 5 6 7 8 9 0 1",
    ]
    assert lines[5] == "   1 workload-0   · ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓"
    assert lines[-1] == "  11 workload-9   ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓ ·"


def test_no_pods() -> None:
    assert grid("80/TCP", {}, Look()) == ["80/TCP: there are no actionable pods"]


def test_one_pod() -> None:
    assert grid("80/TCP", reach("x/a"), Look()) == [
        "80/TCP: 0 of 0 pairs of 1 pod allowed, 0 refused",
        "",
        "       1",
        "x",
        "  1 a  ·",
    ]


@pytest.mark.parametrize("count", [1, 2, 9, 10, 12, 30, 31, 100, 120])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_lines_fit_the_width_and_every_pair_is_shown_once(count: int, width: int) -> None:
    answers = many(count)
    lines = grid("80/TCP", answers, Look(width=width))[1:]
    assert max(map(len, lines)) <= width
    cells = "".join(lines)
    assert cells.count("✓") == count * (count - 1)
    assert cells.count("·") == count


def test_columns_are_spaced_where_they_fit_and_stand_close_before_they_are_split() -> None:
    for width in (79, 80):
        assert "✓ ✓ ✓" in grid("80/TCP", many(30), Look(width=width))[-1]
    for width in (50, 78):
        lines = grid("80/TCP", many(30), Look(width=width))
        assert "✓✓✓" in lines[-1]
        assert lines.count("") == 1, "one block"


def test_columns_that_do_not_fit_follow_in_another_block_with_their_own_numbers() -> None:
    lines = grid("80/TCP", many(100), Look())
    starts = [number for number, line in enumerate(lines) if not line]
    assert len(starts) == 2
    assert lines[starts[0] + 3].split()[0].startswith("1")
    first, second = lines[starts[0] + 1 : starts[0] + 4], lines[starts[1] + 1 : starts[1] + 4]
    numbers = [
        int("".join(column)) for block in (first, second) for column in zip(*block, strict=True) if column[2] != " "
    ]
    assert numbers == list(range(1, 101))


def test_long_names_keep_both_ends() -> None:
    name = "checkout-service-canary-7d9c5b8f64-x2x7q-and-a-very-long-rest"
    (_, _, _, _, row) = grid("80/TCP", reach(f"shop/{name}"), Look(width=60))
    shown = row.split()[1]
    assert len(shown) == 24
    assert re.fullmatch(r"checkout-ser…-?[a-z-]*rest", shown)


def test_colours_change_nothing_else() -> None:
    answers = reach("x/a", "x/b", refused=(("x/a", "x/b"),))
    plain, coloured = (grid("80/TCP", answers, Look(coloured=coloured)) for coloured in (False, True))
    assert [ESCAPE.sub("", line) for line in coloured] == plain
    assert coloured[4] == "  1 a  \x1b[2m·\x1b[0m \x1b[31m✗\x1b[0m"
    assert coloured[5] == "  2 b  \x1b[32m✓\x1b[0m \x1b[2m·\x1b[0m"


def test_the_legend_uses_the_same_symbols() -> None:
    assert legend(Look()) == ("✓ allowed   ✗ refused   · itself      from: rows   to: columns, by the rows' numbers")
    assert legend(Look(ASCII)).startswith("+ allowed   x refused   . itself")
    assert ESCAPE.sub("", legend(Look(coloured=True))) == legend(Look())


class _Stream(io.TextIOWrapper):
    """A stream with this encoding that says whether it is a terminal."""

    def __init__(self, encoding: str, *, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("encoding", "terminal", "environment", "symbols", "coloured"),
    [
        ("utf-8", True, {"TERM": "xterm"}, UNICODE, True),
        ("utf-8", False, {"TERM": "xterm"}, UNICODE, False),
        ("utf-8", True, {"NO_COLOR": "1"}, UNICODE, False),
        ("utf-8", True, {"NO_COLOR": ""}, UNICODE, True),
        ("utf-8", True, {"TERM": "dumb"}, UNICODE, False),
        ("ascii", True, {}, ASCII, True),
        ("iso-8859-1", False, {}, ASCII, False),
    ],
)
def test_the_look_follows_the_stream_and_the_environment(
    encoding: str, terminal: bool, environment: dict[str, str], symbols: Symbols, coloured: bool
) -> None:
    assert look_of(_Stream(encoding, terminal=terminal), environment, 99) == Look(symbols, coloured, 99)


def test_a_stream_without_an_encoding_gets_ascii() -> None:
    assert look_of(io.StringIO(), {}, 80) == Look(ASCII, coloured=False, width=80)
