"""Bytes as they come, cut into lines."""

from __future__ import annotations

MOST_LINE_BYTES = 1 << 20
"""A record has some kilobytes; what goes on for longer is no log, and must not fill the memory."""


class Lines:
    """The lines of a text that comes in pieces, without their ends.

    Of a line that is longer than MOST_LINE_BYTES so many bytes are kept and one more, which tells it from the others.
    """

    def __init__(self) -> None:
        self._begun = bytearray()

    def ended_by(self, piece: bytes) -> list[bytes]:
        """The lines whose ends are in this piece of the text."""
        ended = []
        for number, part in enumerate(piece.split(b"\n")):
            if number:
                ended.append(self.begun())
            self._begun += part[: MOST_LINE_BYTES + 1 - len(self._begun)]
        return ended

    def begun(self) -> bytes:
        """The line whose end is still to come; what comes next begins another."""
        line = bytes(self._begun)
        self._begun.clear()
        return line
