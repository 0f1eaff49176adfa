"""The guestbook of manifests/examples, in the order in which an operator would apply it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from netpol.demo.agents import CODE
from netpol.demo.raw import at, read_objects
from netpol.errors import NetpolError
from netpol.source.fields import Fields

EXAMPLES = CODE / "manifests" / "examples"

CLUSTER = "00-cluster.yaml"
DEFAULT_DENY = "10-default-deny.yaml"
GUESTBOOK = "20-guestbook.yaml"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing an operator does: the command, what it means, and the example it leaves in the cluster."""

    title: str
    command: str
    meaning: str
    file: str


STEPS = (
    Step(
        "An open cluster",
        "kubectl apply -f manifests/examples/00-cluster.yaml",
        "No namespace is annotated: everybody reaches everybody.",
        CLUSTER,
    ),
    Step(
        "DefaultDeny",
        'kubectl annotate ns production "net.beta.kubernetes.io/network-policy='
        '{\\"ingress\\": {\\"isolation\\": \\"DefaultDeny\\"}}"',
        "Nothing enters a pod of production any more; what its pods send elsewhere is not restricted.",
        DEFAULT_DENY,
    ),
    Step(
        "The guestbook's policies",
        "kubectl apply -f manifests/examples/20-guestbook.yaml",
        "The frontends are open to everybody on 80, the backends to production's frontends on 6379.",
        GUESTBOOK,
    ),
)


def apply(step: Step, directory: Path, examples: Path = EXAMPLES) -> None:
    """`directory` holds what the cluster holds after this step, if it did after the step before.

    The examples hold the namespace `production` as it is once annotated, so the first step adds it as it was before.
    """
    if not (examples / step.file).is_file():
        raise NetpolError(f"{examples / step.file} is not there: name a directory of manifests by --source")
    if step.file == CLUSTER:
        before = map(_without_annotations, read_objects(examples / DEFAULT_DENY))
        _write_objects(directory / DEFAULT_DENY, before)
    shutil.copyfile(examples / step.file, directory / step.file)


def _without_annotations(fields: Fields) -> Fields:
    metadata = {key: value for key, value in at(fields, "metadata").items() if key != "annotations"}
    return {**fields, "metadata": metadata}


def _write_objects(path: Path, objects: Iterable[Fields]) -> None:
    path.write_text("\n---\n".join(map(json.dumps, objects)) + "\n", encoding="utf-8")
