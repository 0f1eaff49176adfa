"""Who comes first."""

from __future__ import annotations

from proxy_builders import DAYS, service

from proxy.claims.seniority import Rank, Seniority

OLD = Rank.of(service("x/b", created=DAYS[0]))
NEW = Rank.of(service("x/a", created=DAYS[1]))
NEWER = Rank.of(service("w/c", created=DAYS[2]))


def test_the_older_comes_first_then_the_name_and_unknown_ages_come_last() -> None:
    ranks = [
        Rank.of(service("w/b")),
        Rank.of(service("x/a", created=DAYS[2])),
        Rank.of(service("y/a", created=DAYS[1])),
        Rank.of(service("w/a")),
        Rank.of(service("x/b", created=DAYS[1])),
    ]
    assert ["/".join(rank.name) for rank in sorted(ranks)] == ["x/b", "y/a", "x/a", "w/a", "w/b"]


def test_the_first_is_known_whoever_comes_and_goes() -> None:
    line: Seniority[str] = Seniority()
    assert line.first("seat") is None
    assert line.join("seat", NEW) is True
    assert line.join("seat", NEWER) is False
    assert line.first("seat") == ("x", "a")
    assert line.join("seat", OLD) is True
    assert [*line.all("seat")] == [("x", "b"), ("x", "a"), ("w", "c")]
    assert line.leave("seat", NEW) is False
    assert line.leave("seat", OLD) is True
    assert line.first("seat") == ("w", "c")
    assert line.leave("seat", NEWER) is True
    assert line.first("seat") is None
    assert [*line.all("seat")] == []


def test_seats_are_different() -> None:
    line: Seniority[str] = Seniority()
    line.join("one", OLD)
    assert line.join("other", NEW) is True
    assert line.first("one") == ("x", "b")
