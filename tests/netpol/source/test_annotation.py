"""The isolation annotation: B1 to the letter, and unreadable rather than guessed (B2)."""

from __future__ import annotations

import pytest

from netpol.source.annotation import UnreadableAnnotation, isolates


@pytest.mark.parametrize(
    "text",
    [
        '{"ingress":{"isolation":"DefaultDeny"}}',
        ' {\n "ingress": { "isolation" : "DefaultDeny", "other": [1] }, "egress": {"isolation": 5} } ',
        '{"ingress":{"isolation":"Default\\u0044eny"}}',
    ],
)
def test_default_deny_isolates(text: str) -> None:
    assert isolates(text)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "null",
        '{"ingress":{}}',
        '{"ingress":null}',
        '{"ingress":{"isolation":null}}',
        '{"ingress":{"isolation":""}}',
        '{"ingress":{"isolation":"defaultdeny"}}',
        '{"ingress":{"isolation":"DefaultDeny "}}',
        '{"ingress":{"isolation":"AllowAll"}}',
        '{"Ingress":{"isolation":"DefaultDeny"}}',
        '{"egress":{"isolation":"DefaultDeny"}}',
    ],
)
def test_everything_else_readable_is_the_open_default(text: str) -> None:
    assert not isolates(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON"),
        ("DefaultDeny", "is no JSON"),
        ("{'ingress': {'isolation': 'DefaultDeny'}}", "is no JSON"),
        ('{"ingress":{"isolation":"DefaultDeny"}', "is no JSON"),
        ('{"ingress":{"isolation":"DefaultDeny"}} x', "is no JSON"),
        ('{"x": NaN}', "is no JSON"),
        ('{"x": 1e999}', "is no JSON"),
        ('{"x": "\\ud800"}', "is no JSON"),
        ("\ud800", "is no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('"DefaultDeny"', "the annotation must be a JSON object, not 'DefaultDeny'"),
        ("[]", "the annotation must be a JSON object, not a list"),
        ("5", "the annotation must be a JSON object, not 5"),
        ('{"ingress":"DefaultDeny"}', "ingress must be a JSON object, not 'DefaultDeny'"),
        ('{"ingress":[]}', "ingress must be a JSON object, not a list"),
        ('{"ingress":{"isolation":true}}', "isolation must be a string, not true"),
        ('{"ingress":{"isolation":["DefaultDeny"]}}', "isolation must be a string, not a list"),
    ],
)
def test_what_says_neither_is_unreadable(text: str, message: str) -> None:
    with pytest.raises(UnreadableAnnotation, match=message):
        isolates(text)


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    assert isolates('{"ingress": {}, "ingress": {"isolation": "DefaultDeny"}}')
