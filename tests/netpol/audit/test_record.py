"""A record as a line, and the schema that is published of it."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, ValidationError
from record_schema import SCHEMA, conforming

from netpol.audit.record import (
    ANNOTATION_KIND,
    Action,
    Cause,
    ExternalParty,
    MissEntry,
    NodeParty,
    PodParty,
    PolicyEntry,
    Record,
    decode,
    encode,
)
from netpol.model.policies import Direction
from netpol.policy.judgement import Lack

PAGE = Path(__file__).parents[3] / "docs/audit-log.md"
AT = "2024-05-01T10:00:00.000001Z"
RECORD = Record(
    ts=AT,
    node="n1",
    action=Action.DENY,
    reason=Cause.IMPLICIT_ISOLATION,
    direction="ingress",
    subject=PodParty("shop", "db", "uid-of-db", "10.0.0.2", "StatefulSet/db"),
    peer=PodParty("shop", "web-1", "uid-of-web", "10.0.0.1", "Deployment/web", gone=True),
    protocol="TCP",
    src_port=40000,
    dst_port=5432,
    icmp_type=None,
    policies=(PolicyEntry("NetworkPolicy", "shop", "db", "uid-of-policy", 3, 1),),
    isolating=(PolicyEntry(ANNOTATION_KIND, "shop", "shop", annotation="net.beta.kubernetes.io/network-policy"),),
    nearest_miss=MissEntry("NetworkPolicy", "shop", "db", "uid-of-policy", 3, 0, ("port",), "it allows 80/TCP"),
    count=2,
    first=AT,
    last=AT,
    lost=5,
)


def test_a_record_looks_as_the_schema_says() -> None:
    conforming(RECORD)
    conforming(msgspec.structs.replace(RECORD, subject=NodeParty("n2", "fd00::1"), peer=ExternalParty("8.8.8.8")))


def test_a_record_of_nothing_but_losses_does_too() -> None:
    record = conforming(Record.of_lost(AT, "n1", 12))
    assert (record.action, record.reason, record.count, record.lost) == (Action.UNKNOWN, Cause.LOST, 0, 12)


def test_the_record_that_the_page_shows_is_one() -> None:
    shown = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(shown) == 1
    record = conforming(decode(shown[0].encode()))
    assert list(msgspec.json.decode(shown[0])) == list(Record.__struct_fields__)
    assert record.action is Action.DENY


def test_the_page_explains_every_field_and_value() -> None:
    page = PAGE.read_text(encoding="utf-8")
    words = [*Record.__struct_fields__, *values(Action), *values(Cause), *values(Lack), ANNOTATION_KIND]
    assert [word for word in words if f"`{word}`" not in page] == []


def values(kind: Iterable[enum.Enum]) -> list[str]:
    return [member.value for member in kind]


def test_every_field_is_on_the_line_whatever_it_says() -> None:
    written = msgspec.json.decode(encode(Record.of_lost(AT, "n1", 0)))
    assert list(written) == list(Record.__struct_fields__)


def test_a_line_that_is_no_record_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(b'{"ts": 1}')


@pytest.mark.parametrize(
    ("struct", "schema"),
    [
        (Record, SCHEMA),
        (PodParty, SCHEMA["$defs"]["pod"]),
        (NodeParty, SCHEMA["$defs"]["node"]),
        (ExternalParty, SCHEMA["$defs"]["external"]),
        (PolicyEntry, SCHEMA["$defs"]["policy"]),
        (MissEntry, SCHEMA["$defs"]["miss"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_schema_has_the_fields_of(struct: type[msgspec.Struct], schema: dict[str, Any]) -> None:
    config = struct.__struct_config__
    fields = [*filter(None, [config.tag_field]), *struct.__struct_fields__]
    assert list(schema["properties"]) == fields
    assert schema["required"] == fields
    if config.tag_field:
        assert schema["properties"][config.tag_field]["const"] == config.tag
    assert all("description" in each or "const" in each for each in schema["properties"].values())


def test_the_schema_has_the_values_of_every_enum() -> None:
    properties, definitions = SCHEMA["properties"], SCHEMA["$defs"]
    assert properties["action"]["enum"] == values(Action)
    assert properties["reason"]["enum"] == values(Cause)
    assert properties["direction"]["enum"] == [*values(Direction), None]
    assert definitions["miss"]["properties"]["lacked"]["items"]["enum"] == values(Lack)
    assert definitions["policy"]["properties"]["kind"]["enum"] == ["NetworkPolicy", ANNOTATION_KIND]


def test_the_schema_is_one_and_refuses_what_no_record_is() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for time in ("later", "2026-13-01T00:00:00Z", "2026-01-02T03:04:05"):
        with pytest.raises(ValidationError, match=time):
            conforming(msgspec.structs.replace(RECORD, ts=time))
    with pytest.raises(ValidationError, match="sideways"):
        conforming(msgspec.structs.replace(RECORD, direction="sideways"))
