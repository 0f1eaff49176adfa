"""Records as messages of syslog's protocol (RFC 5424)."""

from __future__ import annotations

import re

import netpol
from netpol.audit.record import Action, Record, encode

FACILITY = 16
"""local0: a syslog daemon tells the audit log from what other daemons say without looking into it."""

SEVERITIES = {Action.DENY: 4, Action.UNKNOWN: 4, Action.WOULD_DENY: 5, Action.ALLOW: 6}
"""4 is a warning, 5 a notice, 6 information."""

MOST_SEQUENCE = (1 << 31) - 1
"""After this comes 1 again (RFC 5424, 7.3.1)."""

_VERSION = 1
_LONGEST_HOSTNAME = 255
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NIL = "-"
_NOT_PRINTED = re.compile(r"[^\x21-\x7e]")
_ORIGIN = f'[origin software="netpol" swVersion="{netpol.__version__}"]'


def message(record: Record, sequence: int) -> bytes:
    """The record's message, the `sequence`-th that is sent; its text is the record's JSON, which holds no line's end.

    What is plain ASCII goes without the byte order mark, which would hide the JSON from most programs and is only asked
    of other text (RFC 5424, 6.4). Netpol has no enterprise number, so the elements of data are registered ones.
    """
    head = " ".join(
        (
            f"<{FACILITY * 8 + SEVERITIES[record.action]}>{_VERSION}",
            record.ts,
            _NOT_PRINTED.sub("?", record.node)[:_LONGEST_HOSTNAME] or _NIL,
            "netpol",
            _NIL,
            record.action.value,
            f'[meta sequenceId="{sequence}"]{_ORIGIN}',
        )
    )
    text = encode(record)
    return b"%b %b%b" % (head.encode(), b"" if text.isascii() else _BYTE_ORDER_MARK, text)


def following(sequence: int) -> int:
    """The number of the next message.

    >>> following(1), following(MOST_SEQUENCE)
    (2, 1)
    """
    return sequence % MOST_SEQUENCE + 1
