"""The programs of the test beds, built from Go modules into one directory that git does not keep."""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from private_network import missing
from testbed import toolchain

GO_SOURCES = Path(__file__).parent / "go"
CURRENT, OLD = "v1.34.4", "v1.15.12"

_VERSIONED = "-s -w " + " ".join("-X {package}.git" + field for field in ("Version={v}", "Major=1", "Minor={minor}"))


@dataclass(frozen=True, slots=True)
class Build:
    """Programs that are made together, from one folder of `go/`."""

    name: str
    programs: tuple[str, ...]
    run: Callable[[Path, Path], None]
    """Called with a Go and the directory that the programs shall be in."""

    def fingerprint(self) -> str:
        """Another text where anything that goes into these programs has changed."""
        recipe = (inspect.getsource(self.run), _VERSIONED, CURRENT, OLD, *self.programs)
        contents = hashlib.sha256(repr(recipe).encode())
        for path in sorted((GO_SOURCES / self.name).iterdir()):
            contents.update(path.name.encode() + b"\0" + path.read_bytes())
        return contents.hexdigest()

    def is_done(self, beds: Path) -> bool:
        """Whether the programs are there and made of what would go into them now."""
        stamp = beds / f"{self.name}.built"
        there = all((beds / program).exists() for program in self.programs)
        return there and stamp.exists() and stamp.read_text() == self.fingerprint()


def directory() -> Path:
    """Where the programs are: $NETPOL_TESTBED, or .testbed at the top of the project."""
    return Path(os.environ.get("NETPOL_TESTBED") or Path(__file__).parents[2] / ".testbed").absolute()


def program(name: str) -> Path:
    """The path of a program of the beds; the test ends here where it was not built."""
    path = directory() / name
    if not path.exists():
        missing(f"no {name} in {directory()}: `make testbed` builds it")
    return path


def build(say: Callable[[str], None], builds: Sequence[Build] | None = None) -> None:
    """Every program is there and made of today's sources; nothing is done for those that were.

    Of the beds, where nothing else is asked for.
    """
    beds = directory()
    wanted = [build for build in (BUILDS if builds is None else builds) if not build.is_done(beds)]
    if not wanted:
        return
    beds.mkdir(parents=True, exist_ok=True)
    with _alone(beds):
        go = toolchain.go(beds)
        for each in wanted:
            if each.is_done(beds):
                continue
            began = time.monotonic()
            each.run(go, beds)
            (beds / f"{each.name}.built").write_text(each.fingerprint())
            say(f"built in {time.monotonic() - began:.0f} s: {' '.join(each.programs)}")


def _current(go: Path, beds: Path) -> None:
    flags = _VERSIONED.format(package="k8s.io/component-base/version", v=CURRENT, minor=CURRENT.split(".")[1])
    packages = [f"k8s.io/kubernetes/cmd/{name}" for name in CURRENT_COMMANDS]
    packages.append("k8s.io/kubernetes/test/images/agnhost")
    _go(go, GO_SOURCES / "current", "build", "-ldflags", flags, "-o", f"{beds}/", *packages)


def _old(go: Path, beds: Path) -> None:
    versions = ("k8s.io/kubernetes/pkg/version", "k8s.io/client-go/pkg/version")
    flags = " ".join(_VERSIONED.format(package=package, v=OLD, minor=OLD.split(".")[1]) for package in versions)
    with tempfile.TemporaryDirectory(dir=beds) as scratch:
        folder = Path(scratch)
        for name in ("go.mod", "go.sum", "tools.go"):
            shutil.copy(GO_SOURCES / "old" / name, folder)
        # Nothing may be laid over a module in the cache, so the file that is missing goes into a vendored copy.
        _go(go, folder, "mod", "vendor")
        package = folder / "vendor/k8s.io/kubernetes/pkg/generated/openapi"
        shutil.copy(GO_SOURCES / "old" / "openapi_stub.go.txt", package / "stub.go")
        # The folder has another name each time; -trimpath keeps it out of the keys of Go's cache.
        arguments = ("-mod=vendor", "-trimpath", "-ldflags", flags, "-o", str(beds / OLD_API_SERVER))
        _go(go, folder, "build", *arguments, "k8s.io/kubernetes/cmd/kube-apiserver")


def _upstream(go: Path, beds: Path) -> None:
    _go(go, GO_SOURCES / "upstream", "build", "-ldflags", "-s -w", "-o", str(beds / UPSTREAM_SUITE), ".")


def _pause(go: Path, beds: Path) -> None:
    _go(go, GO_SOURCES / "pause", "build", "-ldflags", "-s -w", "-o", str(beds / "pause"), "pause.go")


def _go(go: Path, folder: Path, *arguments: str) -> None:
    subprocess.run([go, *arguments], cwd=folder, env=toolchain.environment(), check=True)


@contextmanager
def _alone(beds: Path) -> Iterator[None]:
    with (beds / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


CURRENT_COMMANDS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
OLD_API_SERVER = "kube-apiserver-1.15"
UPSTREAM_SUITE = "network-policy-suite"

BUILDS = (
    Build("pause", ("pause",), _pause),
    Build("current", (*CURRENT_COMMANDS, "agnhost"), _current),
    Build("old", (OLD_API_SERVER,), _old),
)

UPSTREAM = Build("upstream", (UPSTREAM_SUITE,), _upstream)
"""Kubernetes' own tests of network policies: nothing of ours needs them, so they are built when they are run."""
