"""A refusal says what a person has to mend."""

from __future__ import annotations

import json

import pytest

from netpol.source.kube.failures import LONGEST_WAIT_ASKED_SECONDS, Reason, of_event, of_status
from netpol.source.kube.requests import Request

REQUEST = Request("watch", "networkpolicies.networking.k8s.io", "/apis/networking.k8s.io/v1/networkpolicies")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.UNAUTHORIZED),
        (403, Reason.FORBIDDEN),
        (404, Reason.NOT_SERVED),
        (410, Reason.GONE),
        (429, Reason.BUSY),
        (400, Reason.REFUSED),
        (500, Reason.SERVER_ERROR),
        (504, Reason.SERVER_ERROR),
    ],
)
def test_the_status_tells_the_reason(status: int, reason: Reason) -> None:
    assert of_status(status, REQUEST, b"").reason is reason


def test_a_forbidden_request_names_the_verb_and_the_resource() -> None:
    failure = of_status(403, REQUEST, json.dumps({"message": "networkpolicies is forbidden"}).encode())
    assert str(failure) == (
        "this account may not watch networkpolicies.networking.k8s.io (its role lacks the verb watch): "
        "networkpolicies is forbidden"
    )


def test_what_is_no_status_is_told_in_one_short_line() -> None:
    failure = of_status(502, REQUEST, b"<html>\n<body>" + b"bad gateway " * 1000)
    assert "\n" not in str(failure)
    assert "<html> <body>bad gateway" in str(failure)
    assert len(str(failure)) < 500


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("", 0.0), ("3", 3.0), ("100000", LONGEST_WAIT_ASKED_SECONDS), ("soon", 0.0), ("-1", 0.0)],
)
def test_the_server_may_ask_for_patience(header: str, seconds: float) -> None:
    assert of_status(429, REQUEST, b"", header).retry_seconds == seconds


def test_an_error_event_is_a_status() -> None:
    assert of_event(b'{"kind":"Status","code":410,"message":"too old"}', REQUEST).reason is Reason.GONE
    assert of_event(b'{"metadata":{}}', REQUEST).reason is Reason.SERVER_ERROR
