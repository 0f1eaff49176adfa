"""The identity of objects."""

from __future__ import annotations

from netpol.model.facts import Key, Kind


def test_objects_of_one_name_differ_by_kind_and_namespace() -> None:
    keys = {Key(kind, namespace, "a") for kind in (Kind.POD, Kind.NETWORK_POLICY) for namespace in ("x", "y")}

    assert len(keys) == 4


def test_a_key_gives_the_name_its_object_has_in_a_snapshot() -> None:
    assert Key(Kind.POD, "web", "front").object_name == ("web", "front")
    assert Key(Kind.NODE, "", "n1").object_name == ("", "n1")
