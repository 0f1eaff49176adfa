"""The control groups of a node: in every hierarchy of the machine, below one name."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count
from pathlib import Path

from waiting import wait_until

MOUNTS = Path("/sys/fs/cgroup")
PREFIX = "netpol-testbed-"

_numbers = count(1)


def new_name() -> str:
    """A name for the groups of one more cluster of this process."""
    return f"{PREFIX}{os.getpid()}-{next(_numbers)}"


def make(group: str) -> None:
    """The group is there, in every hierarchy, and takes processes."""
    for hierarchy in _hierarchies():
        controllers = hierarchy / "cgroup.controllers"
        if controllers.exists():
            wanted = " ".join(f"+{each}" for each in controllers.read_text().split())
            (hierarchy / "cgroup.subtree_control").write_text(wanted)
        (hierarchy / group).mkdir(exist_ok=True)
        if hierarchy.name == "cpuset":
            # A new set of processors is empty, and takes nobody.
            for file in ("cpuset.cpus", "cpuset.mems"):
                (hierarchy / group / file).write_text((hierarchy / file).read_text())


def remove(group: str) -> None:
    """The group is gone with all below it; its processes were ended before."""

    def gone() -> bool:
        for place in places(group):
            _try_to_remove(place)
        return not places(group)

    wait_until(gone, f"the control groups {group} are gone", seconds=10)


def remove_orphans() -> None:
    """The groups of clusters whose starter was killed are gone."""
    groups = {path.name for hierarchy in _hierarchies() for path in hierarchy.glob(f"{PREFIX}*")}
    for group in groups:
        starter = group.removeprefix(PREFIX).split("-")[0]
        if not Path("/proc", starter).exists():
            remove(group)


def places(group: str) -> list[Path]:
    """Where the group is."""
    return [hierarchy / group for hierarchy in _hierarchies() if (hierarchy / group).exists()]


def _try_to_remove(place: Path) -> None:
    inside = sorted((path for path in place.rglob("*") if path.is_dir()), reverse=True)
    for directory in [*inside, place]:
        # It stays busy for a moment after its last process has ended.
        with suppress(OSError):
            directory.rmdir()


def _hierarchies() -> list[Path]:
    """One in the second version of control groups, one for each controller in the first."""
    if (MOUNTS / "cgroup.controllers").exists():
        return [MOUNTS]
    return [path for path in MOUNTS.iterdir() if path.is_dir() and not path.is_symlink()]
