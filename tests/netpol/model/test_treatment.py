"""What annotations and flags say of a verdict's treatment, and which of them goes before (X16, X17)."""

from __future__ import annotations

from itertools import product

import pytest
from builders import namespace

from netpol.model.objects import Namespace
from netpol.model.treatment import AuditLevel, DenyAction, Enforcement, Extent, Treatment

NODE = Treatment(AuditLevel.ALLOWS, DenyAction.REJECT)


@pytest.mark.parametrize(
    ("stated", "enforced"),
    [
        ((), True),
        ((Enforcement.ENFORCE,), True),
        ((Enforcement.AUDIT,), False),
        ((Enforcement.ENFORCE, Enforcement.ENFORCE), True),
        ((Enforcement.ENFORCE, Enforcement.AUDIT), False),
        ((Enforcement.AUDIT, Enforcement.ENFORCE), False),
        ((Enforcement.AUDIT, Enforcement.AUDIT), False),
    ],
)
def test_x16_one_word_of_audit_is_enough(stated: tuple[Enforcement, ...], enforced: bool) -> None:
    assert Extent.ENFORCED.includes(*stated) is enforced
    assert Extent.ALL.includes(*stated)


def test_what_is_not_said_is_enforced_and_refusals_are_recorded_and_dropped() -> None:
    assert namespace("x").enforcement is Enforcement.ENFORCE
    assert namespace("x").treatment(Treatment()) == Treatment(AuditLevel.DENIES, DenyAction.DROP)


def test_x17_the_node_decides_what_a_namespace_does_not() -> None:
    for audit, deny_action in product((None, *AuditLevel), (None, *DenyAction)):
        found = Namespace("x", audit=audit, deny_action=deny_action).treatment(NODE)
        assert found.audit is (AuditLevel.ALLOWS if audit is None else audit)
        assert found.deny_action is (DenyAction.REJECT if deny_action is None else deny_action)
