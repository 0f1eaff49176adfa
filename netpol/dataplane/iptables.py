"""Tables of iptables, written and read through one variant of its own tools.

`-restore --noflush` changes the chains it is given and nothing else, all or nothing:
the nft variant as one transaction of the kernel, the legacy one under the lock that
every iptables-legacy takes (`-w`), so what others write at the same moment stays.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from netpol.compiler.ruleset import TableName
from netpol.dataplane.kernel import KernelTable
from netpol.dataplane.legacy_table import table_exists
from netpol.dataplane.line_reader import LineReader
from netpol.dataplane.nft_generation import NftGeneration
from netpol.dataplane.ownership import FIREWALL, Ownership
from netpol.dataplane.readback import parse_table
from netpol.dataplane.spares import Spares
from netpol.dataplane.tool import TIMEOUT_SECONDS, Outcome, run_tool
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import Variant

LOCK_SECONDS = 10
_ATTEMPTS = 3
_REMEMBERED_WRITERS = 64
"""What they wrote is told to listeners at once, and their numbers are some day another's."""

_TRANSACTION = threading.Lock()
"""Held by the one writer of this process that waits for its COMMIT in nf_tables.

Another's new generation would be taken for that of its own transaction.
"""

_LINE = re.compile(r"(?:^|: |at )line:? (\d+)", re.MULTILINE)
_NOISE = re.compile(r"^Try `|^Error occurred at line|^\s*$|^# Warning: ")
_BANNER = re.compile(r"^ip6?tables-(?:\w+-)?(?:restore|save)(?: v[\d.]+ \(\w+\))?: ?")


class IptablesTables:
    """`kernel.Tables` for one variant; with `spares`, nft's next writer is started when the last one has ended."""

    def __init__(
        self,
        variant: Variant,
        timeout_seconds: float = TIMEOUT_SECONDS,
        spares: Spares | None = None,
        table: TableName = TableName.FILTER,
        ownership: Ownership = FIREWALL,
    ) -> None:
        self.variant = variant
        self._table = table
        self._ownership = ownership
        self._spares = spares
        self._timeout_seconds = timeout_seconds
        self._failed_late: list[str] = []
        self._writers: deque[int] = deque(maxlen=_REMEMBERED_WRITERS)
        self._begun, self._ended = 0, 0
        self._generation = NftGeneration()

    def read(self, family: Family) -> KernelTable:
        """What the family's table holds of ours."""
        return parse_table(self.save(family), self._table, self._ownership)

    def save(self, family: Family) -> str:
        """The text of `iptables-save -t TABLE`, empty where there is no such table.

        Asking legacy's tool for a table would make one, so the kernel is asked first.
        """
        if self.variant is Variant.LEGACY and not table_exists(family, self._table):
            return ""
        tool = tool_name(self.variant, family, "save")
        outcome = run_tool((tool, "-t", self._table.value), timeout_seconds=self._timeout_seconds)
        if outcome.status != 0:
            raise KernelRefusal(f"{tool} cannot read the {self._table.value} table: {_complaint(outcome)}")
        return outcome.output

    def write(self, family: Family, lines: Sequence[str]) -> None:
        """Apply `lines` (restore format, between the table's name and `COMMIT`) all or nothing, others' untouched.

        Raises what went wrong with an earlier write after its COMMIT, too: it was carried
        out, and it is better to look.
        """
        if self._failed_late:
            raise KernelRefusal(self._failed_late.pop())
        if not lines:
            return
        tool = tool_name(self.variant, family, "restore")
        text = "\n".join((f"*{self._table.value}", *lines, "COMMIT", ""))
        arguments = (tool, "-w", str(LOCK_SECONDS), "--noflush")
        for _ in range(_ATTEMPTS):
            self._begun += 1
            try:
                outcome = self._restore(arguments, text)
            finally:
                self._ended += 1
            if outcome.status == 0:
                return
            if not self._may_have_lost_a_race(outcome, lines):
                break
        raise KernelRefusal(f"{tool} refused the rules: {_complaint(outcome)}{_offender(outcome, lines)}")

    def is_own(self, writer: int) -> bool:
        """True for the number of a process that one of the last writes started."""
        return writer in self._writers

    @property
    def writes(self) -> int:
        """How many writes began and how many ended, in one number: odd while one is under way."""
        return self._begun + self._ended

    def _restore(self, arguments: Sequence[str], text: str) -> Outcome:
        """What became of the text.

        The kernel keeps nft's tool from ending until it has freed what the rules replaced,
        for ten milliseconds or more after they are in force: only its COMMIT is waited for.
        Where the kernel knows of no transaction by then, the tool says what came of it.
        """
        if self.variant is Variant.LEGACY:
            return run_tool(arguments, text, timeout_seconds=self._timeout_seconds)
        spare = None if self._spares is None else self._spares.take(arguments)
        tool = spare or LineReader(arguments, self._timeout_seconds)
        self._writers.append(tool.pid)
        with _TRANSACTION:
            before = self._generation.read()
            is_in_force = tool.feed(text) and self._generation.read() not in (before, None)
        if not is_in_force:
            return tool.end()
        tool.leave(partial(self._note_end, arguments))
        return Outcome(0, "", "")

    def _note_end(self, arguments: Sequence[str], outcome: Outcome) -> None:
        if outcome.status != 0:
            self._failed_late.append(f"{arguments[0]} failed after its rules were in force: {_complaint(outcome)}")
        if self._spares is not None:
            # The next write finds out why, and says so.
            with suppress(KernelRefusal):
                self._spares.put(arguments, self._timeout_seconds)

    def _may_have_lost_a_race(self, outcome: Outcome, lines: Sequence[str]) -> bool:
        """True where legacy's COMMIT failed, which it does without a word of why.

        The kernel refuses one when the table's length changed since the tool read it: by a
        writer that takes no lock, such as python-iptables. Nothing was applied then. The
        nft variant's tool sees such a race by the table's generation, and starts again.
        """
        found = _LINE.search(outcome.complaint)
        return self.variant is Variant.LEGACY and found is not None and int(found[1]) == len(lines) + 2


def tool_name(variant: Variant, family: Family, action: str) -> str:
    """The tool that does `action` for one variant and family.

    >>> tool_name(Variant.NFT, Family.IPV6, "save")
    'ip6tables-nft-save'
    """
    return f"{'iptables' if family is Family.IPV4 else 'ip6tables'}-{variant.value}-{action}"


def _complaint(outcome: Outcome) -> str:
    """The one line of the tool's complaint that says why."""
    lines = (_BANNER.sub("", line).strip() for line in outcome.complaint.split("\n") if not _NOISE.match(line))
    ending = f"it was killed by signal {-outcome.status}" if outcome.status < 0 else f"exit status {outcome.status}"
    return next((line for line in lines if line), ending)


def _offender(outcome: Outcome, lines: Sequence[str]) -> str:
    """The line of ours that the complaint is about, counted from the table's name; the COMMIT is none of ours."""
    found = _LINE.search(outcome.complaint)
    index = int(found[1]) - 2 if found else -1
    return f" (in {lines[index]!r})" if 0 <= index < len(lines) else ""
