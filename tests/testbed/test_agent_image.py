"""What the image maker keeps and makes anew, and what it leaves of a system."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from testbed import agent_image
from testbed.agent_image import NoImage, make_image
from testbed.dockerfile import Copy

COPY = Copy(("netpol", "setup.cfg"), "./")


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(agent_image, "ROOT", tmp_path)
    monkeypatch.setattr(agent_image, "LAYERS", tmp_path)
    (tmp_path / "netpol/__pycache__").mkdir(parents=True)
    (tmp_path / "netpol/cli.py").write_text("1")
    (tmp_path / "setup.cfg").write_text("1")
    return tmp_path


def inputs() -> list[str]:
    return list(agent_image._inputs(COPY, {}))


def test_a_copy_depends_on_names_modes_and_contents(context: Path) -> None:
    seen = [inputs()]
    (context / "netpol/cli.py").write_text("2")
    seen.append(inputs())
    (context / "netpol/cli.py").chmod(0o755)
    seen.append(inputs())
    (context / "netpol/cli.py").rename(context / "netpol/agent.py")
    seen.append(inputs())
    assert len(set(map(tuple, seen))) == 4


def test_a_copy_does_not_depend_on_what_is_not_copied(context: Path) -> None:
    before = inputs()
    (context / "netpol/__pycache__/cli.pyc").write_text("1")
    (context / "README.md").write_text("1")
    os.utime(context / "setup.cfg", (1, 1))
    assert inputs() == before


def test_a_layer_is_made_once(context: Path) -> None:
    made: list[Path] = []
    for _ in range(2):
        agent_image._layer("layer", made.append)
    assert len(made) == 1
    assert (context / "layer").is_dir()


def test_a_layer_that_failed_is_made_again_from_nothing(context: Path) -> None:
    def fail(part: Path) -> None:
        (part / "half").touch()
        raise NoImage

    with pytest.raises(NoImage):
        agent_image._layer("layer", fail)
    assert not (context / "layer").exists()
    agent_image._layer("layer", lambda part: (part / "whole").touch())
    assert [path.name for path in (context / "layer").iterdir()] == ["whole"]


def test_licences_stay_where_a_persons_reading_goes(tmp_path: Path) -> None:
    for path in ("doc/a/copyright", "doc/a/changelog.gz", "doc/b/examples/x"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "doc/c").symlink_to("b")
    agent_image._empty(tmp_path / "doc")
    assert names(tmp_path.rglob("*"), tmp_path) == {"doc", "doc/a", "doc/a/copyright"}


def names(paths: Iterable[Path], root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in paths}


@pytest.mark.parametrize("image", ["debian:bookworm", "python:3.11-slim", "scratch"])
def test_only_debians_slim_images_are_made(image: str) -> None:
    with pytest.raises(NoImage, match="slim"):
        agent_image._suite(image)


def test_nobody_but_root_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NoImage, match="root"):
        make_image(tmp_path / "image.tar")
