"""How the demo ends, and what it makes of an answer; that the story itself is true is shown in the cluster."""

from __future__ import annotations

import json
import signal
from ipaddress import ip_address

import pytest
from testbed import demo
from testbed.contacts import ALLOWED_SECONDS, REFUSED_SECONDS, End, Question
from testbed.guestbook import PORTS, pods_of_the_guestbook, policies_of_the_guestbook
from waiting import NotYet

from netpol.lab.prober import Outcome

REDIS = End("production/redis-1", ip_address("10.20.0.4"))
TOOLBOX = End("production/toolbox", ip_address("10.20.0.6"))


@pytest.fixture(autouse=True)
def no_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)


@pytest.mark.parametrize(("differences", "status"), [(0, 0), (1, 1), (300, 1)])
def test_the_status_says_whether_all_went_as_it_should(
    monkeypatch: pytest.MonkeyPatch, differences: int, status: int
) -> None:
    monkeypatch.setattr(demo, "show", lambda _: differences)
    assert demo.main() == status


@pytest.mark.parametrize(
    ("ended_by", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (NotYet("the node is up: not within 180 s"), 1, "the story ends here: the node is up"),
        (pytest.skip.Exception("a cluster needs root"), 1, "cannot be shown here: a cluster needs root"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_end_before_the_end_is_said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ended_by: BaseException,
    status: int,
    said: str,
) -> None:
    def show(_: object) -> int:
        raise ended_by

    monkeypatch.setattr(demo, "show", show)
    assert demo.main() == status
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("redis-1", Outcome.REACHED),
        ("redis-2", Outcome.WRONG_END),
        ("", Outcome.WRONG_END),
        ("out", Outcome.SILENT),
        ("refused", Outcome.REFUSED),
    ],
)
def test_only_who_was_meant_is_reached(word: str, outcome: Outcome) -> None:
    question = Question(TOOLBOX, REDIS, PORTS[0], allowed=True)
    assert question.outcome({("10.20.0.4", "80"): word, ("10.20.0.4", "6379"): "redis-1"}) is outcome


def test_an_answer_that_should_come_is_waited_for_longer() -> None:
    lines = [Question(TOOLBOX, REDIS, PORTS[1], allowed).line for allowed in (True, False)]
    assert lines == [f"ask 10.20.0.4 6379 {seconds} &" for seconds in (ALLOWED_SECONDS, REFUSED_SECONDS)]


def test_the_guestbook_is_that_of_the_examples() -> None:
    objects = json.loads(pods_of_the_guestbook())["items"]
    labels = {each["metadata"]["name"]: each["metadata"].get("labels") for each in objects}
    assert labels["redis-1"] == {"app": "redis", "tier": "backend", "role": "master"}
    assert [each["kind"] for each in objects].count("Pod") == 6
    assert policies_of_the_guestbook().count("apiVersion: networking.k8s.io/v1\n") == 2
    assert "extensions" not in policies_of_the_guestbook()
