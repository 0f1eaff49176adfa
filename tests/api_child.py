"""The tests' API server as its own process, so that a measurement has its CPU to itself.

`python -m api_child --port 0 --load FILE` serves; ApiChild starts that, and tells it what happens.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
from api_server import ApiServer
from api_store import Age, Manifest, Sent, Store


class ApiChild:
    """A server with the objects of `load`, a file that holds a JSON List; it ends with `close`."""

    def __init__(self, load: Path | None = None, age: Age = Age.NEW) -> None:
        command = [sys.executable, str(Path(__file__)), "--age", age.value]
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


def main() -> None:
    """Serve; the port is the first line of standard output, and each line of standard input is a command.

    `{"put": MANIFEST}` and `{"delete": [KIND, NAMESPACE, NAME]}` are answered with `{"version": N, "sent_ns": N}`,
    `{"load": FILE}` with the number of objects; the end of input ends the server.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--age", choices=[age.value for age in Age], default=Age.NEW.value)
    parser.add_argument("--load", type=Path)
    arguments = parser.parse_args()
    with ApiServer(Age(arguments.age), arguments.port) as server:
        if arguments.load:
            _obey(server.store, {"load": str(arguments.load)})
        print(json.dumps({"port": server.port}), flush=True)
        for line in sys.stdin.buffer:
            print(json.dumps(_obey(server.store, msgspec.json.decode(line))), flush=True)


def _obey(store: Store, command: Mapping[str, Any]) -> dict[str, int]:
    match command:
        case {"put": manifest}:
            sent = store.put(manifest)
        case {"delete": [kind, namespace, name]}:
            sent = store.delete(kind, namespace, name)
        case {"load": path}:
            items = msgspec.json.decode(Path(path).read_bytes())["items"]
            store.load(items)
            return {"loaded": len(items)}
        case _:
            raise ValueError(f"no command: {command}")
    return {"version": sent.version, "sent_ns": sent.sent_ns}


if __name__ == "__main__":
    main()
