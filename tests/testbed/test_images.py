"""The images are what containerd expects, and the same files always make the same image."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest
from testbed.images import write_image, write_layer

TAG = "example.com/netpol:1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root-file-system"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "tool").write_text("#!/bin/true\n")
    (root / "bin" / "tool").chmod(0o755)
    (root / "bin" / "again").hardlink_to(root / "bin" / "tool")
    (root / "sh").symlink_to("bin/tool")
    return root


def read(image: Path, name: str) -> bytes:
    with tarfile.open(image) as archive:
        member = archive.extractfile(name)
        assert member is not None
        return member.read()


def test_a_directory_is_the_root_of_the_image(tmp_path: Path, root: Path) -> None:
    out = tmp_path / "image.tar"
    write_image(out, root, TAG, ["/bin/tool"], also_tagged=["example.com/netpol:old"], command=["run"], user="65534")

    (listing,) = json.loads(read(out, "manifest.json"))
    assert listing["RepoTags"] == [TAG, "example.com/netpol:old"]
    config = read(out, listing["Config"])
    assert listing["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
    described = json.loads(config)
    assert described["config"]["Entrypoint"] == ["/bin/tool"]
    assert described["config"]["Cmd"] == ["run"]
    assert described["config"]["User"] == "65534"

    (layer_name,) = listing["Layers"]
    layer = tmp_path / "layer.tar"
    layer.write_bytes(read(out, layer_name))
    assert described["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"]
    with tarfile.open(layer) as files:
        members = {member.name: member for member in files}
    assert list(members) == ["bin", "bin/again", "bin/tool", "sh"]
    assert members["bin/tool"].islnk()
    assert members["bin/again"].mode == 0o755
    assert members["sh"].linkname == "bin/tool"


def test_a_tarball_is_the_layer_as_it_is(tmp_path: Path, root: Path) -> None:
    layer = tmp_path / "layer.tar"
    write_layer(layer, root)
    write_image(tmp_path / "of-tarball.tar", layer, TAG, ["/bin/tool"])
    write_image(tmp_path / "of-directory.tar", root, TAG, ["/bin/tool"])
    assert (tmp_path / "of-tarball.tar").read_bytes() == (tmp_path / "of-directory.tar").read_bytes()


def test_times_change_nothing(tmp_path: Path, root: Path) -> None:
    out = tmp_path / "image.tar"
    write_image(out, root, TAG, ["/bin/tool"])
    before = out.read_bytes()
    os.utime(root / "bin" / "tool", (1, 1))
    write_image(out, root, TAG, ["/bin/tool"])
    assert out.read_bytes() == before


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "image.tar"
    out.write_text("the old one")
    with pytest.raises(FileNotFoundError):
        write_image(out, tmp_path / "missing", TAG, ["/bin/tool"])
    assert out.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [out]
