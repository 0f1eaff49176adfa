"""Each word of each annotation, and what becomes of every other one (X16, X17, M7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netpol.model.treatment import AuditLevel, DenyAction, Enforcement
from netpol.source.fields import Fields, Reading
from netpol.source.treatment_annotations import read_audit, read_deny_action, read_enforcement

Read = Callable[[Fields, Reading], object]

WORDS: list[tuple[Read, str, dict[str, object]]] = [
    (read_enforcement, "netpol.io/enforcement", {"enforce": Enforcement.ENFORCE, "audit": Enforcement.AUDIT}),
    (
        read_audit,
        "netpol.io/audit",
        {"none": AuditLevel.NONE, "deny": AuditLevel.DENIES, "allow": AuditLevel.ALLOWS},
    ),
    (read_deny_action, "netpol.io/deny-action", {"drop": DenyAction.DROP, "reject": DenyAction.REJECT}),
]
OTHERWISE = {
    "netpol.io/enforcement": (Enforcement.ENFORCE, "must be enforce or audit, not {}; it is enforced"),
    "netpol.io/audit": (None, "must be none or deny or allow, not {}; the flags decide"),
    "netpol.io/deny-action": (None, "must be drop or reject, not {}; the flags decide"),
}
EACH = pytest.mark.parametrize(("read", "name", "words"), WORDS, ids=[name for _, name, _ in WORDS])


@EACH
def test_every_word_is_understood(read: Read, name: str, words: dict[str, object]) -> None:
    for text, meaning in words.items():
        reading = Reading()
        assert read({name: text, "netpol.io/other": "x"}, reading) is meaning
        assert reading.problems == []


@EACH
@pytest.mark.parametrize("annotations", [{}, {"enforcement": "audit", "audit": "none", "deny-action": "reject"}])
def test_no_annotation_is_the_default_in_silence(
    read: Read, name: str, words: dict[str, object], annotations: dict[str, str]
) -> None:
    reading = Reading()
    for fields in (annotations, {**annotations, name: None}):
        assert read(fields, reading) is OTHERWISE[name][0]
    assert reading.problems == []
    assert words


@EACH
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", "''"),
        ("Audit", "'Audit'"),
        (" audit", "' audit'"),
        ("off", "'off'"),
        (True, "true"),
        (5, "5"),
        ([], "a list"),
        ({}, "a mapping"),
    ],
)
def test_every_other_value_is_the_default_and_a_problem(
    read: Read, name: str, words: dict[str, object], value: Any, shown: str
) -> None:
    reading, (default, message) = Reading(), OTHERWISE[name]
    assert value not in words.values()
    assert read({name: value}, reading) is default
    assert list(map(str, reading.problems)) == [f"metadata.annotations[{name}]: {message.format(shown)}"]
