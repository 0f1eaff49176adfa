"""The flags of the policy audit log: where it goes, and how repeats are folded."""

from __future__ import annotations

import argparse
import stat
from collections import Counter
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from netpol.command.durations import period
from netpol.errors import UsageError
from netpol.settings import (
    MOST_FILE_BACKUPS,
    MOST_FILE_BYTES,
    MOST_FILE_DAYS,
    AuditSettings,
    RecordAddress,
    RecordFile,
    RecordFormat,
    StandardOutput,
    Transport,
)

STANDARD_OUTPUT = "-"
"""As the path of the log: standard output, not a file."""

LONGEST_SOCKET_PATH = 107
"""Bytes that the kernel has for the path of a UNIX socket, but for the one that ends it."""

LONGEST_WINDOW_SECONDS = 60.0
"""What a record is late is taken from the ten minutes for which pods that are gone are named."""

_MEGABYTE = 1 << 20
_PLACES = "unix:///PATH or udp://HOST:PORT"


def add_audit_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows the flags of `audit_settings`."""
    parser.add_argument(
        "--audit-log-path",
        type=_path,
        default=STANDARD_OUTPUT,
        metavar="PATH",
        help="append the audit log to this file (default -: standard output; empty: to none)",
    )
    for flag, default, text in (
        ("--audit-log-maxsize", MOST_FILE_BYTES // _MEGABYTE, "megabytes of it before it is put aside"),
        ("--audit-log-maxbackup", MOST_FILE_BACKUPS, "how many files put aside are kept, 0 being all"),
        ("--audit-log-maxage", MOST_FILE_DAYS, "for how many days they are kept, 0 being ever"),
    ):
        parser.add_argument(flag, type=_number, default=default, metavar="N", help=f"{text} (default {default})")
    for flag, address, text in (
        ("--audit-syslog", _syslog_address, "send the audit log to this syslog daemon, as of RFC 5424"),
        ("--audit-socket", _json_address, "send the audit log to this socket, as JSON"),
    ):
        parser.add_argument(
            flag,
            type=address,
            action="append",
            default=[],
            metavar="URL",
            help=f"{text}: {_PLACES}; may be repeated",
        )
    window = AuditSettings().window_seconds
    parser.add_argument(
        "--audit-window",
        type=_window,
        default=window,
        metavar="DURATION",
        help=f"for how long repeats of a verdict make one record (default {window:.0f}s, at most a minute)",
    )


def audit_settings(arguments: argparse.Namespace) -> AuditSettings:
    """Where the audit log goes; UsageError where it is to go somewhere twice."""
    addresses = (*arguments.audit_syslog, *arguments.audit_socket)
    for address, times in Counter(addresses).items():
        if times > 1:
            raise UsageError(f"the audit log is to be sent to {address} more than once")
    return AuditSettings(_file(arguments), addresses, arguments.audit_window)


def _file(arguments: argparse.Namespace) -> RecordFile | StandardOutput | None:
    """What --audit-log-path names; the bounds are those of a file only."""
    path = arguments.audit_log_path
    if path == STANDARD_OUTPUT:
        return StandardOutput()
    if not path:
        return None
    return RecordFile(
        Path(path),
        arguments.audit_log_maxsize * _MEGABYTE or MOST_FILE_BYTES,
        arguments.audit_log_maxbackup,
        arguments.audit_log_maxage,
    )


def _window(text: str) -> float:
    if (seconds := period(text)) > LONGEST_WINDOW_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is longer than {LONGEST_WINDOW_SECONDS:.0f}s")
    return seconds


def _path(text: str) -> str:
    if text in ("", STANDARD_OUTPUT):
        return text
    try:
        mode = Path(text).stat().st_mode
    except OSError:
        mode = 0  # it may come, and until then the agent goes on and says what is wrong
    if stat.S_ISDIR(mode) or text.endswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is a directory: a file's name must follow")
    if stat.S_ISSOCK(mode):
        raise argparse.ArgumentTypeError(f"{text!r} is a socket: --audit-syslog and --audit-socket send to sockets")
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number such as 0, 10 or 100")
    return int(text)


def _syslog_address(text: str) -> RecordAddress:
    return _address(text, RecordFormat.SYSLOG)


def _json_address(text: str) -> RecordAddress:
    return _address(text, RecordFormat.JSON)


def _address(text: str, log_format: RecordFormat) -> RecordAddress:
    """The address that a URL names; ArgumentTypeError where it names none.

    >>> print(_address("udp://[::1]:514", RecordFormat.JSON))
    json+udp://[::1]:514
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise _misunderstood(text, str(error)) from None
    if url.query or url.fragment or url.username is not None:
        raise _misunderstood(text, "it has more than a place")
    match url.scheme:
        case Transport.UNIX.value:
            return RecordAddress(log_format, Transport.UNIX, path=_socket_path(text, url))
        case Transport.UDP.value:
            host = url.hostname or ""
            if not _is_host(host):
                raise _misunderstood(text, "it names no host")
            if not port:
                raise _misunderstood(text, "it names no port")
            if url.path not in ("", "/"):
                raise _misunderstood(text, "it has more than a place")
            return RecordAddress(log_format, Transport.UDP, host=host, port=port)
    raise _misunderstood(text, "its scheme is neither unix nor udp")


def _socket_path(text: str, url: SplitResult) -> str:
    if url.netloc or not url.path.startswith("/") or url.path.endswith("/"):
        raise _misunderstood(text, "a socket's whole path must follow unix://")
    if len(url.path.encode()) > LONGEST_SOCKET_PATH:
        raise _misunderstood(text, f"a socket's path has at most {LONGEST_SOCKET_PATH} bytes")
    return url.path


def _is_host(text: str) -> bool:
    """True where it can be looked up, whether or not it is found."""
    try:
        return bool(text.encode("idna"))
    except UnicodeError:
        return False


def _misunderstood(text: str, reason: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{text!r} is not {_PLACES}: {reason}")
