"""The cluster that the live agent is measured against, as an API server has it."""

from __future__ import annotations

import copy
import json
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from bench.manifests import NODE, Size, write_cluster

Manifest = dict[str, Any]

BARE, BARE_PODS = "bare", 5
"""A namespace without policies, and how many pods of the node are in it: nothing isolates them but an annotation."""

POD_BYTES = 6_000
"""What a pod weighs on the wire, nearly all of it fields that no policy looks at."""


def manifests(size: Size) -> list[Manifest]:
    """Every object of the cluster of this size, with as much ballast as real ones have."""
    found: list[Manifest] = []
    with tempfile.TemporaryDirectory() as directory:
        write_cluster(Path(directory), size)
        for file in sorted(Path(directory).iterdir()):
            found += (document for document in yaml.load_all(file.read_text(), yaml.CSafeLoader) if document)
    bare = copy.deepcopy(next(manifest for manifest in found if manifest["kind"] == "Namespace"))
    bare["metadata"] = {"name": BARE, "labels": {"team": "t0"}}
    local = (each for each in found if each["kind"] == "Pod" and each["spec"]["nodeName"] == NODE)
    for pod in islice(local, BARE_PODS):
        pod["metadata"]["namespace"] = BARE
    return [bare, *map(_laden, found)]


def write_list(path: Path, objects: list[Manifest]) -> None:
    """The file holds the objects as one JSON List."""
    path.write_text(json.dumps({"kind": "List", "items": objects}))


def _laden(manifest: Manifest) -> Manifest:
    if manifest["kind"] == "Pod":
        missing = POD_BYTES - len(json.dumps(manifest))
        owned: dict[str, Any] = {f"f:field-{number}": {"f:name": {}, "f:value": {}} for number in range(missing // 45)}
        manifest["metadata"]["managedFields"] = [{"manager": "kubelet", "fieldsV1": owned}]
    return manifest
