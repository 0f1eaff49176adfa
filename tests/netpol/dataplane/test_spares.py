"""A program that was started before it was needed does what one started then would do."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from netpol.dataplane.iptables import IptablesTables, tool_name
from netpol.dataplane.line_reader import LineReader
from netpol.dataplane.spares import Spares
from netpol.dataplane.tool import Outcome, ToolMissing
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import Variant

SECONDS = 20.0
ECHO = ("sh", "-c", "cat >&2; exit 3")


@pytest.fixture
def spares() -> Iterator[Spares]:
    with Spares() as kept:
        yield kept


def waiting(spares: Spares, arguments: tuple[str, ...]) -> LineReader:
    """The spare, as soon as there is one."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if (spare := spares.take(arguments)) is not None:
            return spare
        time.sleep(0.005)
    raise AssertionError("no spare was started")


def test_a_spare_is_taken_once_and_reads_what_it_is_given_then(spares: Spares) -> None:
    assert spares.take(ECHO) is None
    spares.put(ECHO, SECONDS)
    spare = spares.take(ECHO)
    assert spare is not None
    assert spares.take(ECHO) is None
    assert spare.feed("hello\n")
    assert spare.end() == Outcome(3, "", spare_text("hello\n"))


def spare_text(text: str) -> str:
    """The text as it was fed: filled up to a page, and followed by one."""
    page = os.sysconf("SC_PAGE_SIZE")
    return text + "\n" * (2 * page - len(text))


def test_there_is_one_of_each(spares: Spares) -> None:
    spares.put(ECHO, SECONDS)
    first = spares.take(ECHO)
    assert first is not None
    spares.put(ECHO, SECONDS)
    spares.put(ECHO, SECONDS)
    second = spares.take(ECHO)
    assert second is not None
    assert second.pid != first.pid
    assert spares.take(ECHO) is None
    for each in (first, second):
        each.end()


def test_one_that_was_killed_while_it_waited_is_none(spares: Spares) -> None:
    spares.put(ECHO, SECONDS)
    spare = spares.take(ECHO)
    assert spare is not None
    spares._waiting[ECHO] = spare
    os.kill(spare.pid, signal.SIGKILL)
    os.waitid(os.P_PID, spare.pid, os.WEXITED | os.WNOWAIT)
    assert spares.take(ECHO) is None


def test_what_cannot_be_started_is_refused(spares: Spares) -> None:
    with pytest.raises(ToolMissing):
        spares.put(("netpol-has-no-such-tool",), SECONDS)


def test_closed_it_has_ended_all_and_starts_none() -> None:
    spares = Spares()
    spares.put(ECHO, SECONDS)
    spare = spares._waiting[ECHO]
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    spares.close()
    assert not Path(f"/proc/{spare.pid}").exists()
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors - 2
    spares.put(ECHO, SECONDS)
    assert spares.take(ECHO) is None


@pytest.mark.kernel
@pytest.mark.parametrize("family", Family)
def test_a_writer_that_waited_meets_the_table_as_it_is_when_it_writes(
    family: Family, spares: Spares, private_network: None
) -> None:
    tables = IptablesTables(Variant.NFT, spares=spares)
    tables.write(family, [":NETPOL-INPUT - [0:0]", "-A NETPOL-INPUT -j DROP"])
    restore = (tool_name(Variant.NFT, family, "restore"), "-w", "10", "--noflush")
    spare = waiting(spares, restore)
    spares._waiting[restore] = spare
    # Others make what it refers to, and take away what it replaces, while it waits.
    others = "iptables" if family is Family.IPV4 else "ip6tables"
    for command in ("-N OTHERS", "-A OTHERS -j RETURN", "-F NETPOL-INPUT", "-X NETPOL-INPUT"):
        subprocess.run((f"{others}-nft", *command.split()), check=True)
    tables.write(family, [":NETPOL-INPUT - [0:0]", "-A NETPOL-INPUT -j OTHERS"])
    assert tables.is_own(spare.pid)
    assert tables.read(family).chains == {"NETPOL-INPUT": ("-j OTHERS",)}
    assert "-A OTHERS -j RETURN" in tables.save(family)


@pytest.mark.kernel
def test_each_write_has_the_next_writer_started(spares: Spares, private_network: None) -> None:
    tables = IptablesTables(Variant.NFT, spares=spares)
    for number in range(5):
        tables.write(Family.IPV4, [":NETPOL-INPUT - [0:0]", f"-A NETPOL-INPUT -s 10.0.0.{number} -j DROP"])
        assert tables.read(Family.IPV4).chains == {"NETPOL-INPUT": (f"-s 10.0.0.{number}/32 -j DROP",)}
    restore = ("iptables-nft-restore", "-w", "10", "--noflush")
    spares._waiting[restore] = waiting(spares, restore)
    with pytest.raises(KernelRefusal, match=r"\(in '-A NETPOL-ABSENT -j DROP'\)$"):
        tables.write(Family.IPV4, ["-A NETPOL-ABSENT -j DROP"])
    tables.write(Family.IPV4, ["-F NETPOL-INPUT"])
    assert tables.read(Family.IPV4).chains == {"NETPOL-INPUT": ()}
