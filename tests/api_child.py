"""The tests' API server as its own process, so that a measurement has its CPU to itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from api_store import Age, Manifest, Sent


class ApiChild:
    """A server with the objects of `load`, a file that holds a JSON List; it ends with `close`."""

    def __init__(self, load: Path | None = None, age: Age = Age.NEW) -> None:
        command = [sys.executable, str(Path(__file__).with_name("api_server.py")), "--age", age.value]
        self._process = subprocess.Popen(
            [*command, *(("--load", str(load)) if load else ())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.url = f"http://127.0.0.1:{self._answer()['port']}"

    def put(self, manifest: Manifest) -> Sent:
        """The object is as the manifest has it, and every watcher was told."""
        return Sent(**self._ask({"put": manifest}))

    def delete(self, kind: str, namespace: str, name: str) -> Sent:
        """There is no such object any more, and every watcher was told."""
        return Sent(**self._ask({"delete": [kind, namespace, name]}))

    def load(self, path: Path) -> int:
        """The objects of the file are there too; returns how many there are in it."""
        return int(self._ask({"load": str(path)})["loaded"])

    def close(self) -> None:
        """The process has ended."""
        with self._process as process:
            if process.stdin is not None:
                process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, command: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer
