"""Which API serves the policies (M5)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from netpol.model.facts import Kind
from netpol.settings import PolicyOptions
from netpol.source.kube.discovery import served
from netpol.source.kube.failures import ApiFailure, Reason
from netpol.source.kube.requests import Request
from netpol.source.kube.resources import resources

NETWORKING, EXTENSIONS = "/apis/networking.k8s.io/v1", "/apis/extensions/v1beta1"
LISTS_THEM = b'{"kind":"APIResourceList","resources":[{"name":"ingresses"},{"name":"networkpolicies"}]}'
LISTS_OTHERS = b'{"kind":"APIResourceList","resources":[{"name":"ingresses"}]}'


class Server:
    """Answers by path; 404 for all others."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        self._answers = answers

    def get(self, request: Request) -> bytes:
        if request.path not in self._answers:
            raise ApiFailure(Reason.NOT_SERVED, request.path)
        return self._answers[request.path]


def found(answers: Mapping[str, bytes]) -> str | None:
    resource = served(resources(PolicyOptions())[Kind.NETWORK_POLICY], Server(answers))
    return resource.api_version if resource else None


@pytest.mark.parametrize(
    ("answers", "api_version"),
    [
        ({NETWORKING: LISTS_THEM, EXTENSIONS: LISTS_THEM}, "networking.k8s.io/v1"),
        ({EXTENSIONS: LISTS_THEM}, "extensions/v1beta1"),
        ({NETWORKING: LISTS_OTHERS, EXTENSIONS: LISTS_THEM}, "extensions/v1beta1"),
        ({NETWORKING: LISTS_OTHERS, EXTENSIONS: LISTS_OTHERS}, None),
        ({}, None),
    ],
)
def test_the_preferred_api_that_serves_them(answers: Mapping[str, bytes], api_version: str | None) -> None:
    assert found(answers) == api_version


def test_an_answer_that_makes_no_sense_decides_nothing() -> None:
    with pytest.raises(ApiFailure) as raised:
        found({NETWORKING: b"<html>", EXTENSIONS: LISTS_THEM})
    assert raised.value.reason is Reason.GARBLED


def test_a_failure_is_no_answer() -> None:
    class Failing:
        def get(self, _: Request) -> bytes:
            raise ApiFailure(Reason.SERVER_ERROR, "500")

    with pytest.raises(ApiFailure, match="500"):
        served(resources(PolicyOptions())[Kind.NETWORK_POLICY], Failing())
