"""Container images made from files, without a daemon: one layer, in the archive form that `ctr images import` reads."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

SEARCH_PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def write_image(
    out: Path,
    layer: Path,
    tag: str,
    entrypoint: Sequence[str],
    *,
    also_tagged: Sequence[str] = (),
    command: Sequence[str] = (),
    environment: Mapping[str, str] = SEARCH_PATH,
    user: str = "",
    working_directory: str = "",
) -> None:
    """`out` is an image of one layer: a tarball as it is, or a directory taken for the root of a file system.

    The same input makes the same image. What stood at `out` is replaced once the new image is whole.
    """
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        tarball = layer
        if layer.is_dir():
            tarball = Path(scratch, "layer.tar")
            write_layer(tarball, layer)
        with tarball.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        run = {
            "Entrypoint": list(entrypoint),
            "Cmd": list(command),
            "Env": [f"{name}={value}" for name, value in sorted(environment.items())],
            "User": user,
            "WorkingDir": working_directory,
        }
        config = _json(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": "1970-01-01T00:00:00Z",
                "config": run,
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
                "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "netpol's tests"}],
            }
        )
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        layer_name = f"{digest}/layer.tar"
        listing = _json([{"Config": config_name, "RepoTags": [tag, *also_tagged], "Layers": [layer_name]}])
        whole = Path(scratch, "image.tar")
        with tarfile.open(whole, "w") as image:
            with tarball.open("rb") as file:
                image.addfile(_member(layer_name, tarball.stat().st_size), file)
            for name, text in ((config_name, config), ("manifest.json", listing)):
                image.addfile(_member(name, len(text)), io.BytesIO(text))
        whole.replace(out)


def write_layer(out: Path, root: Path) -> None:
    """`out` is a tarball of all below `root`, links and devices too, in order of name and without times."""
    with tarfile.open(out, "w") as layer:
        for path in sorted(root.rglob("*")):
            layer.add(path, path.relative_to(root).as_posix(), recursive=False, filter=_without_history)


def _without_history(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = 0
    member.uname = member.gname = ""
    return member


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
