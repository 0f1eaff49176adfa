"""Requests to the API server: lists, watches, and the posting of Events."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

import msgspec
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError, SSLError

from netpol.errors import UsageError
from netpol.settings import ApiSource
from netpol.source.kube.failures import ApiFailure, Reason, of_status
from netpol.source.kube.requests import Request

if TYPE_CHECKING:
    from kubernetes.client.api_client import ApiClient

CONNECT_SECONDS = 5.0
SILENT_SECONDS = 30.0
"""How long a list or a post may go without a byte."""
LONGEST_ANSWER_SECONDS = 120.0
CHUNK_BYTES = 1 << 16

Note = Callable[[socket.socket], None]

VERSION = Request("get", "its version", "/version")


def connect(options: ApiSource, clock: Callable[[], float] = time.monotonic) -> ApiConnection:
    """A connection by these options, which has asked nothing yet; UsageError where the options lead nowhere."""
    return ApiConnection(lambda note: _client(options, note), clock)


def _client(options: ApiSource, note: Note) -> ApiClient:
    # The package costs half a second and 35 MB, and most commands talk to no API server.
    from netpol.source.kube.configuration import read_configuration  # noqa: PLC0415  its cost, see above
    from netpol.source.kube.transport import open_client  # noqa: PLC0415  its cost, see above

    return open_client(read_configuration(options), note)


class ApiConnection:
    """The API server, for any number of threads; every failure is an ApiFailure."""

    def __init__(self, opened: Callable[[Note], ApiClient], clock: Callable[[], float]) -> None:
        self._open = opened
        self._clock = clock
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._lock = threading.Lock()
        self._noting = threading.Lock()
        self._closed = False
        self._client = opened(self._note)

    @property
    def server(self) -> str:
        """The server's URL, without credentials."""
        return str(self._client.configuration.host)

    def get(self, request: Request) -> bytes:
        """The whole answer to a read."""
        with self._stream("GET", request, SILENT_SECONDS, LONGEST_ANSWER_SECONDS) as stream:
            return b"".join(stream.chunks())

    def watch(self, request: Request, silent_seconds: float, longest_seconds: float) -> Stream:
        """The answer to a watch as it comes; a failure where nothing comes for `silent_seconds`.

        It fails as well where it goes on for `longest_seconds`: a byte now and then is no life.
        """
        return self._stream("GET", request, silent_seconds, longest_seconds)

    def post(self, path: str, body: Mapping[str, object], resource: str = "events") -> None:
        """The server has the object."""
        request = Request("create", resource, path)
        with self._stream("POST", request, SILENT_SECONDS, LONGEST_ANSWER_SECONDS, body) as stream:
            for _ in stream.chunks():
                pass

    def version(self) -> str:
        """The server's version, as `v1.34.4`."""
        try:
            found = msgspec.json.decode(self.get(VERSION), type=dict[str, Any])
        except msgspec.DecodeError:
            raise ApiFailure(Reason.GARBLED, f"{self.server} answers /version with no JSON: no API server?") from None
        return str(found.get("gitVersion", ""))

    def close(self) -> None:
        """No more requests; whoever waits for an answer in another thread has a failure at once."""
        with self._noting:
            self._closed = True
            end(self._sockets)
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stream(
        self, method: str, request: Request, silent: float, longest: float, body: Mapping[str, object] | None = None
    ) -> Stream:
        """The answer of a server that gives one; credentials that it refuses are read anew once."""
        client = self._client
        response = self._send(client, method, request, silent, body)
        if response.status == 401:
            response.drain_conn()
            response.release_conn()
            response = self._send(self._with_fresh_credentials(client), method, request, silent, body)
        stream = Stream(self, response, request, self._clock() + longest, self._clock)
        if 200 <= response.status < 300:
            return stream
        with stream:
            raise of_status(
                response.status, request, b"".join(stream.chunks()), response.headers.get("Retry-After", "")
            )

    def _send(
        self, client: ApiClient, method: str, request: Request, silent: float, body: Mapping[str, object] | None
    ) -> urllib3.BaseHTTPResponse:
        self.refuse_closed()
        try:
            _, url, headers, sent, _ = client.param_serialize(
                method,
                request.path,
                query_params=list(request.query),
                header_params={"Accept": "application/json", "User-Agent": "netpol"},
                body=dict(body) if body else None,
                auth_settings=["BearerToken"],
            )
            _refuse_unsendable(headers)
            answer = client.call_api(method, url, headers, sent, _request_timeout=(CONNECT_SECONDS, silent))
        except Exception as error:
            if isinstance(error, UsageError):
                # Credentials that could not be had: the next request has what can be had by then.
                self._with_fresh_credentials(client)
            raise self.failure(error, request) from None
        response: urllib3.BaseHTTPResponse = answer.response
        return response

    def refuse_closed(self) -> None:
        """ApiFailure once the connection was closed."""
        if self._closed:
            raise ApiFailure(Reason.CLOSED, "the connection was closed")

    def failure(self, error: Exception, request: Request) -> ApiFailure:
        """The failure that an exception of the libraries below stands for.

        Of one that nobody expects only its type and place are told: its words may hold the headers of the request.
        """
        if isinstance(error, ApiFailure):
            return error
        if self._closed:
            return ApiFailure(Reason.CLOSED, "the connection was closed")
        about = f"{request.verb} {request.resource} of {self.server}"
        words = _words(error)
        match error:
            case SSLError():
                return ApiFailure(Reason.TLS, f"{about}: TLS: {words}")
            case ReadTimeoutError():
                return ApiFailure(Reason.SILENT, f"{about}: no byte came in time")
            case ConnectTimeoutError() | NewConnectionError():
                return ApiFailure(Reason.UNREACHABLE, f"{about}: cannot be reached: {words}")
            case HTTPError() | OSError():
                return ApiFailure(Reason.CUT, f"{about}: {words}")
            case UsageError():
                return ApiFailure(Reason.UNAUTHORIZED, f"{about}: {words}")
        # What the generated client makes of an SSLError.
        if getattr(error, "status", None) == 0:
            return ApiFailure(Reason.TLS, f"{about}: TLS: {' '.join(str(getattr(error, 'reason', '')).split())}")
        place = traceback.extract_tb(error.__traceback__)[-1:]
        where = "".join(f" in {each.filename}:{each.lineno}" for each in place)
        return ApiFailure(Reason.BUG, f"{about}: {type(error).__name__}{where}")

    def _note(self, opened: socket.socket) -> None:
        """The socket can be ended; it has ended already where the connection was closed while it was opened."""
        with self._noting:
            self._sockets.add(opened)
            if self._closed:
                end([opened])

    def _with_fresh_credentials(self, refused: ApiClient) -> ApiClient:
        """A client whose credentials were read after the `refused` one's, which stays where none can be read."""
        with self._lock:
            if self._client is refused:
                try:
                    self._client = self._open(self._note)
                except UsageError:
                    return refused
                refused.close()
            return self._client


class Stream:
    """An answer that is under way."""

    def __init__(
        self,
        connection: ApiConnection,
        response: urllib3.BaseHTTPResponse,
        request: Request,
        deadline: float,
        clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._response = response
        self._request = request
        self._deadline = deadline
        self._clock = clock

    def chunks(self) -> Iterator[bytes]:
        """The bytes, as they come."""
        try:
            for chunk in self._response.stream(CHUNK_BYTES):
                yield chunk
                self._refuse_late()
        except Exception as error:
            raise self._connection.failure(error, self._request) from None
        self._connection.refuse_closed()

    def _refuse_late(self) -> None:
        self._connection.refuse_closed()
        if self._clock() > self._deadline:
            raise ApiFailure(Reason.SILENT, f"{self._request.verb} {self._request.resource}: takes too long")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # An answer read to its end gives its connection back to the pool by itself; any other one ends here.
        if not self._response.closed:
            self._response.close()


def _refuse_unsendable(headers: Mapping[str, str]) -> None:
    from netpol.source.kube.credentials import is_sendable  # noqa: PLC0415  it takes the whole package, see _client

    if not all(map(is_sendable, headers.values())):
        raise UsageError("the credentials are none: a line break or another odd sign is within")


def end(sockets: Iterable[socket.socket]) -> None:
    """Whoever waits for something from one of the sockets hears at once that nothing will come."""
    for each in sockets:
        with contextlib.suppress(OSError):
            # The method of ssl's own sockets forgets the session, under the feet of the thread that reads.
            socket.socket.shutdown(each, socket.SHUT_RDWR)


def _words(error: BaseException) -> str:
    """The system's own words for what is beneath the error, where there are any."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split())
