"""Where the agent's facts come from, and how Events are answered."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import pytest

from netpol.agent.sources import EventPoster
from netpol.source.kube.failures import ApiFailure, Reason


class Answering:
    """A connection that answers so."""

    def __init__(self, failure: ApiFailure | None) -> None:
        self._failure = failure
        self.posted: list[str] = []

    def post(self, path: str, body: Mapping[str, object]) -> None:
        """Nothing, or the failure."""
        self.posted.append(path)
        assert body
        if self._failure is not None:
            raise self._failure


def posted(failure: ApiFailure | None) -> int:
    """The status that the writer of Events sees."""
    return EventPoster(Answering(failure)).post("/api/v1/namespaces/x/events", {"reason": "Invalid"})


def test_the_writer_of_events_sees_the_status_of_every_answer() -> None:
    assert posted(None) == HTTPStatus.CREATED
    assert posted(ApiFailure(Reason.FORBIDDEN, "no", status=403)) == HTTPStatus.FORBIDDEN


def test_no_answer_is_a_failure() -> None:
    with pytest.raises(ApiFailure, match="nobody there"):
        posted(ApiFailure(Reason.UNREACHABLE, "nobody there"))
