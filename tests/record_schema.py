"""The audit log's JSON Schema, as a reader of the log has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from netpol.audit.record import Record, decode, encode

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "docs/audit-record.schema.json").read_text(encoding="utf-8")
)
FORMAT_CHECKER = FormatChecker(["date-time"])
"""By name: a format that nothing here can check is an error, and not one that everything has."""

_VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FORMAT_CHECKER)


def conforming(record: Record) -> Record:
    """The record, which looks as the schema says and survives being written and read."""
    line = encode(record)
    _VALIDATOR.validate(json.loads(line))
    assert b"\n" not in line
    assert decode(line) == record
    return record
