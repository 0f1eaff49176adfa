"""One group has one reader; what it is told is numbered, and what it cannot have is a refusal in words."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from functools import partial
from pathlib import Path

import pytest
from logging_rules import refuse_arriving

from netpol.audit import nflog
from netpol.audit.frames import Frame, decode_frames
from netpol.audit.nflog import LogSocket
from netpol.errors import KernelRefusal

REFUSED = ("127.0.0.2", 9)


def send(packets: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(packets):
            sender.sendto(b"x" * 500, REFUSED)


def read(log: LogSocket, packets: int) -> list[Frame]:
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
    with LogSocket(100) as log:
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
    with LogSocket(100) as log:
        send(3)
        log.stop()
        send(5)
        datagrams = list(iter(log.receive, None))
        assert [frame.sequence for each in datagrams for frame in decode_frames(each, 0)] == [0, 1, 2]


@pytest.mark.kernel
def test_an_overrun_is_told_once(private_network: None) -> None:
    refuse_arriving("-p udp -d 127.0.0.2", "p")
    with LogSocket(100, receive_buffer_bytes=1) as log:
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
    with LogSocket(100), pytest.raises(KernelRefusal, match=r"^the packets logged to NFLOG .*another program"):
        LogSocket(100)
    with LogSocket(100), LogSocket(101):
        pass


@pytest.mark.kernel
def test_without_rights_the_refusal_says_so(private_network: None) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(KernelRefusal, match="it takes root"):
            LogSocket(100)
    finally:
        os.seteuid(0)


class _RefusingSocket(socket.socket):
    """Sends nothing, and has the kernel's refusal to be received after a datagram that is no answer."""

    def __init__(self, number: int, *arguments: int) -> None:
        super().__init__(*arguments)
        self.answers = [bytes(4), (36).to_bytes(4, "little") + b"\2\0\0\0\1\0\0\0" + bytes(4)]
        self.answers[1] += (-number).to_bytes(4, "little", signed=True) + bytes(16)

    def send(self, data: object, flags: int = 0, /) -> int:  # noqa: ARG002  socket's own signature
        """What is received after it does not depend on what was sent."""
        return 0

    def recvfrom(self, size: int, flags: int = 0, /) -> tuple[bytes, tuple[int, int]]:  # noqa: ARG002  likewise
        return self.answers.pop(0), (0, 0)


class _ReadyPoll:
    def register(self, *_: object) -> None:
        pass

    def poll(self, milliseconds: float) -> list[float]:
        return [milliseconds]


class _SilentPoll(_ReadyPoll):
    def poll(self, milliseconds: float) -> list[float]:  # noqa: ARG002  select.poll's own signature
        return []


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EINVAL, "modprobe nfnetlink_log"),
        (errno.EPERM, "it takes root"),
        (errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_refusals_in_words(number: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nflog, "_READERS", Path("/proc/thread-self/no/such/file"))
    monkeypatch.setattr(socket, "socket", partial(_RefusingSocket, number))
    monkeypatch.setattr(select, "poll", _ReadyPoll)
    with pytest.raises(KernelRefusal, match=rf"^the packets logged to NFLOG group 7 cannot be read: .*{says}"):
        LogSocket(7)


def test_a_kernel_that_does_not_answer_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", partial(_RefusingSocket, 0))
    monkeypatch.setattr(select, "poll", _SilentPoll)
    with pytest.raises(KernelRefusal, match="the kernel did not answer"):
        LogSocket(7)


def test_without_a_socket_the_refusal_says_what_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(KernelRefusal, match=r"^no netlink socket for the packet log: Protocol not supported"):
        LogSocket(7)
