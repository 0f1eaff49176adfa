"""Typed reads: the right value, nothing for null, and a problem for anything else."""

from __future__ import annotations

import pytest

from netpol.source.fields import FieldPath, Malformed, Problem, Reading, is_integer, render, shown

AT: FieldPath = ("spec",)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("spec", "containers", 0, "ports", 1, "containerPort"), "spec.containers[0].ports[1].containerPort"),
        (("items", 3, "metadata", "labels", "example.org/app"), "items[3].metadata.labels[example.org/app]"),
        (("metadata", "labels", "a\nb"), "metadata.labels['a\\nb']"),
        (("x" * 100,), "x" * 100),
    ],
)
def test_a_path_reads_as_people_write_it(path: FieldPath, text: str) -> None:
    assert render(path) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (False, "false"),
        ("a\nb", "'a\\nb'"),
        (7, "7"),
        (2**64, "a huge number"),
        (1.5, "1.5"),
        ({"a": 1}, "a mapping"),
        ([], "a list"),
        ({1}, "a set"),
    ],
)
def test_any_value_is_shown_in_one_short_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_number_whose_text_python_refuses_is_shown_too() -> None:
    assert shown(-(10**5000)) == "a huge number"


def test_a_long_string_is_cut() -> None:
    assert shown("x" * 10_000) == "'" + "x" * 60 + "'..."


def test_booleans_are_no_integers() -> None:
    assert is_integer(1)
    assert not is_integer(True)
    assert not is_integer(1.0)


def test_reads_give_the_value_of_the_right_type() -> None:
    reading = Reading()
    fields = {"text": "a", "flag": True, "number": 7, "mapping": {"a": "b"}, "list": [{"c": 1}]}
    assert reading.text(fields, AT, "text") == "a"
    assert reading.flag(fields, AT, "flag") is True
    assert reading.number(fields, AT, "number") == 7
    assert reading.mapping(fields, AT, "mapping") == {"a": "b"}
    assert reading.sequence(fields, AT, "list") == [{"c": 1}]
    assert list(reading.mappings(fields, AT, "list")) == [(("spec", "list", 0), {"c": 1})]
    assert reading.texts(fields, AT, "mapping") == {"a": "b"}
    reading.unless_malformed()


@pytest.mark.parametrize("fields", [{}, {"field": None}])
def test_an_absent_and_a_null_field_read_as_nothing(fields: dict[object, object]) -> None:
    reading = Reading()
    assert reading.text(fields, AT, "field") == ""
    assert reading.flag(fields, AT, "field") is False
    assert reading.number(fields, AT, "field") == 0
    assert not reading.mapping(fields, AT, "field")
    assert not reading.sequence(fields, AT, "field")
    assert reading.texts(fields, AT, "field") == {}
    assert not reading.problems


@pytest.mark.parametrize(
    ("read", "wrong", "needed"),
    [
        ("text", 5, "a string"),
        ("flag", "true", "true or false"),
        ("flag", 1, "true or false"),
        ("number", True, "an integer"),
        ("number", 1.0, "an integer"),
        ("number", "1", "an integer"),
        ("mapping", [], "a mapping"),
        ("sequence", {}, "a list"),
        ("sequence", "ab", "a list"),
        ("texts", "ab", "a mapping"),
    ],
)
def test_a_field_of_another_type_is_a_problem_and_reads_as_nothing(read: str, wrong: object, needed: str) -> None:
    reading = Reading()
    assert not getattr(reading, read)({"field": wrong}, AT, "field")
    assert reading.problems == [Problem(("spec", "field"), f"must be {needed}, not {shown(wrong)}")]


def test_each_bad_entry_of_a_mapping_of_strings_is_a_problem_of_its_own() -> None:
    reading = Reading()
    assert reading.texts({"labels": {"a": "b", "c": 1, 2: "d", "e": None}}, (), "labels") == {"a": "b"}
    assert list(map(str, reading.problems)) == [
        "labels.c: must be a string, not 1",
        "labels: has a key that is no string: 2",
        "labels.e: must be a string, not null",
    ]


def test_each_bad_entry_of_a_list_of_mappings_is_a_problem_of_its_own() -> None:
    reading = Reading()
    assert [path for path, _ in reading.mappings({"x": [None, {}, "a"]}, (), "x")] == [("x", 1)]
    assert [problem.path for problem in reading.problems] == [("x", 0), ("x", 2)]


def test_unknown_fields_are_named() -> None:
    reading = Reading()
    assert reading.only({"from": []}, AT, ("from", "ports"))
    assert not reading.only({"form": [], "from": [], 5: 1}, AT, ("from", "ports"))
    assert [problem.path for problem in reading.problems] == [("spec", "form"), ("spec", "5")]


def test_a_malformed_object_names_all_its_problems() -> None:
    reading = Reading()
    reading.wrong(("a",), "is missing")
    reading.wrong((), "is odd")
    with pytest.raises(Malformed, match="a: is missing; is odd") as raised:
        reading.unless_malformed()
    assert len(raised.value.problems) == 2
