"""One group has one reader; what it is told is numbered, and what it cannot have is a refusal in words."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from logging_rules import refuse_arriving
from packets import logged

from netpol.audit.capture import nflog
from netpol.audit.capture.frames import Frame, decode_frames
from netpol.audit.capture.nflog import PacketLog
from netpol.errors import KernelRefusal

REFUSED = ("127.0.0.2", 9)


def send(packets: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(packets):
            sender.sendto(b"x" * 500, REFUSED)


def read(log: PacketLog, packets: int) -> list[Frame]:
    """The next frames, that many at least unless they take ten seconds."""
    frames: list[Frame] = []
    deadline = time.monotonic() + 10
    while len(frames) < packets and time.monotonic() < deadline:
        log.wait(0.1)
        while (datagram := log.receive()) is not None:
            frames += decode_frames(datagram, 0)
    return frames


@pytest.mark.kernel
def test_packets_come_numbered_stamped_and_no_longer_than_their_headers(private_network: None) -> None:
    refuse_arriving("-p udp -d 127.0.0.2", "1:NETPOL-INVALID")
    before = time.time()
    with PacketLog(100) as log:
        assert log.receive() is None
        send(150)
        frames = read(log, 150)
        assert [frame.sequence for frame in frames] == list(range(150))
        assert {(frame.prefix, len(frame.packet)) for frame in frames} == {(b"1:NETPOL-INVALID", 128)}
        assert all(before <= frame.moment / 1e6 <= time.time() for frame in frames)
        assert not log.take_overrun()


@pytest.mark.kernel
def test_what_the_kernel_holds_at_the_end_is_received(private_network: None) -> None:
    refuse_arriving("-p udp -d 127.0.0.2", "p")
    with PacketLog(100) as log:
        send(3)
        log.stop()
        send(5)
        datagrams = list(iter(log.receive, None))
        assert [frame.sequence for each in datagrams for frame in decode_frames(each, 0)] == [0, 1, 2]


@pytest.mark.kernel
def test_an_overrun_is_told_once(private_network: None) -> None:
    refuse_arriving("-p udp -d 127.0.0.2", "p")
    with PacketLog(100, receive_buffer_bytes=1) as log:
        send(1000)
        received = len(read(log, 1))
        assert 0 < received < 1000
        assert log.take_overrun()
        assert not log.take_overrun()
        send(1)
        (last, *_) = read(log, 1)
        assert last.sequence is not None
        assert last.sequence > received


@pytest.mark.kernel
def test_a_second_reader_is_refused_and_told_why(private_network: None) -> None:
    with PacketLog(100), pytest.raises(KernelRefusal, match=r"^the packets logged to NFLOG .*another program"):
        PacketLog(100)
    with PacketLog(100), PacketLog(101):
        pass


@pytest.mark.kernel
def test_without_rights_the_refusal_says_so(private_network: None) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(KernelRefusal, match="it takes root"):
            PacketLog(100)
    finally:
        os.seteuid(0)


KERNEL, STRANGER = (0, 0), (4711, 0)
NO_ANSWER = bytes(4)
Received = tuple[bytes, tuple[int, int]] | OSError


def answer(number: int) -> Received:
    """The kernel's answer to the first request: a refusal, or 0 for none."""
    head = struct.pack("=IHHII", 36, 2, 0, 1, 0)
    return head + struct.pack("=i", -number) + bytes(16), KERNEL


class _ScriptedSocket(socket.socket):
    """Sends nothing, and has this to be received."""

    def __init__(self, script: list[Received], *arguments: int) -> None:
        super().__init__(*arguments)
        self.script = script

    def send(self, data: object, flags: int = 0, /) -> int:  # noqa: ARG002  socket's own signature
        """What is received after it does not depend on what was sent."""
        if not self.script:
            raise OSError(errno.ENOBUFS, "No buffer space available")
        return 0

    def recvfrom(self, size: int, flags: int = 0, /) -> tuple[bytes, tuple[int, int]]:  # noqa: ARG002  likewise
        received = self.script.pop(0)
        if isinstance(received, OSError):
            raise received
        return received


class _Poll:
    """Tells without waiting whether something is there to be received."""

    def __init__(self, ready: list[object]) -> None:
        self.ready = ready

    def register(self, *_: object) -> None:
        """Whatever is registered is all that is asked for."""

    def poll(self, milliseconds: float) -> list[object]:
        assert milliseconds >= 0
        return self.ready


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PacketLog]:
    """Opens a reader of group 7 of whose socket this is received."""

    def opened(*script: Received, ready: bool = True) -> PacketLog:
        monkeypatch.setattr(socket, "socket", partial(_ScriptedSocket, list(script)))
        monkeypatch.setattr(select, "poll", lambda: _Poll([7] if ready else []))
        return PacketLog(7)

    return opened


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EINVAL, "modprobe nfnetlink_log"),
        (errno.EPERM, "it takes root"),
        (errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_refusals_in_words(
    number: int, says: str, scripted: Callable[..., PacketLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nflog, "_READERS", Path("/proc/thread-self/no/such/file"))
    with pytest.raises(KernelRefusal, match=rf"^the packets logged to NFLOG group 7 cannot be read: .*{says}"):
        scripted((NO_ANSWER, KERNEL), answer(number))


def test_a_kernel_that_does_not_answer_is_a_refusal(scripted: Callable[..., PacketLog]) -> None:
    with pytest.raises(KernelRefusal, match="the kernel did not answer"):
        scripted(answer(0), ready=False)


def test_a_socket_that_dies_before_the_answer_is_a_refusal(scripted: Callable[..., PacketLog]) -> None:
    with pytest.raises(KernelRefusal, match=r"^the packets .* group 7 cannot be read: Bad file descriptor"):
        scripted(OSError(errno.EBADF, "Bad file descriptor"))


def test_what_comes_before_the_answer_is_kept(scripted: Callable[..., PacketLog]) -> None:
    early = logged(b"a packet")
    nothing = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
    with scripted((early, KERNEL), nothing, (NO_ANSWER, KERNEL), answer(0), nothing) as log:
        assert [log.receive(), log.receive(), log.receive()] == [early, NO_ANSWER, None]


def test_what_is_not_the_kernels_is_passed_over(scripted: Callable[..., PacketLog]) -> None:
    with scripted(answer(0), (logged(b"forged"), STRANGER), (logged(b"real"), KERNEL)) as log:
        assert log.receive() == logged(b"real")


def test_a_socket_that_dies_is_a_refusal_in_words(scripted: Callable[..., PacketLog]) -> None:
    with scripted(answer(0), OSError(errno.EBADF, "Bad file descriptor")) as log:
        with pytest.raises(KernelRefusal, match=r"^the packets .* group 7 cannot be read: Bad file descriptor"):
            log.receive()
        with pytest.raises(KernelRefusal, match=r"^the packets .* group 7 cannot be read: No buffer space available"):
            log.stop()


def test_without_a_socket_the_refusal_says_what_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(KernelRefusal, match=r"^no netlink socket for the packet log: Protocol not supported"):
        PacketLog(7)
