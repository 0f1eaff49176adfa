"""Attributes round trip; a lost, interrupted or foreign answer is never taken for the kernel's."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netpol.dataplane import netlink
from netpol.dataplane.netlink import (
    ACKNOWLEDGE,
    EXCLUSIVE,
    IPSET,
    NetlinkError,
    NetlinkSocket,
    Request,
    attribute,
    attributes,
    elements,
    number_attribute,
    text_attribute,
    word,
    word_attribute,
)

ERROR, DONE, DATA = 2, 3, IPSET | 7

Connect = Callable[..., tuple[NetlinkSocket, "ScriptedKernel"]]


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40))))
def test_attributes_round_trip(pairs: list[tuple[int, bytes]]) -> None:
    packed = b"".join(attribute(kind | netlink.NESTED, payload) for kind, payload in pairs)
    assert len(packed) % 4 == 0
    assert attributes(packed) == dict(pairs)
    assert list(elements(packed)) == [payload for _, payload in pairs]


@given(st.binary(max_size=200))
@example(bytes(8))
def test_any_bytes_have_attributes_and_an_end(payload: bytes) -> None:
    found = list(elements(payload))
    assert len(found) <= len(payload) // 4
    assert set(attributes(payload).values()) <= set(found)


def test_what_is_cut_short_is_no_message(scripted: Connect) -> None:
    def reply(sequences: list[int]) -> Iterator[bytes]:
        yield b"\x10\0\0\0"
        yield struct.pack("=IHHII", 8, DATA, 0, sequences[0], 0)
        yield message(ERROR, sequences[0], b"")

    connection, _ = scripted(reply)
    connection.call(Request(DATA))


def test_kinds_of_attributes() -> None:
    assert text_attribute(2, "ab") == b"\x07\x00\x02\x00ab\x00\x00"
    assert number_attribute(6, 2) == b"\x08\x00\x06\x40\x00\x00\x00\x02"
    assert word_attribute(6, 2) == attribute(6, struct.pack("=I", 2))
    assert (word(struct.pack("=I", 0x4E000001)), word(b"")) == (0x4E000001, 0)


def message(kind: int, sequence: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, 0) + payload + bytes(-len(payload) & 3)


def acknowledgement(sequence: int, number: int = 0, echo: bytes = b"") -> bytes:
    return message(ERROR, sequence, struct.pack("=i", -number) + bytes(20) + echo)


class ScriptedKernel:
    """A socket that answers each datagram by what `reply` makes of its sequence numbers."""

    def __init__(self, reply: Callable[[list[int]], Iterator[bytes | OSError]]) -> None:
        self._reply = reply
        self._answers: list[bytes | OSError] = []
        self.sent: list[bytes] = []
        self.sender = 0
        self.flags = 0

    def send(self, datagram: bytes) -> None:
        self.sent.append(datagram)
        sequences, offset = [], 0
        while offset < len(datagram):
            length, _, _, sequence, _ = struct.unpack_from("=IHHII", datagram, offset)
            sequences.append(sequence)
            offset += (length + 3) & ~3
        self._answers += self._reply(sequences)

    def recvmsg_into(self, buffers: tuple[memoryview]) -> tuple[int, list[object], int, tuple[int, int]]:
        answer = self._answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        buffers[0][: len(answer)] = answer
        return len(answer), [], self.flags, (self.sender, 0)

    def close(self) -> None:
        """Nothing to give back."""


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def connect(reply: Callable[[list[int]], Iterator[bytes | OSError]]) -> tuple[NetlinkSocket, ScriptedKernel]:
        kernel = ScriptedKernel(reply)
        connection = NetlinkSocket()
        connection.close()
        monkeypatch.setattr(connection, "_socket", kernel)
        return connection, kernel

    return connect


def test_refusals_are_those_of_their_requests(scripted: Connect) -> None:
    def reply(sequences: list[int]) -> Iterator[bytes]:
        yield message(DATA, sequences[0], bytes(4))
        for sequence in sequences:
            if sequence % 3 == 0:
                echoed = attribute(9, sequence.to_bytes(4, "little"))
                yield acknowledgement(sequence, errno.ENOENT, echoed) + acknowledgement(9999)
        if sequences[-1] % 3:
            yield acknowledgement(sequences[-1])

    connection, kernel = scripted(reply)
    refusals = list(connection.call_all(Request(IPSET | 3, b"x" * 8) for _ in range(1000)))
    assert [refusal is not None for refusal in refusals] == [sequence % 3 == 0 for sequence in range(1, 1001)]
    third = refusals[2]
    assert third is not None
    assert (third.number, third.errno, third.echoed) == (errno.ENOENT, errno.ENOENT, {9: b"\3\0\0\0"})
    assert [flags(datagram) for datagram in kernel.sent] == [
        *([[1] * 255 + [1 | ACKNOWLEDGE]] * 3),
        [1] * 231 + [1 | ACKNOWLEDGE],
    ]


def test_a_batch_whose_end_was_not_told_is_no_success(scripted: Connect) -> None:
    def reply(sequences: list[int]) -> Iterator[bytes | OSError]:
        yield acknowledgement(sequences[0], errno.ENOENT)
        yield OSError(errno.ENOBUFS, "No buffer space available")

    connection, _ = scripted(reply)
    with pytest.raises(NetlinkError) as refused:
        list(connection.call_all([Request(IPSET | 3)] * 3))
    assert refused.value.number == errno.ENOBUFS


def flags(datagram: bytes) -> list[int]:
    """The flags of each message."""
    found, offset = [], 0
    while offset < len(datagram):
        length, _, each = struct.unpack_from("=IHH", datagram, offset)
        found.append(each)
        offset += (length + 3) & ~3
    return found


def test_large_requests_go_in_several_datagrams(scripted: Connect) -> None:
    connection, kernel = scripted(lambda sequences: (acknowledgement(sequence) for sequence in sequences))
    assert list(connection.call_all([Request(IPSET | 9, bytes(40_000))] * 6)) == [None] * 6
    assert [len(datagram) < 100_000 for datagram in kernel.sent] == [True] * 3


def test_call_raises_what_the_kernel_says(scripted: Connect) -> None:
    connection, _ = scripted(lambda sequences: (acknowledgement(sequences[0], 4352) for _ in range(1)))
    with pytest.raises(NetlinkError, match="netfilter error 4352") as refused:
        connection.call(Request(IPSET | 9))
    assert refused.value.number == 4352


def test_what_stands_before_the_attributes_is_the_requests(scripted: Connect) -> None:
    connection, kernel = scripted(lambda sequences: (acknowledgement(sequence) for sequence in sequences))
    connection.call(Request(DATA, b"body", family=7, resource=0x0102, version=3))
    assert kernel.sent[0][16:] == b"\7\3\1\2body"


def test_an_answer_about_one_thing_ends_with_its_acknowledgement(scripted: Connect) -> None:
    def reply(sequences: list[int]) -> Iterator[bytes]:
        yield message(DATA, sequences[0], b"\0\0\0\0one")
        yield acknowledgement(sequences[0])

    connection, kernel = scripted(reply)
    assert connection.ask(Request(DATA)) == [b"one"]
    assert struct.unpack_from("=IHH", kernel.sent[0]) == (20, DATA, 1 | ACKNOWLEDGE)


def test_what_is_asked_in_vain_is_refused(scripted: Connect) -> None:
    connection, _ = scripted(lambda sequences: (acknowledgement(sequences[0], errno.ESRCH) for _ in range(1)))
    with pytest.raises(NetlinkError) as refused:
        connection.ask(Request(DATA))
    assert refused.value.number == errno.ESRCH


def test_a_lost_answer_about_one_thing_is_no_answer(scripted: Connect) -> None:
    connection, _ = scripted(lambda _: (OSError(errno.ENOBUFS, "No buffer space available") for _ in range(1)))
    with pytest.raises(NetlinkError) as refused:
        connection.ask(Request(DATA))
    assert refused.value.number == errno.ENOBUFS


def test_a_dump_is_all_its_parts(scripted: Connect) -> None:
    def reply(sequences: list[int]) -> Iterator[bytes]:
        (sequence,) = sequences
        yield message(DATA, sequence - 1, b"old0stale") + message(DATA, sequence, b"\0\0\0\0one")
        yield message(DATA, sequence, b"\0\0\0\0two") + message(DONE, sequence, bytes(4))

    connection, _ = scripted(reply)
    assert [bytes(answer) for answer in connection.dump(Request(DATA))] == [b"one", b"two"]


def test_of_many_answers_the_wanted_are_kept(scripted: Connect) -> None:
    def reply(sequences: list[int]) -> Iterator[bytes]:
        (sequence,) = sequences
        yield b"".join(message(DATA, sequence, bytes(4) + text) for text in (b"good", b"bad ", b"good"))
        yield message(DATA, sequence, b"\0\0\0\0bad ") + message(DONE, sequence, bytes(4))

    connection, _ = scripted(reply)
    assert connection.dump(Request(DATA), lambda answer: answer == b"good") == [b"good", b"good"]


@pytest.mark.parametrize("trouble", ["interrupted", "lost"])
def test_a_dump_that_does_not_fit_together_is_asked_for_again(scripted: Connect, trouble: str) -> None:
    attempts: list[int] = []

    def reply(sequences: list[int]) -> Iterator[bytes | OSError]:
        (sequence,) = sequences
        attempts.append(sequence)
        if len(attempts) > 2:
            yield message(DATA, sequence, b"\0\0\0\0good") + message(DONE, sequence, bytes(4))
        elif trouble == "lost":
            yield OSError(errno.ENOBUFS, "No buffer space available")
        else:
            yield message(DATA, sequence, b"\0\0\0\0half", flags=0x10) + message(DONE, sequence, bytes(4))

    connection, _ = scripted(reply)
    assert [bytes(answer) for answer in connection.dump(Request(DATA))] == [b"good"]
    assert len(attempts) == 3


def test_a_dump_that_never_fits_together_ends(scripted: Connect) -> None:
    connection, kernel = scripted(lambda sequences: (message(DONE, sequence, bytes(4), 0x10) for sequence in sequences))
    with pytest.raises(NetlinkError) as refused:
        connection.dump(Request(DATA))
    assert refused.value.number == errno.EINTR
    assert len(kernel.sent) < 100


@pytest.mark.parametrize("kind", [ERROR, DONE])
def test_a_dump_that_fails_at_its_end_has_failed(scripted: Connect, kind: int) -> None:
    def reply(sequences: list[int]) -> Iterator[bytes]:
        yield message(DATA, sequences[0], bytes(8)) + message(kind, sequences[0], struct.pack("=i", -errno.ENOENT))

    connection, _ = scripted(reply)
    with pytest.raises(NetlinkError) as refused:
        connection.dump(Request(DATA))
    assert refused.value.number == errno.ENOENT


def test_silence_and_cut_answers_are_errors(scripted: Connect) -> None:
    connection, kernel = scripted(lambda _: iter([TimeoutError("timed out")]))
    for ask in (connection.call, connection.dump):
        with pytest.raises(NetlinkError) as refused:
            ask(Request(DATA))
        assert refused.value.number == errno.ETIMEDOUT
    connection, kernel = scripted(lambda sequences: (acknowledgement(sequence) for sequence in sequences))
    kernel.flags = socket.MSG_TRUNC
    with pytest.raises(NetlinkError) as refused:
        connection.call(Request(DATA))
    assert refused.value.number == errno.EMSGSIZE


def test_another_process_is_not_the_kernel(scripted: Connect) -> None:
    def reply(sequences: list[int]) -> Iterator[bytes | OSError]:
        yield acknowledgement(sequences[0])
        yield TimeoutError("timed out")

    connection, kernel = scripted(reply)
    kernel.sender = os.getpid()
    with pytest.raises(NetlinkError) as refused:
        connection.call(Request(DATA))
    assert refused.value.number == errno.ETIMEDOUT


def test_a_socket_that_cannot_be_set_up_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[socket.socket] = []

    def refuse(kernel: socket.socket, _size: int) -> None:
        opened.append(kernel)
        raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    monkeypatch.setattr(netlink, "enlarge_receive_buffer", refuse)
    with pytest.raises(OSError, match="Protocol not available"):
        NetlinkSocket()
    assert [kernel.fileno() for kernel in opened] == [-1]


@pytest.mark.kernel
def test_without_rights_the_system_limits_the_buffer(private_network: None) -> None:
    os.seteuid(65534)
    try:
        with NetlinkSocket() as connection, pytest.raises(NetlinkError, match="Operation not permitted"):
            connection.call(Request(IPSET | 3, attribute(1, b"\x07"), socket.AF_INET))
    finally:
        os.seteuid(0)


@pytest.mark.kernel
def test_the_kernel_answers(private_network: None) -> None:
    with NetlinkSocket() as connection:
        version = attribute(1, b"\x07")
        assert connection.dump(Request(IPSET | 7, version, socket.AF_INET)) == []
        destroy = Request(IPSET | 3, version + text_attribute(2, "absent"), socket.AF_INET, EXCLUSIVE)
        refusals = [refusal and refusal.number for refusal in connection.call_all([destroy] * 600)]
        assert refusals == [errno.ENOENT] * 600
