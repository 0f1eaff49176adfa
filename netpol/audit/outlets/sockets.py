"""Records to a socket that others listen on: a datagram each, or a line each."""

from __future__ import annotations

import errno
import socket

from netpol.audit.outlets import syslog
from netpol.audit.outlets.outlet import TooLarge
from netpol.audit.record import Record, encode
from netpol.settings import RecordAddress, RecordFormat, Transport


class RecordSocket:
    """Sends to one address, and connects to it whenever it is not connected; a host is looked up each time.

    A reader that does not read is waited for. Whoever was written to and went away took along what
    it had not read; UDP never tells what arrived. The numbers of syslog's messages show both.
    """

    def __init__(self, address: RecordAddress) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._sequence = 1

    def write(self, record: Record) -> None:
        """The kernel has taken the record for whoever listens at the address."""
        is_syslog = self._address.format is RecordFormat.SYSLOG
        try:
            self._send(syslog.message(record, self._sequence) if is_syslog else encode(record))
        except OSError:
            self.close()
            raise
        self._sequence = syslog.following(self._sequence)

    def close(self) -> None:
        """The connection is closed; the next record makes another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: bytes) -> None:
        if self._socket is not None:
            try:
                _send(self._socket, text)
            except OSError:
                self.close()  # the listener may have been replaced, and its heir be there already
            else:
                return
        self._socket = _connected(self._address)
        _send(self._socket, text)


def _send(connection: socket.socket, text: bytes) -> None:
    """The text is sent whole: as a datagram, or as a line, for no text holds a line's end (RFC 6587, 3.4.2).

    A connection that breaks in the middle of a line ends it for its reader too: there is no other line on it.
    """
    if connection.type == socket.SOCK_STREAM:
        connection.sendall(b"%b\n" % text)
        return
    try:
        connection.send(text)
    except OSError as error:
        if error.errno == errno.EMSGSIZE:
            raise TooLarge(f"{len(text)} bytes are too many for a datagram") from error
        raise


def _connected(address: RecordAddress) -> socket.socket:
    if address.transport is Transport.UNIX:
        return _connected_to_path(address.path)
    places = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    for family, kind, _, _, place in places[:-1]:
        try:
            return _opened(family, kind, place)
        except OSError:  # no route by this family
            continue
    family, kind, _, _, place = places[-1]
    return _opened(family, kind, place)


def _connected_to_path(path: str) -> socket.socket:
    """The connection, by datagrams where these are listened for, which is what `/dev/log` mostly takes."""
    try:
        return _opened(socket.AF_UNIX, socket.SOCK_DGRAM, path)
    except OSError as error:
        if error.errno != errno.EPROTOTYPE:
            raise
    return _opened(socket.AF_UNIX, socket.SOCK_STREAM, path)


def _opened(family: int, kind: int, place: str | tuple[str | int | bytes, ...]) -> socket.socket:
    connection = socket.socket(family, kind)
    try:
        connection.connect(place)
    except OSError:
        connection.close()
        raise
    return connection
