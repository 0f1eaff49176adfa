"""When the kernel is compared with the ruleset."""

from __future__ import annotations

import pytest

from netpol.schedule import ALARM_SECONDS, LONGEST_RETRY_SECONDS, Schedule, Survey


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(period_seconds=30.0, chance=lambda: 1.0)


def test_the_first_comparison_is_due_at_once(schedule: Schedule) -> None:
    assert schedule.is_due(0.0)
    assert schedule.wait_seconds(0.0) == 0.0


def test_after_a_success_a_period_passes(schedule: Schedule) -> None:
    schedule.succeeded(100.0)

    assert not schedule.is_due(129.9)
    assert schedule.wait_seconds(110.0) == pytest.approx(20.0)
    assert schedule.is_due(130.0)


def test_pauses_grow_while_it_fails_up_to_a_bound(schedule: Schedule) -> None:
    pauses = [schedule.failed(0.0) for _ in range(12)]

    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.1)
    assert pauses[-1] == LONGEST_RETRY_SECONDS
    assert schedule.failures == 12


def test_agents_that_failed_together_try_again_at_different_times() -> None:
    lucky, unlucky = Schedule(30.0, chance=lambda: 0.0), Schedule(30.0, chance=lambda: 1.0)

    assert lucky.failed(0.0) < unlucky.failed(0.0)


def test_a_success_ends_the_growth_of_pauses(schedule: Schedule) -> None:
    for _ in range(5):
        schedule.failed(0.0)
    schedule.succeeded(1.0)

    assert schedule.failures == 0
    assert schedule.failed(2.0) == pytest.approx(0.1)


def test_an_alarm_makes_it_due_at_once_but_not_all_the_time(schedule: Schedule) -> None:
    schedule.succeeded(100.0)
    schedule.alarm(110.0)
    assert schedule.is_due(110.0)

    schedule.succeeded(110.0)
    schedule.alarm(110.1)
    assert not schedule.is_due(110.2)
    assert schedule.is_due(110.0 + ALARM_SECONDS)


def test_an_alarm_does_not_shorten_the_pause_after_a_failure(schedule: Schedule) -> None:
    schedule.succeeded(0.0)
    for _ in range(10):
        pause = schedule.failed(50.0)
    schedule.alarm(51.0)

    assert not schedule.is_due(51.0)
    assert schedule.is_due(50.0 + pause)


def test_a_survey_is_made_once_in_a_period_and_waits_until_it_is_quiet() -> None:
    survey = Survey(10.0, now=100.0)
    assert (survey.wait_seconds(100.0), survey.wait_seconds(109.5), survey.wait_seconds(110.0)) == (10.0, 0.5, 0.0)
    survey.heard(109.75)
    assert (survey.wait_seconds(110.0), survey.wait_seconds(110.75)) == (0.75, 0.0)
    survey.looked(110.75)
    assert survey.wait_seconds(110.75) == 10.0


def test_surveys_that_take_long_are_made_less_often() -> None:
    survey = Survey(1.0, now=0.0)
    survey.looked(2.0, spent_seconds=0.005)
    assert survey.wait_seconds(2.0) == 1.0
    survey.looked(3.0, spent_seconds=0.5)
    assert survey.wait_seconds(3.0) == 50.0
