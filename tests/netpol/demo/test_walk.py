"""After each step a directory holds the cluster as it is then."""

from __future__ import annotations

from pathlib import Path

import pytest

from netpol.demo.agents import CODE
from netpol.demo.walk import EXAMPLES, STEPS, apply
from netpol.errors import NetpolError
from netpol.model.ports import Protocol, ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy.reachability import Reachability, reachability
from netpol.policy.verdict import Oracle
from netpol.settings import PolicyOptions
from netpol.source.manifests import load

FRONTENDS = {"production/frontend-1", "production/frontend-2"}
BACKENDS = {"production/redis-1", "production/redis-2"}
PRODUCTION = FRONTENDS | BACKENDS | {"production/toolbox"}
CLIENT = "staging/client"


def snapshots(directory: Path) -> list[Snapshot]:
    """The cluster after each step."""
    found = []
    for step in STEPS:
        apply(step, directory)
        found.append(load(directory, PolicyOptions()).snapshot)
    return found


def reached(snapshot: Snapshot, port: int, protocol: Protocol = Protocol.TCP) -> set[tuple[str, str]]:
    """The pairs of which the first reaches the second."""
    rows: Reachability = reachability(Oracle(snapshot), snapshot.pods.values(), ProtocolPort(protocol, port))
    return {(source, name) for source, row in rows.items() for name, allowed in row.items() if allowed}


def test_the_steps_do_what_they_say(tmp_path: Path) -> None:
    everybody = PRODUCTION | {CLIENT}
    every_pair = {(source, name) for source in everybody for name in everybody if source != name}
    to_staging = {(source, CLIENT) for source in PRODUCTION}
    to_frontends = {(source, name) for source, name in every_pair if name in FRONTENDS}
    to_backends = {(source, name) for source in FRONTENDS for name in BACKENDS}

    opened, denied, guestbook = snapshots(tmp_path)
    for port in (80, 6379):
        assert reached(opened, port) == every_pair
        assert reached(denied, port) == to_staging
    assert reached(guestbook, 80) == to_staging | to_frontends
    assert reached(guestbook, 6379) == to_staging | to_backends
    assert reached(guestbook, 53, Protocol.UDP) == to_staging


def test_the_examples_as_they_stand_are_the_last_step(tmp_path: Path) -> None:
    assert load(EXAMPLES, PolicyOptions()).snapshot == snapshots(tmp_path)[-1]


def test_the_examples_raise_no_complaint() -> None:
    loaded = load(EXAMPLES, PolicyOptions())
    assert loaded.notices == ()
    assert loaded.warnings == ()


def test_the_commands_name_files_that_are_there() -> None:
    named = [word for step in STEPS for word in step.command.split() if word.startswith("manifests/")]
    assert named
    assert all((CODE / name).is_file() for name in named)


def test_missing_examples_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(NetpolError, match=r"00-cluster.yaml is not there: name a directory of manifests by --source"):
        apply(STEPS[0], tmp_path, examples=tmp_path / "nowhere")
