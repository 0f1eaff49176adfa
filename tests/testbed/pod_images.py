"""The images of the pods that the tests make: `pause`, and `agnhost` with a shell."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from private_network import missing
from testbed.binaries import directory, program
from testbed.images import write_image
from testbed.node_files import PAUSE_IMAGE

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.56"
"""What the upstream tests use: it serves, connects and waits."""

BUSYBOX_TOOLS = ("sh", "nc", "wget", "cat", "ls", "sleep", "echo", "ping", "ip", "hostname", "nslookup")
ACCOUNTS = {
    "etc/passwd": "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    "etc/group": "root:x:0:\nnobody:x:65534:\n",
}


def pod_images() -> list[Path]:
    """The files of both images; they are made where the programs in them are newer."""
    busybox = shutil.which("busybox")
    if busybox is None:
        missing("no busybox on this machine (Debian: busybox-static)")
    pause, agnhost = program("pause"), program("agnhost")
    return [
        _image("pause", PAUSE_IMAGE, {"pause": pause}, ()),
        _image("agnhost", AGNHOST, {"agnhost": agnhost, "bin/busybox": Path(busybox)}, ("pause",)),
    ]


def _image(name: str, tag: str, programs: Mapping[str, Path], command: tuple[str, ...]) -> Path:
    out = directory() / "images" / f"{name}.tar"
    if out.exists() and all(path.stat().st_mtime < out.stat().st_mtime for path in programs.values()):
        return out
    out.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        root = Path(scratch)
        for folder in ("bin", "dev", "etc", "proc", "sys", "tmp"):
            (root / folder).mkdir()
        (root / "tmp").chmod(0o1777)
        for file, text in ACCOUNTS.items():
            (root / file).write_text(text)
        for place, path in programs.items():
            shutil.copyfile(path, root / place)
            (root / place).chmod(0o755)
        if "bin/busybox" in programs:
            for tool in BUSYBOX_TOOLS:
                (root / "bin" / tool).symlink_to("busybox")
        write_image(out, root, tag, [f"/{name}"], command=command)
    return out
