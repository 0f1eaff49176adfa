"""A world written as manifests and read back is the same world."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import given
from world_manifests import Manifest, manifests
from worlds import NAME_LABEL, snapshots

from netpol.model.policies import Semantics
from netpol.model.snapshot import Snapshot
from netpol.settings import PolicyOptions
from netpol.source.manifests import Loaded, load


def _as_yaml(objects: list[Manifest]) -> str:
    return yaml.dump_all(objects, Dumper=yaml.CSafeDumper)


def _as_json(objects: list[Manifest]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


def loaded(name: str, text: str, options: PolicyOptions) -> Loaded:
    with TemporaryDirectory() as directory:
        file = Path(directory, name)
        file.write_text(text)
        return load(file, options)


def as_an_api_server_has_it(snapshot: Snapshot) -> Snapshot:
    """The world with every namespace's name among its labels (G7, M6)."""
    named = {
        name: replace(each, labels={**each.labels, NAME_LABEL: name}) for name, each in snapshot.namespaces.items()
    }
    return replace(snapshot, namespaces=named)


@pytest.mark.parametrize(("name", "write"), [("world.yaml", _as_yaml), ("world.json", _as_json)])
@given(snapshot=snapshots())
def test_a_world_survives_being_written_and_read(
    name: str, write: Callable[[list[Manifest]], str], snapshot: Snapshot
) -> None:
    found = loaded(name, write(manifests(snapshot)), PolicyOptions())
    assert found.snapshot == as_an_api_server_has_it(snapshot)


@given(snapshots())
def test_only_what_matches_nothing_is_noticed(snapshot: Snapshot) -> None:
    """A v1 rule can say "nothing" only by an entry that is not understood; everything else is."""
    found = loaded("world.json", _as_json(manifests(snapshot)), PolicyOptions())
    empty = {
        (policy.namespace, policy.name)
        for policy in snapshot.policies.values()
        if policy.semantics is Semantics.V1
        for rule in policy.ingress + policy.egress
        if () in (rule.peers, rule.ports)
    }
    assert {(notice.namespace, notice.name) for notice in found.notices} == empty


@given(snapshots())
def test_beta_objects_have_the_later_semantics_where_that_is_asked_for(snapshot: Snapshot) -> None:
    """Then an empty list restricts nothing (M2, V3), and the objects are otherwise the same."""
    found = loaded("world.json", _as_json(manifests(snapshot)), PolicyOptions(v1beta1_semantics=Semantics.V1))
    for name, policy in snapshot.policies.items():
        again = found.snapshot.policies[name]
        assert again.semantics is Semantics.V1
        if policy.semantics is Semantics.ANNOTATION:
            assert [(rule.peers, rule.ports) for rule in again.ingress] == [
                (rule.peers or None, rule.ports or None) for rule in policy.ingress
            ]
