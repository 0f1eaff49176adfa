"""A plain client of an API server: what the tests ask it themselves, beside the client that is tested."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

Object = dict[str, Any]
"""A JSON object of the API."""

MERGE = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"


class Refused(AssertionError):
    """The server answered with an error; `status` is its number and `reason` the API's word for it."""

    def __init__(self, request: str, status: int, answer: str) -> None:
        super().__init__(f"{request}: {status} {answer[:500]}")
        self.status = status
        self.reason = json.loads(answer).get("reason", "") if answer.startswith("{") else ""


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Requests with one token; each has a connection of its own, so a restarted server is no special case."""

    url: str
    token: str
    authority: Path
    timeout_seconds: float = 10

    def text(self, path: str) -> str:
        """What a GET of `path` answers, as it is: for /readyz and /metrics."""
        with self._answer("GET", path) as response:
            return response.read().decode()

    def get(self, path: str, **query: str | int) -> Object:
        """The object at `path`."""
        return self._ask("GET", _with_query(path, query))

    def create(self, path: str, thing: Object) -> Object:
        """`thing` exists in the collection `path`."""
        return self._ask("POST", path, thing)

    def replace(self, path: str, thing: Object) -> Object:
        """`path` is `thing`."""
        return self._ask("PUT", path, thing)

    def patch(self, path: str, change: Object, kind: str = MERGE) -> Object:
        """`change` was merged into what is at `path`."""
        return self._ask("PATCH", path, change, kind)

    def delete(self, path: str, **query: str | int) -> Object:
        """Nothing is at `path`, or soon will not be."""
        return self._ask("DELETE", _with_query(path, query))

    @contextmanager
    def watching(self, path: str, **query: str | int) -> Iterator[Iterator[Object]]:
        """The events of a collection as they come, until the server ends the watch; it has begun inside the `with`."""
        with self._answer("GET", _with_query(path, {"watch": "true", **query})) as response:
            yield map(json.loads, response)

    def watched(self, path: str, seconds: int = 1, **query: str | int) -> list[Object]:
        """All events of a watch that the server ends after so many seconds."""
        with self.watching(path, timeoutSeconds=seconds, **query) as events:
            return list(events)

    def _ask(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        with self._answer(method, path, body, kind) as response:
            answer: Object = json.load(response)
            return answer

    @contextmanager
    def _answer(
        self, method: str, path: str, body: Object | None = None, kind: str = "application/json"
    ) -> Iterator[http.client.HTTPResponse]:
        server = urlsplit(self.url)
        trust = ssl.create_default_context(cafile=self.authority)
        connection = http.client.HTTPSConnection(
            server.hostname or "", server.port, timeout=self.timeout_seconds, context=trust
        )
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json", "Content-Type": kind}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            if response.status >= 400:
                raise Refused(f"{method} {path}", response.status, response.read().decode())
            yield response
        except http.client.HTTPException as broken:
            raise ConnectionError(f"{method} {path}: {broken!r}") from broken
        finally:
            connection.close()


def _with_query(path: str, query: Mapping[str, str | int]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
