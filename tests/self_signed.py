"""A certificate for loopback that nobody has signed but itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from private_network import missing


def self_signed(directory: Path) -> Path:
    """A file with a key and its certificate for 127.0.0.1; the test is skipped where no openssl makes one."""
    tool = shutil.which("openssl")
    if tool is None:
        missing("openssl is not installed")
    path = directory / "server.pem"
    key, certificate = directory / "server.key", directory / "server.crt"
    command = [
        tool,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    path.write_bytes(key.read_bytes() + certificate.read_bytes())
    return path
