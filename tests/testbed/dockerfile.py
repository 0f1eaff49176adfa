"""A Dockerfile as values, as far as ours goes: what is not understood is refused, never passed over."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass


class NotUnderstood(Exception):
    """The Dockerfile uses something that is not read here."""


@dataclass(frozen=True, slots=True)
class Run:
    """A command line for the shell."""

    command: str


@dataclass(frozen=True, slots=True)
class Copy:
    """Files of the context, or of an earlier stage, that come to lie in `target`, a directory where it ends in /."""

    sources: tuple[str, ...]
    target: str
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class Env:
    """Variables for the steps that follow and for the container."""

    variables: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Label:
    """What the image says of itself."""

    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Workdir:
    """The directory that the steps that follow work in."""

    path: str


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """What a container runs, its arguments put behind."""

    words: tuple[str, ...]


Step = Run | Copy | Env | Label | Workdir | Entrypoint


@dataclass(frozen=True, slots=True)
class Stage:
    """The steps that begin with one image, in their order."""

    image: str
    name: str | None
    steps: tuple[Step, ...]


_FROM = re.compile(r"(?P<image>\S+)(?: AS (?P<name>\S+))?")


def parse(text: str) -> tuple[Stage, ...]:
    """The stages of a Dockerfile, the last of which is the image."""
    stages: list[Stage] = []
    for instruction, rest in _instructions(text):
        if instruction == "FROM":
            found = _FROM.fullmatch(rest)
            if found is None:
                raise NotUnderstood(f"FROM {rest}")
            stages.append(Stage(found["image"], found["name"], ()))
        elif not stages:
            raise NotUnderstood(f"{instruction} before the first FROM")
        else:
            begun = stages[-1]
            stages[-1] = Stage(begun.image, begun.name, (*begun.steps, _step(instruction, rest)))
    return tuple(stages)


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction and what stands behind it; lines that end in a backslash go on in the next."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            instruction, _, rest = line.strip().partition(" ")
            yield instruction, rest.strip()


def _step(instruction: str, rest: str) -> Step:
    match instruction:
        case "RUN" if not rest.startswith(("--", "[")):
            return Run(rest)
        case "COPY":
            return _copy(rest)
        case "ENV":
            return Env(_pairs(rest))
        case "LABEL":
            return Label(_pairs(rest))
        case "WORKDIR" if rest.startswith("/"):
            return Workdir(rest)
        case "ENTRYPOINT" if rest.startswith("["):
            return Entrypoint(tuple(json.loads(rest)))
    raise NotUnderstood(f"{instruction} {rest}")


def _copy(rest: str) -> Copy:
    words = shlex.split(rest)
    stage = None
    if words and words[0].startswith("--from="):
        stage = words.pop(0).removeprefix("--from=")
    if len(words) < 2 or any(word.startswith("--") or "*" in word for word in words):
        raise NotUnderstood(f"COPY {rest}")
    return Copy(tuple(words[:-1]), words[-1], stage)


def _pairs(rest: str) -> tuple[tuple[str, str], ...]:
    words = [word.partition("=") for word in shlex.split(rest)]
    if not all(sign for _, sign, _ in words) or any("$" in value for _, _, value in words):
        raise NotUnderstood(rest)
    return tuple((name, value) for name, _, value in words)
