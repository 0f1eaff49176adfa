"""Records to real sockets: whatever listens, stops listening, does not read, or comes back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import Mock, call

import msgspec
import pytest
from outlets import decoded, packets, records, running
from waiting import wait_until

from netpol.audit.outlets.sockets import RecordSocket
from netpol.audit.record import MissEntry, Record, decode
from netpol.settings import RecordAddress, RecordFormat, Transport

ENORMOUS = msgspec.structs.replace(
    records(1)[0], nearest_miss=MissEntry("NetworkPolicy", "web", "allow", "", 1, 0, (), "x" * (1 << 20))
)
"""No datagram takes it."""


@pytest.fixture
def path() -> Iterator[Path]:
    with TemporaryDirectory() as place:  # a socket's path must be short
        yield Path(place) / "log"


def to_path(path: Path, log_format: RecordFormat = RecordFormat.JSON) -> RecordSocket:
    return RecordSocket(RecordAddress(log_format, Transport.UNIX, path=str(path)))


def to_port(
    listener: socket.socket, host: str = "127.0.0.1", log_format: RecordFormat = RecordFormat.JSON
) -> RecordSocket:
    return RecordSocket(RecordAddress(log_format, Transport.UDP, host=host, port=listener.getsockname()[1]))


def listening(kind: socket.SocketKind, path: Path) -> socket.socket:
    """A socket there; what was there before is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(str(path))
    listener.settimeout(10)
    if kind is not socket.SOCK_DGRAM:
        listener.listen()
    return listener


def on_loopback(family: socket.AddressFamily) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_DGRAM)
    listener.bind(("::1" if family is socket.AF_INET6 else "127.0.0.1", 0))
    listener.settimeout(10)
    return listener


def datagrams(listener: socket.socket, number: int) -> list[Record]:
    return [decode(listener.recv(1 << 20)) for _ in range(number)]


def everything(connection: socket.socket) -> bytes:
    """All that comes until the connection is closed."""
    read = b""
    while chunk := connection.recv(1 << 16):
        read += chunk
    return read


def test_a_record_is_a_datagram(path: Path) -> None:
    with listening(socket.SOCK_DGRAM, path) as listener, running(to_path(path)) as work:
        work.put(records(50))

        assert datagrams(listener, 50) == records(50)


def test_a_record_is_a_line_where_only_streams_are_listened_for(path: Path) -> None:
    with listening(socket.SOCK_STREAM, path) as listener:
        with running(to_path(path)) as work:
            work.put(records(50))
            connection, _ = listener.accept()
        with connection:
            assert decoded(everything(connection)) == records(50)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_record_is_a_datagram_of_udp(family: socket.AddressFamily, host: str) -> None:
    with on_loopback(family) as listener, running(to_port(listener, host)) as work:
        work.put(records(50))

        assert datagrams(listener, 50) == records(50)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_syslog_numbers_its_messages(path: Path, kind: socket.SocketKind) -> None:
    with listening(kind, path) as listener:
        with running(to_path(path, RecordFormat.SYSLOG)) as work:
            work.put(records(3))
            if kind is socket.SOCK_STREAM:
                connection, _ = listener.accept()
            else:
                messages = [listener.recv(1 << 16) for _ in range(3)]
        if kind is socket.SOCK_STREAM:
            with connection:
                *messages, rest = everything(connection).split(b"\n")
            assert rest == b""

    heads = [message[: message.index(b"{")].decode() for message in messages]
    assert [head.split("sequenceId=")[1].split("]")[0] for head in heads] == ['"1"', '"2"', '"3"']
    assert all(head.startswith("<132>1 2026-01-02T03:04:05.678901Z n1 netpol - deny [") for head in heads)
    assert [decode(message[message.index(b"{") :]) for message in messages] == records(3)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_listener_that_does_not_read_for_a_while_gets_all(path: Path, kind: socket.SocketKind) -> None:
    with listening(kind, path) as listener, running(to_path(path)) as work:
        put = work.put(records(2000))
        wait_until(lambda: work.counted("written"))
        written = -1.0
        while written != (written := work.counted("written")):
            threading.Event().wait(0.2)
        assert written < 2000

        if kind is socket.SOCK_DGRAM:
            read = datagrams(listener, 2000)
        else:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                read = [decode(lines.readline()) for _ in range(2000)]
        assert packets(read) == put
        assert work.counted("lost") == 0


def test_a_listener_that_never_reads_does_not_hold_up_a_stop(path: Path) -> None:
    with listening(socket.SOCK_DGRAM, path) as listener, running(to_path(path)) as work:
        work.put(records(2000))
        wait_until(lambda: work.counted("written"))
        work.outlet.stop(0.2)

        written = int(work.counted("written"))
        assert work.counted("lost") == 2000 - written > 0
        # Wakes the thread, which no longer counts what it sends.
        listener.close()
        work.outlet._thread.join(10)
        assert not work.outlet._thread.is_alive()
        assert work.counted("written") == written


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_listener_that_goes_and_comes_back_lacks_nothing(path: Path, kind: socket.SocketKind) -> None:
    take: Callable[[socket.socket, int], list[Record]] = datagrams if kind is socket.SOCK_DGRAM else _lines
    with running(to_path(path)) as work:
        with listening(kind, path) as first:
            put = work.put(records(10))
            read = take(first, 10)
        put += work.put(records(20))
        wait_until(lambda: work.outlet._is_failing)
        with listening(kind, path) as second:
            read += take(second, 20)

    assert packets(read) == put


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_listener_that_was_replaced_is_found_at_once(path: Path, kind: socket.SocketKind) -> None:
    take: Callable[[socket.socket, int], list[Record]] = datagrams if kind is socket.SOCK_DGRAM else _lines
    [record] = records(1)
    with closing(to_path(path)) as sink:
        with listening(kind, path) as first:
            sink.write(record)
            take(first, 1)
        with listening(kind, path) as second:
            sink.write(record)

            assert take(second, 1) == [record]


def test_a_kind_of_socket_that_records_cannot_go_to_is_refused(path: Path) -> None:
    with listening(socket.SOCK_SEQPACKET, path), pytest.raises(OSError, match="Protocol wrong type"):
        to_path(path).write(records(1)[0])


@pytest.mark.parametrize("transport", list(Transport))
def test_a_record_too_large_for_a_datagram_is_counted_and_never_cut(path: Path, transport: Transport) -> None:
    with listening(socket.SOCK_DGRAM, path) if transport is Transport.UNIX else on_loopback(socket.AF_INET) as listener:
        sink = to_path(path) if transport is Transport.UNIX else to_port(listener)
        with running(sink) as work:
            put = work.put([*records(2), ENORMOUS, *records(3)])
            read = datagrams(listener, 5)

    assert packets(read) == put
    assert [record.lost for record in read] == [0, 0, 1, 0, 0]
    assert (work.counted("written"), work.counted("lost")) == (5, 1)


def test_a_record_too_large_for_a_datagram_is_a_line_like_others(path: Path) -> None:
    with listening(socket.SOCK_STREAM, path) as listener, running(to_path(path)) as work:
        work.put([ENORMOUS])

        assert _lines(listener, 1) == [ENORMOUS]


def test_a_host_is_looked_up_for_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    [record] = records(1)
    with on_loopback(socket.AF_INET) as first, on_loopback(socket.AF_INET6) as second:
        # The first address of a host may be one that nothing leads to: this one takes a right that we don't ask for.
        unreachable = (first.family, first.type, 17, "", ("255.255.255.255", 9))
        lookup = Mock(side_effect=[[_answer(first)], [unreachable, _answer(second)]])
        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        with closing(RecordSocket(RecordAddress(RecordFormat.JSON, Transport.UDP, host="log.example", port=9))) as sink:
            sink.write(record)
            sink.write(record)
            assert datagrams(first, 2) == [record, record]

            sink.close()
            sink.write(record)
            assert datagrams(second, 1) == [record]


def test_a_host_that_is_not_found_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with on_loopback(socket.AF_INET) as listener:
        not_found = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        lookup = Mock(side_effect=[not_found, not_found, [_answer(listener)]])
        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        with running(RecordSocket(RecordAddress(RecordFormat.JSON, Transport.UDP, host="log.example", port=9))) as work:
            work.put(records(3))
            assert datagrams(listener, 3) == records(3)

    assert lookup.call_args_list == [call("log.example", 9, type=socket.SOCK_DGRAM)] * 3


def _answer(listener: socket.socket) -> tuple[object, ...]:
    return listener.family, listener.type, 17, "", listener.getsockname()


def _lines(listener: socket.socket, number: int) -> list[Record]:
    """So many records of the next connection, which is closed then."""
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as lines:
        return [decode(lines.readline()) for _ in range(number)]
