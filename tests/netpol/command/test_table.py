"""The grids of who reaches whom: every pair once, within the width, with what changed."""

from __future__ import annotations

import re

import pytest

from netpol.command.look import ASCII, Look
from netpol.command.table import CHANGED_MEANS, Outcomes, Panel, grids, legend, totals
from netpol.policy.reachability import Reachability

ESCAPE = re.compile(r"\x1b\[[0-9]+m")


def reach(*names: str, refused: tuple[tuple[str, str], ...] = ()) -> Reachability:
    return {source: {name: (source, name) not in refused for name in names if name != source} for source in names}


def many(count: int, namespaces: int = 3) -> Reachability:
    return reach(*sorted(f"team-{number % namespaces}/workload-{number}" for number in range(count)))


def grid(answers: Reachability, width: int = 80) -> list[str]:
    """The lines of one grid below its title."""
    title, *lines = grids([Panel("80/TCP", answers)], Look(width=width))
    assert title.strip() == "80/TCP"
    return lines


def test_rows_carry_names_and_columns_their_numbers() -> None:
    answers = reach("db/redis", "web/frontend", "web/job", refused=(("web/job", "db/redis"), ("db/redis", "web/job")))
    assert grids([Panel("6379/TCP", answers)], Look()) == [
        "              6379/TCP",
        "              1  2 3",
        "db",
        "  1 redis     ·  ✓ ✗",
        "web",
        "  2 frontend  ✓  · ✓",
        "  3 job       ✗  ✓ ·",
    ]


def test_numbers_of_two_digits_are_read_from_top_to_bottom() -> None:
    lines = grid(many(11, namespaces=1))
    assert lines[:2] == [
        "                                    1 1",
        "                  1 2 3 4 5 6 7 8 9 0 1",
    ]
    assert lines[3] == "   1 workload-0   · ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓"
    assert lines[-1] == "  11 workload-9   ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓ ·"


@pytest.mark.parametrize("panels", [[], [Panel("80/TCP", {})], [Panel("80/TCP", {}), Panel("81/TCP", {})]])
def test_no_pods(panels: list[Panel]) -> None:
    assert grids(panels, Look()) == ["there are no actionable pods"]


def test_one_pod() -> None:
    assert grid(reach("x/a")) == ["       1", "x", "  1 a  ·"]


@pytest.mark.parametrize("count", [1, 2, 9, 10, 12, 30, 31, 100, 120])
@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("compared", [False, True])
def test_lines_fit_the_width_and_every_pair_is_shown_once(count: int, width: int, compared: bool) -> None:
    answers = many(count)
    lines = grids([Panel("80/TCP", answers, answers if compared else None)] * 2, Look(width=width))
    assert max(map(len, lines)) <= width
    cells = "".join(lines)
    assert cells.count("✓") == 2 * count * (count - 1)
    assert cells.count("·") == 2 * count
    assert "*" not in cells


def test_columns_are_spaced_where_they_fit_and_stand_close_before_they_are_split() -> None:
    for width in (79, 80):
        assert "✓ ✓ ✓" in grid(many(30), width)[-1]
    for width in (50, 78):
        lines = grid(many(30), width)
        assert "✓✓✓" in lines[-1]
        assert "" not in lines, "one block"


def test_columns_that_do_not_fit_follow_in_another_block_with_their_own_numbers() -> None:
    lines = grid(many(100))
    [split] = [number for number, line in enumerate(lines) if not line]
    assert lines[split + 1].strip() == "80/TCP"
    numbers = [
        int("".join(column))
        for block in (lines[:2], lines[split + 2 : split + 5])
        for column in zip(*(line.ljust(80) for line in block), strict=True)
        if column[-1] != " "
    ]
    assert numbers == list(range(1, 101))


def test_long_names_keep_both_ends() -> None:
    name = "checkout-service-canary-7d9c5b8f64-x2x7q-and-a-very-long-rest"
    row = grid(reach(f"shop/{name}"), 60)[-1]
    shown = row.split()[1]
    assert len(shown) == 24
    assert re.fullmatch(r"checkout-ser…-?[a-z-]*rest", shown)


REACH = {
    "x/a": {"x/b": True, "y/c": False},
    "x/b": {"x/a": True, "y/c": True},
    "y/c": {"x/a": False, "x/b": False},
    "outside/o": {"x/a": True, "x/b": True, "y/c": True},
}
EARLIER = {name: dict.fromkeys(row, True) for name, row in REACH.items()}
COMPARED = Panel("80/TCP", REACH, EARLIER)
PLAIN = Look(ASCII)


def test_ports_stand_side_by_side_and_changes_are_marked() -> None:
    assert grids([COMPARED, Panel("53/UDP", EARLIER, EARLIER)], PLAIN, ["outside/o"]) == [
        "       80/TCP    53/UDP",
        "       1 2  3    1 2  3",
        "x",
        "  1 a  . +  x*   . +  +",
        "  2 b  + .  +    + .  +",
        "y",
        "  3 c  x*x* .    + +  .",
        "outside",
        "    o  + +  +    + +  +",
    ]


def test_ports_that_do_not_fit_stand_below_each_other() -> None:
    panels = [Panel("80/TCP", REACH), Panel("81/TCP", REACH)]
    wide, narrow = (grids(panels, Look(ASCII, width=width), ["outside/o"]) for width in (22, 21))
    assert len(wide) == 9
    assert max(map(len, wide)) == 22
    assert len(narrow) == 2 * 9 + 1
    assert narrow[9:11] == ["", "       81/TCP"]


def test_colours_change_nothing_else() -> None:
    plain, coloured = (grids([COMPARED] * 2, Look(ASCII, coloured), ["outside/o"]) for coloured in (False, True))
    assert [ESCAPE.sub("", line) for line in coloured] == plain
    assert coloured[3].startswith("  1 a  \x1b[2m.\x1b[0m \x1b[32m+\x1b[0m  \x1b[31mx\x1b[0m*")


def test_x16_pairs_that_are_spared_have_their_own_symbol() -> None:
    spared = frozenset({("x/a", "x/b"), ("y/c", "x/a")})
    panel = Panel("80/TCP", EARLIER, spared=spared)
    lines = grids([panel], PLAIN, ["outside/o"])
    assert lines[3:] == ["  1 a  . !  +", "  2 b  + .  +", "y", "  3 c  ! +  .", "outside", "    o  + +  +"]
    coloured = grids([panel], Look(ASCII, coloured=True), ["outside/o"])
    assert [ESCAPE.sub("", line) for line in coloured] == lines
    assert "\x1b[33m!\x1b[0m" in coloured[3]


def test_totals_say_what_changed() -> None:
    assert totals([Panel("80/TCP", REACH)], Outcomes.JUDGED, PLAIN) == "pairs that may connect: 80/TCP 6 of 9"
    assert totals([COMPARED, Panel("ICMP", {})], Outcomes.PROBED, PLAIN) == (
        "pairs that reached each other: 80/TCP 9 -> 6 of 9, ICMP 0 of 0"
    )


def test_the_legend_uses_the_same_symbols() -> None:
    assert legend(Outcomes.JUDGED, Look()) == "✓ allowed   ✗ refused   · itself   from rows to columns"
    probed = legend(Outcomes.PROBED, PLAIN, CHANGED_MEANS)
    assert probed == "+ reached   x not reached   . itself   * not so before   from rows to columns"
    assert ESCAPE.sub("", legend(Outcomes.JUDGED, Look(coloured=True))) == legend(Outcomes.JUDGED, Look())
