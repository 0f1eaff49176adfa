"""What kube-router's annotations of a Service ask for."""

from __future__ import annotations

import pytest

from netpol.model.service_annotations import ServiceAnnotation
from netpol.model.services import SchedulerFlag
from netpol.source.fields import Reading
from netpol.source.service_annotations import is_on, read_direct_return, read_flags, read_scheduler

FIRST, SECOND, THIRD = SchedulerFlag
SCHEDULER, FLAGS = "kube-router.io/service.scheduler", "kube-router.io/service.schedflags"
DIRECT_RETURN = "kube-router.io/service.dsr"
LOCAL, HAIRPIN = "kube-router.io/service.local", "kube-router.io/service.hairpin"


@pytest.fixture(name="reading")
def _reading() -> Reading:
    return Reading()


def problems(reading: Reading) -> list[str]:
    return [str(problem) for problem in reading.problems]


@pytest.mark.parametrize("text", ["", "true", "yes", "1", "anything"])
def test_presence_turns_on(text: str, reading: Reading) -> None:
    assert is_on({HAIRPIN: text}, ServiceAnnotation.HAIRPIN, reading)
    assert problems(reading) == []


@pytest.mark.parametrize("annotations", [{}, {LOCAL: None}, {HAIRPIN: "true"}])
def test_absence_does_not(annotations: dict[str, object], reading: Reading) -> None:
    assert not is_on(annotations, ServiceAnnotation.LOCAL, reading)
    assert problems(reading) == []


@pytest.mark.parametrize("text", ["false", "False", " no ", "0"])
def test_nor_does_what_says_the_opposite(text: str, reading: Reading) -> None:
    assert not is_on({LOCAL: text}, ServiceAnnotation.LOCAL, reading)
    assert problems(reading) == []


def test_what_is_no_text_turns_nothing_on_and_is_told(reading: Reading) -> None:
    assert not is_on({LOCAL: True}, ServiceAnnotation.LOCAL, reading)
    assert problems(reading) == [
        "metadata.annotations[kube-router.io/service.local]: must be a string, not true",
    ]


@pytest.mark.parametrize(
    ("annotations", "expected"), [({}, ""), ({SCHEDULER: "lc"}, "lc"), ({SCHEDULER: "Lc "}, "Lc ")]
)
def test_a_scheduler_is_as_it_is_written(annotations: dict[str, object], expected: str, reading: Reading) -> None:
    assert read_scheduler(annotations, reading) == expected
    assert problems(reading) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("flag-1", {FIRST}),
        ("flag-1,flag-2,flag-3", {FIRST, SECOND, THIRD}),
        (" sh-port , sh-fallback,", {FIRST, SECOND}),
        ("mh-fallback", {FIRST}),
        ("mh-port", {SECOND}),
    ],
)
def test_flags_have_several_names(text: str, expected: set[SchedulerFlag], reading: Reading) -> None:
    assert read_flags({FLAGS: text}, reading) == expected
    assert problems(reading) == []


def test_an_unknown_flag_is_told_and_the_others_count(reading: Reading) -> None:
    assert read_flags({FLAGS: "flag-4,flag-2"}, reading) == {SECOND}
    (problem,) = problems(reading)
    assert problem == (
        "metadata.annotations[kube-router.io/service.schedflags]: 'flag-4' is no flag; they are flag-1, flag-2, "
        "flag-3, sh-fallback, sh-port, mh-fallback, mh-port"
    )


def test_the_one_way_to_return_directly(reading: Reading) -> None:
    assert read_direct_return({DIRECT_RETURN: "tunnel"}, reading)
    assert not read_direct_return({}, reading)
    assert problems(reading) == []
    assert not read_direct_return({DIRECT_RETURN: "Tunnel"}, reading)
    assert problems(reading) == [
        "metadata.annotations[kube-router.io/service.dsr]: must be tunnel, not 'Tunnel'; there is no direct return"
    ]
