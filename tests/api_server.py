"""An API server of the tests' own: lists and watches over HTTP on loopback, with faults on demand.

`with ApiServer() as server: server.store.put(manifest)`; `api_child` runs one in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import msgspec
from api_store import KINDS, Age, Follower, Gone, Manifest, Store

PATIENCE_SECONDS = 10.0
LOOK_SECONDS = 0.05
LAST_CHUNK = b"0\r\n\r\n"
SERVED = {
    Age.OLD: {"/api/v1", "/apis/networking.k8s.io/v1", "/apis/extensions/v1beta1"},
    Age.NEW: {"/api/v1", "/apis/networking.k8s.io/v1", "/apis/discovery.k8s.io/v1"},
}
GROUPS = {"networkpolicies": ("networking.k8s.io", "extensions"), "endpointslices": ("discovery.k8s.io",)}
"""The groups that kinds are served in; the others are in the one without a name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    authorization: str = ""

    @property
    def plural(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def verb(self) -> str:
        """`watch`, `page` for the second page of a list and later ones, `list` for all that are read at once."""
        if self.query.get("watch") == "true":
            return "watch"
        return "page" if "continue" in self.query else "list"


@dataclass(frozen=True, slots=True)
class Answer:
    """A fault: this is answered, whatever was asked; `announced` bytes are promised where it is not None."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    announced: int | None = None


class Silence(threading.Event):
    """A fault: nothing is answered until it is set."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A fault: a watch begins with these bytes, and ends at once where `ends`."""

    body: bytes = b""
    ends: bool = True


Fault = Answer | Silence | Opening


class ApiServer:
    """A server on a free port of loopback, until `close`; `tokens` are those it takes, None that it asks for none."""

    def __init__(
        self, age: Age = Age.NEW, port: int = 0, certificate: Path | None = None, tokens: set[str] | None = None
    ) -> None:
        self.store = Store(age)
        self.served = set(SERVED[age])
        self.tokens = tokens
        self.asked: list[Asked] = []
        self.posted: list[Manifest] = []
        self.faults: defaultdict[tuple[str, str], deque[Fault]] = defaultdict(deque)
        self._silences: list[Silence] = []
        self._connections: set[socket.socket] = set()
        self._http = _Http(("127.0.0.1", port), self, certificate)
        self.port = self._http.server_address[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The port is closed and every connection is cut."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self.cut()
        for silence in self._silences:
            silence.set()
        self._http.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what tests say

    def fail(self, verb: str, plural: str, *faults: Fault) -> None:
        """The next requests of this verb for this kind meet these faults, one each."""
        with self.store.changed:
            self.faults[verb, plural] += faults
            self._silences += [fault for fault in faults if isinstance(fault, Silence)]

    def cut(self, plural: str | None = None) -> None:
        """The connections of all watches of the kind are cut; of everything, where none is named."""
        with self.store.changed:
            for each in (plural,) if plural else KINDS:
                for follower in self.store.followers(each):
                    follower.cut()
            for connection in () if plural else tuple(self._connections):
                _shut(connection)

    def end(self, plural: str) -> None:
        """The watches of the kind end as after their time."""
        for follower in self.store.followers(plural):
            follower.ended.set()

    def say(self, plural: str, body: bytes) -> None:
        """The watches of the kind carry these bytes."""
        with self.store.changed:
            for follower in self.store.followers(plural):
                follower.tell(body)

    def wait_until(self, condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
        """Returns once the condition holds, which is looked at after every request and every change."""
        with self.store.changed:
            if not self.store.changed.wait_for(condition, seconds):
                raise AssertionError(f"not within {seconds} s; asked: {self.asked[-5:]}")

    def wait_for_watch(self, *plurals: str) -> None:
        """Returns once each kind is watched."""
        self.wait_until(lambda: all(self.store.followers(plural) for plural in plurals))

    def times_asked(self, verb: str, plural: str) -> int:
        """How many requests of this verb came for the kind."""
        with self.store.changed:
            return sum(asked.verb == verb and asked.plural == plural for asked in self.asked)

    # --- what connections do

    def note(self, asked: Asked) -> Fault | None:
        """The request is known; returns the fault that it meets."""
        with self.store.changed:
            self.asked.append(asked)
            faults = self.faults[asked.verb, asked.plural]
            self.store.changed.notify_all()
            return faults.popleft() if faults else None

    def opened(self, connection: socket.socket) -> None:
        """The connection can be cut."""
        with self.store.changed:
            self._connections.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """The connection is no more."""
        with self.store.changed:
            self._connections.discard(connection)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], api: ApiServer, certificate: Path | None) -> None:
        self.api = api
        self._answering: list[threading.Thread] = []
        super().__init__(address, _Handler)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if self._context and certificate:
            self._context.load_cert_chain(certificate)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self._converse, args=(request, client_address), daemon=True)
        self._answering.append(thread)
        thread.start()

    def _converse(self, request: socket.socket, client_address: Any) -> None:
        if self._context:
            request.settimeout(PATIENCE_SECONDS)
            try:
                request = self._context.wrap_socket(request, server_side=True)
            except OSError:
                request.close()
                return
            request.settimeout(None)
        self.process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError | ValueError):
            super().handle_error(request, client_address)

    def join(self) -> None:
        for thread in self._answering:
            thread.join(PATIENCE_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def setup(self) -> None:
        super().setup()
        self._is_cut = False
        self._follower: Follower | None = None
        self._api = self.server.api
        self._api.opened(self.connection)

    def finish(self) -> None:
        self._api.closed(self.connection)
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

    def do_GET(self) -> None:
        asked = self._asked()
        fault = self._api.note(asked)
        if isinstance(fault, Silence):
            fault.wait()
            self.cut()
        elif isinstance(fault, Answer):
            self._answer(fault)
        elif not self._refused(asked):
            self._serve(asked, fault)

    def do_POST(self) -> None:
        asked = self._asked()
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        fault = self._api.note(asked)
        if isinstance(fault, Answer):
            self._answer(fault)
        elif not self._refused(asked):
            with self._api.store.changed:
                self._api.posted.append(msgspec.json.decode(body))
                self._api.store.changed.notify_all()
            self._answer(Answer(201, body))

    def _asked(self) -> Asked:
        url = urlsplit(self.path)
        return Asked(self.command, url.path, dict(parse_qsl(url.query)), self.headers.get("Authorization", ""))

    def _refused(self, asked: Asked) -> bool:
        tokens = self._api.tokens
        if tokens is None or asked.authorization.removeprefix("Bearer ") in tokens:
            return False
        self._answer(status(401, "Unauthorized"))
        return True

    def _serve(self, asked: Asked, fault: Opening | None) -> None:
        api_path, _, plural = asked.path.rpartition("/")
        if asked.path == "/version":
            self._answer(Answer(200, b'{"gitVersion":"v%s.0"}' % self._api.store.age.value.encode()))
        elif asked.path in self._api.served:
            names = [{"name": name} for name in KINDS if _group(asked.path) in GROUPS.get(name, ("",))]
            self._answer(Answer(200, json.dumps({"kind": "APIResourceList", "resources": names}).encode()))
        elif api_path not in self._api.served or plural not in KINDS:
            self._answer(status(404, "the server could not find the requested resource"))
        elif asked.verb == "watch":
            self._watch(asked, api_path.split("/", 2)[2], fault)
        else:
            self._list(asked, api_path.split("/", 2)[2])

    def _list(self, asked: Asked, api_version: str) -> None:
        query = asked.query
        try:
            page = self._api.store.page(
                asked.plural, int(query.get("limit", "0")), query.get("continue", ""), _named(query)
            )
        except Gone:
            self._answer(status(410, "The provided continue parameter is too old"))
            return
        head = {"resourceVersion": str(page.version)} | ({"continue": page.following} if page.following else {})
        start = {"kind": f"{KINDS[asked.plural]}List", "apiVersion": api_version, "metadata": head}
        body = b'%s,"items":[%s]}' % (msgspec.json.encode(start)[:-1], b",".join(page.items))
        self._answer(Answer(200, body))

    def _watch(self, asked: Asked, api_version: str, fault: Opening | None) -> None:
        self._follower = follower = Follower(asked.plural, api_version, self.tell, self.cut)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if fault and fault.body:
            self.tell(fault.body)
        if not (fault and fault.ends):
            try:
                self._api.store.follow(follower, int(asked.query["resourceVersion"]))
                self._stay(follower, float(asked.query.get("timeoutSeconds", "3600")))
            except Gone:
                gone = status(410, "too old resource version").body
                self.tell(b'{"type":"ERROR","object":%s}\n' % gone)
            self._api.store.leave(follower)
        if not self._is_cut:
            self._write(LAST_CHUNK)

    def _stay(self, follower: Follower, seconds: float) -> None:
        """Returns once the watch has ended, its time is up, or nobody reads it any more."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not follower.ended.wait(LOOK_SECONDS):
            if select.select([self.connection], [], [], 0)[0]:
                self.cut()

    def tell(self, body: bytes) -> None:
        """The watch under way carries these bytes; who does not read them any more misses them."""
        with contextlib.suppress(OSError, ValueError):
            self._write(b"%x\r\n%s\r\n" % (len(body), body))

    def cut(self) -> None:
        """The connection ends in the middle of whatever it carries."""
        self._is_cut = self.close_connection = True
        _shut(self.connection)
        if self._follower:
            self._follower.ended.set()

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body) if answer.announced is None else answer.announced))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._write(answer.body)
        if answer.announced is not None:
            self.cut()

    def _write(self, body: bytes) -> None:
        self.connection.sendall(body)


def _group(api_path: str) -> str:
    """The group of an API, as in `/apis/GROUP/VERSION`; "" of the first one, `/api/v1`."""
    return api_path.split("/")[2] if api_path.startswith("/apis/") else ""


def _named(query: Mapping[str, str]) -> str:
    """The one name that the query asks for; "" where it asks for all."""
    return query.get("fieldSelector", "").removeprefix("metadata.name=")


def status(code: int, message: str, **headers: str) -> Answer:
    """The answer of a server that refuses."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return Answer(code, json.dumps(body).encode(), {name.replace("_", "-"): value for name, value in headers.items()})


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
