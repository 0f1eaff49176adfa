"""What is asked next, after any answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.source.kube.cursor import Cursor


def following(version: str = "10") -> Cursor:
    cursor = Cursor()
    assert cursor.take_page(version, "")
    return cursor


def test_a_list_comes_in_pages_and_without_a_version() -> None:
    cursor = Cursor(page_limit=500)
    assert cursor.list_query() == (("limit", "500"),)
    assert not cursor.take_page("10", "token")
    assert not cursor.follows
    assert cursor.list_query() == (("limit", "500"), ("continue", "token"))
    assert cursor.take_page("10", "")
    assert cursor.follows


def test_the_watch_begins_at_the_version_of_the_first_page() -> None:
    cursor = Cursor()
    cursor.take_page("10", "token")
    cursor.take_page("12", "")
    assert dict(cursor.watch_query(290)) == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "10",
        "timeoutSeconds": "290",
    }


def test_the_watch_goes_on_from_the_last_event() -> None:
    cursor = following("10")
    assert cursor.take_version("15")
    assert ("resourceVersion", "15") in cursor.watch_query(290)


def test_initial_events_are_never_asked_for() -> None:
    assert "sendInitialEvents" not in dict(following().watch_query(290))


def test_an_expired_version_needs_a_list() -> None:
    cursor = following()
    cursor.expire()
    assert not cursor.follows
    assert cursor.list_query() == (("limit", "500"),)


def test_a_list_that_expired_between_pages_comes_in_one_the_next_time_only() -> None:
    cursor = Cursor()
    cursor.take_page("10", "token")
    cursor.expire()
    assert cursor.list_query() == ()
    assert cursor.take_page("20", "")
    assert ("resourceVersion", "20") in cursor.watch_query(290)
    cursor.expire()
    assert cursor.list_query() == (("limit", "500"),)


@pytest.mark.parametrize(("version", "follows"), [("9", False), ("10", True), ("11", True), ("abc", True)])
def test_a_server_that_went_back_is_listed_anew(version: str, follows: bool) -> None:
    by_event, by_look = following("10"), following("10")
    assert by_event.take_version(version) is follows
    by_look.take_server_version(version)
    assert by_event.follows is by_look.follows is follows


def test_an_old_servers_deletions_carry_old_versions() -> None:
    cursor = following("10")
    assert cursor.take_version("9", may_be_behind=True)
    assert ("resourceVersion", "10") in cursor.watch_query(290)


def test_a_version_at_which_the_watch_stumbles_is_asked_for_once_more_and_then_a_list() -> None:
    cursor = following("10")
    cursor.stumble(2)
    assert cursor.follows
    cursor.stumble(2)
    assert not cursor.follows


def test_a_stumble_further_on_is_another_one() -> None:
    cursor = following("10")
    cursor.stumble(2)
    cursor.take_version("11")
    cursor.stumble(2)
    assert cursor.follows


def test_behind_a_list_of_the_same_version_stumbles_count_anew() -> None:
    cursor = following("10")
    cursor.stumble(2)
    cursor.stumble(2)
    cursor.take_page("10", "")
    cursor.stumble(2)
    assert cursor.follows


@given(st.lists(st.integers(1, 10**18), min_size=1))
def test_the_version_never_falls_while_it_follows(versions: list[int]) -> None:
    cursor, last = following("5"), 5
    for version in versions:
        if not cursor.take_version(str(version)):
            assert version < last
            break
        last = version
        assert dict(cursor.watch_query(1))["resourceVersion"] == str(last)
