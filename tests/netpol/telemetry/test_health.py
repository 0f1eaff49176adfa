"""Health: who is stuck, who fails for how long, and what that means to each probe."""

from __future__ import annotations

import pytest

from netpol.telemetry.health import FAILING_AFTER_SECONDS, Health

STUCK_AFTER_SECONDS = 60.0


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    health = Health(clock, STUCK_AFTER_SECONDS)
    health.expect("control")
    return health


def test_a_new_agent_lives_and_is_not_ready(health: Health) -> None:
    assert health.is_alive()
    assert not health.is_ready()
    assert health.readiness().text == "the kernel is not programmed yet\n"


def test_a_programmed_agent_is_ready(health: Health) -> None:
    health.programmed("control")

    assert health.is_ready()
    assert (health.liveness().text, health.readiness().text) == ("ok\n", "ok\n")


def test_an_agent_of_two_controllers_is_ready_when_both_have_programmed_the_kernel(health: Health) -> None:
    health.expect_programmed("control")
    health.expect_programmed("proxy")
    health.programmed("proxy")
    health.programmed("proxy")
    assert health.readiness().text == "the kernel is not programmed yet\n"

    health.programmed("control")

    assert health.is_ready()


def test_a_part_that_does_not_beat_in_time_is_stuck(health: Health, clock: Clock) -> None:
    health.programmed("control")
    clock.now += STUCK_AFTER_SECONDS
    assert health.is_alive()

    clock.now += 1

    assert not health.is_alive()
    assert not health.is_ready()
    assert health.liveness().text == "control: no sign of life for 61 s\n"


def test_a_beat_starts_the_time_anew(health: Health, clock: Clock) -> None:
    clock.now += STUCK_AFTER_SECONDS
    health.beat("control")
    clock.now += STUCK_AFTER_SECONDS

    assert health.is_alive()


def test_a_part_may_have_a_time_of_its_own(health: Health, clock: Clock) -> None:
    health.expect("source.kube", within_seconds=5)
    clock.now += 6

    assert health.liveness().text == "source.kube: no sign of life for 6 s\n"


def test_nobody_waits_for_a_part_that_is_not_expected_or_has_ended(health: Health, clock: Clock) -> None:
    health.beat("telemetry")
    health.fail("control", "stopping")
    health.dismiss("control")
    clock.now += 10 * STUCK_AFTER_SECONDS

    assert health.liveness().text == "ok\n"


def test_a_writer_may_fail_for_a_moment(health: Health, clock: Clock) -> None:
    health.programmed("control")
    health.fail("dataplane.ipset", "the set is full")
    clock.now += FAILING_AFTER_SECONDS - 1

    assert health.is_ready()
    assert health.readiness().text == "ok\ndataplane.ipset: failing for 29 s: the set is full\n"


def test_a_writer_that_keeps_failing_makes_the_node_unready_and_no_restart(health: Health, clock: Clock) -> None:
    health.programmed("control")
    health.fail("dataplane.ipset", "no memory")
    clock.now += FAILING_AFTER_SECONDS
    health.fail("dataplane.ipset", "the set is full")
    health.beat("control")

    assert not health.is_ready()
    assert health.readiness().text == "dataplane.ipset: failing for 30 s: the set is full\n"
    assert health.is_alive()
    assert health.liveness().text == "ok\ndataplane.ipset: failing for 30 s: the set is full\n"


def test_recovery_ends_the_failure_and_its_time(health: Health, clock: Clock) -> None:
    health.programmed("control")
    health.fail("dataplane.ipset", "the set is full")
    clock.now += FAILING_AFTER_SECONDS
    health.recover("dataplane.ipset")
    health.recover("dataplane.iptables")
    assert health.readiness().text == "ok\n"

    health.fail("dataplane.ipset", "again")

    assert health.is_ready()


@pytest.mark.parametrize("part", ["source", "source.kube", "source.kube.pods"])
def test_a_lost_api_server_is_told_and_is_no_fault_of_the_agent(health: Health, clock: Clock, part: str) -> None:
    health.programmed("control")
    health.fail(part, "connection refused")
    clock.now += 3600
    health.beat("control")

    assert health.is_alive()
    assert health.is_ready()
    assert health.readiness().text == f"ok\n{part}: failing for 3600 s: connection refused\n"


def test_only_sources_are_outside(health: Health, clock: Clock) -> None:
    health.programmed("control")
    health.fail("sources", "misnamed")
    clock.now += FAILING_AFTER_SECONDS

    assert not health.is_ready()


def test_before_the_first_programming_the_reason_stands_beside_it(health: Health) -> None:
    health.fail("source.kube", "Pods are not listed yet")

    assert health.readiness().text == (
        "the kernel is not programmed yet\nsource.kube: failing for 0 s: Pods are not listed yet\n"
    )
