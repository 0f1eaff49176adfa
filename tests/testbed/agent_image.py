"""The agent's image, made as the Dockerfile says, without a container engine.

`python -m testbed.agent_image` makes it. A step's result is a layer that the next ones are mounted over, kept below
.testbed/ by a digest of all that went into it: a change of code repeats the steps that copy it, and those behind.

A step gets copies of what this machine reaches its packages by, never the files themselves: it is root, and may write.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from testbed.dockerfile import Copy, Entrypoint, Env, Label, Run, Stage, Step, Workdir, parse
from testbed.images import SEARCH_PATH, write_image
from testbed.ways import Ways, debian_mirrors

import netpol

ROOT = Path(__file__).parents[2]
WORKSHOP = ROOT / ".testbed/agent-image"
LAYERS = WORKSHOP / "layers"
LOG = WORKSHOP / "log"
TAG = f"example.com/netpol:{netpol.__version__}"

NOT_COPIED = ("__pycache__",)
"""What .dockerignore keeps back within the directories that are copied."""

_SLIM_IMAGE = re.compile(r"debian:(?P<suite>[a-z]+)-slim")
_INSIDE_ENV = "NETPOL_IMAGE_MOUNTS"
_EXCLUDED_FROM_SLIM = ("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man", "usr/share/lintian")
_SLIM = "".join(f"path-exclude /{folder}/*\n" for folder in _EXCLUDED_FROM_SLIM)


class NoImage(Exception):
    """The image cannot be made on this machine."""


@dataclass(slots=True)
class Built:
    """A stage on its way: its layers from the bottom, each with what made it, and what its steps have set."""

    suite: str
    layers: dict[str, str]
    digest: str
    environment: dict[str, str] = field(default_factory=lambda: dict(SEARCH_PATH))
    directory: str = "/"
    entrypoint: tuple[str, ...] = ()


def make_image(out: Path, tag: str = TAG) -> None:
    """`out` is the image in the archive form that containerd imports; NoImage where it cannot be made here.

    Everything is mounted in a namespace of its own, so a build that is killed leaves no mount behind.
    Two at once take turns, by a lock that ends with its holder.
    """
    _require()
    WORKSHOP.mkdir(parents=True, exist_ok=True)
    with (WORKSHOP / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        _make_apart(out, tag)


def _make_apart(out: Path, tag: str) -> None:
    done = subprocess.run(
        ("unshare", "--mount", sys.executable, "-m", "testbed.agent_image", str(out.absolute()), tag),
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", _INSIDE_ENV: "private"},
        check=False,
    )
    if done.returncode != 0:
        raise NoImage(f"{out} was not made; see {LOG}")


def _require() -> None:
    if os.geteuid() != 0:
        raise NoImage("making the image needs root: it changes into a root file system and mounts")
    absent = [tool for tool in ("apt-get", "debootstrap", "tar", "unshare") if shutil.which(tool) is None]
    if absent:
        raise NoImage(f"making the image needs {', '.join(absent)} (on Debian: apt-get install debootstrap)")


def _make(out: Path, tag: str) -> None:
    LAYERS.mkdir(parents=True, exist_ok=True)
    LOG.unlink(missing_ok=True)
    built: dict[str | None, Built] = {}
    for stage in parse((ROOT / "Dockerfile").read_text(encoding="utf-8")):
        built[stage.name] = image = _build(stage, built)
    _forget_all_but(name for each in built.values() for name in each.layers)
    tarball = WORKSHOP / f"{image.digest}.tar"
    if not tarball.exists():
        for old in WORKSHOP.glob("*.tar"):
            old.unlink()
        _write_layer(tarball, image)
    for layer, title in image.layers.items():
        print(f"{_megabytes(LAYERS / layer):5.0f} MB  {title:.70}")
    write_image(out, tarball, tag, image.entrypoint, environment=image.environment, working_directory=image.directory)


def _build(stage: Stage, earlier: Mapping[str | None, Built]) -> Built:
    base = _digest(stage.image, _SLIM)
    _layer(base, functools.partial(_bootstrap, stage.image))
    built = Built(_suite(stage.image), {base: stage.image}, base)
    for step in stage.steps:
        built.digest = _digest(built.digest, repr(step), *_inputs(step, earlier))
        match step:
            case Run(command):
                _add_layer(built, f"RUN {command}", functools.partial(_run, command, built))
            case Copy():
                _add_layer(built, f"COPY {step.target}", functools.partial(_copy, step, built, earlier))
            case Env(variables):
                built.environment.update(variables)
            case Workdir(path):
                built.directory = path
            case Entrypoint(words):
                built.entrypoint = words
            case Label():
                pass
    return built


def _inputs(step: Step, earlier: Mapping[str | None, Built]) -> Iterator[str]:
    """What a step takes from elsewhere: another stage's digest, or names, modes and contents of the context."""
    if not isinstance(step, Copy):
        return
    if step.stage is not None:
        yield earlier[step.stage].digest
        return
    for source in step.sources:
        place = ROOT / source
        files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
        for path in files:
            if not set(NOT_COPIED).intersection(path.parts):
                mode = f"{path.stat().st_mode:o}"
                yield from (path.relative_to(ROOT).as_posix(), mode, hashlib.sha256(path.read_bytes()).hexdigest())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _add_layer(built: Built, title: str, make: Callable[[Path], None]) -> None:
    _layer(built.digest, make)
    built.layers[built.digest] = title


def _layer(name: str, make: Callable[[Path], None]) -> None:
    """The layer is there: as it was made before, or whole."""
    if (LAYERS / name).exists():
        return
    part = LAYERS / f"{name}.part"
    if part.exists():
        shutil.rmtree(part)
    part.mkdir()
    make(part)
    part.rename(LAYERS / name)


def _forget_all_but(names: Iterable[str]) -> None:
    kept = set(names)
    for path in LAYERS.iterdir():
        if path.name not in kept:
            shutil.rmtree(path)


@contextmanager
def _mounted(layers: Collection[str], upper: Path) -> Iterator[Path]:
    """The root file system of these layers; what is written there goes to `upper`."""
    with tempfile.TemporaryDirectory(dir=WORKSHOP) as scratch:
        root, work = Path(scratch, "root"), Path(scratch, "work")
        root.mkdir()
        work.mkdir()
        # Names without directories, as the kernel takes no more than a page of options.
        lower = ":".join(reversed(tuple(layers)))
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        _start("mount", "-t", "overlay", "-o", options, "netpol-image", str(root))
        try:
            yield root
        finally:
            _start("umount", "--recursive", str(root))


def _run(command: str, built: Built, upper: Path) -> None:
    """What the command did to the root file system of the layers so far lies in `upper`."""
    with _mounted(built.layers, upper) as root:
        (root / built.directory.lstrip("/")).mkdir(parents=True, exist_ok=True)
        (root / "etc/resolv.conf").touch()
        _start("mount", "-t", "tmpfs", "netpol-image", str(root / "run"))
        ways = Ways(root, built.suite)
        _start("mount", "--bind", str(ways.resolver()), str(root / "etc/resolv.conf"))
        inside = ("--pid", "--fork", "--kill-child", "--root", str(root), "--wd", built.directory, "--mount-proc")
        _start("unshare", *inside, "/bin/sh", "-c", command, environment={**built.environment, **ways.environment()})


def _copy(step: Copy, built: Built, earlier: Mapping[str | None, Built], upper: Path) -> None:
    with ExitStack() as mounts:
        source_root = ROOT
        if step.stage is not None:
            unused = Path(mounts.enter_context(tempfile.TemporaryDirectory(dir=WORKSHOP)))
            source_root = mounts.enter_context(_mounted(earlier[step.stage].layers, unused))
        root = mounts.enter_context(_mounted(built.layers, upper))
        target = root / PurePosixPath(built.directory, step.target).as_posix().lstrip("/")
        for source in (source_root / source.lstrip("/") for source in step.sources):
            if source.is_dir():
                ignored = shutil.ignore_patterns(*NOT_COPIED if step.stage is None else ())
                shutil.copytree(source, target, symlinks=True, ignore=ignored, dirs_exist_ok=True)
            else:
                place = target / source.name if step.target.endswith("/") else target
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, place)


def _suite(image: str) -> str:
    found = _SLIM_IMAGE.fullmatch(image)
    if found is None:
        raise NoImage(f"only Debian's slim images can be made here, not {image}")
    return found["suite"]


def _bootstrap(image: str, root: Path) -> None:
    """`root` is Debian's slim image: its smallest system without what a person reads."""
    suite = _suite(image)
    mirror = next((uri for uri, codename, _ in debian_mirrors(suite) if codename == suite), None)
    if mirror is None:
        raise NoImage("apt knows no mirror of Debian here: apt-get update")
    _start("debootstrap", "--variant=minbase", suite, str(root), mirror)
    (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(_SLIM, encoding="utf-8")
    for folder in (*_EXCLUDED_FROM_SLIM, "var/cache/apt", "var/lib/apt/lists", "var/log"):
        _empty(root / folder)


def _empty(folder: Path) -> None:
    """Nothing is left below `folder` but licences."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.name != "copyright":
            path.unlink()


def _megabytes(folder: Path) -> float:
    sizes = (path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(sizes) / 1e6


def _write_layer(out: Path, built: Built) -> None:
    """One tarball of all layers. Times stay: Debian's compiled modules are looked at by those of their sources."""
    part = out.with_suffix(".part")
    with tempfile.TemporaryDirectory(dir=WORKSHOP) as unused, _mounted(built.layers, Path(unused)) as root:
        sparing = ("--exclude=./dev/*", "--exclude=./run/*", "--exclude=./tmp/*")
        _start(
            "tar", "--create", f"--file={part}", f"--directory={root}", "--sort=name", "--numeric-owner", *sparing, "."
        )
    part.rename(out)


def _start(*arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """The program succeeded; what it said is in the log."""
    with LOG.open("a") as log:
        subprocess.run(
            arguments, cwd=LAYERS, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True
        )


def main(arguments: Sequence[str]) -> int:
    """The image lies where the first argument says, tagged as the second says; both have defaults."""
    out = Path(arguments[0]) if arguments else WORKSHOP.parent / "images/netpol.tar"
    tag = arguments[1] if len(arguments) > 1 else TAG
    try:
        if os.environ.get(_INSIDE_ENV):
            _make(out, tag)
            return 0
        out.parent.mkdir(parents=True, exist_ok=True)
        make_image(out, tag)
    except (NoImage, subprocess.CalledProcessError) as failure:
        print(failure, file=sys.stderr)
        return 1
    print(f"{out}: {tag}, {out.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
