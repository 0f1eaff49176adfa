"""One etcd on loopback, which can forget its history or everything."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from private_network import missing
from testbed.processes import Process

HOST = "127.0.0.1"


def free_ports(number: int) -> list[int]:
    """So many ports of loopback that nobody had a moment ago."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(number)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Etcd:
    """A store below `directory`; its addresses stay the same from one start to the next."""

    def __init__(self, directory: Path, host: str = HOST, ports: tuple[int, int] | None = None) -> None:
        self._directory = directory
        self._host = host
        self._client_port, peer_port = ports or free_ports(2)
        self.url = f"http://{host}:{self._client_port}"
        self._peer_url = f"http://{host}:{peer_port}"
        self.process: Process | None = None

    def start(self) -> None:
        """It serves what it held when it was stopped."""
        program = shutil.which("etcd")
        if program is None:
            missing("no etcd on this machine (Debian: etcd-server)")
        self.process = Process("etcd", self._command(program), self._directory / "etcd.log")
        self.process.until("healthy", lambda: self._answer("GET", "/health").get("health") == "true")

    def stop(self) -> None:
        """It has ended; what it holds is kept."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    def wipe(self) -> None:
        """It serves an empty store."""
        self.stop()
        shutil.rmtree(self._directory / "etcd")
        self.start()

    def compact(self) -> None:
        """All history up to now is forgotten: who asks for a change of before is told so."""
        key = base64.b64encode(b"any").decode()
        revision = self._answer("POST", "/v3/kv/range", {"key": key})["header"]["revision"]
        # Compacting what is compacted is refused, and changes nothing.
        with suppress(AssertionError):
            self._answer("POST", "/v3/kv/compaction", {"revision": revision, "physical": True})

    def _command(self, program: str) -> list[str]:
        return [
            program,
            f"--data-dir={self._directory / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={self._peer_url}",
            f"--initial-advertise-peer-urls={self._peer_url}",
            f"--initial-cluster=default={self._peer_url}",
        ]

    def _answer(self, method: str, path: str, body: dict[str, object] | None = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._host, self._client_port, timeout=5)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise AssertionError(f"etcd: {method} {path}: {response.status} {text}")
        answer: dict[str, Any] = json.loads(text)
        return answer
