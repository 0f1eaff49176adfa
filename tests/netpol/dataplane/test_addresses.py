"""The addresses of a network namespace."""

from __future__ import annotations

import socket
import struct
import subprocess

import pytest
from builders import address

from netpol.dataplane.addresses import local_addresses
from netpol.dataplane.netlink import attribute
from netpol.errors import KernelRefusal


@pytest.mark.kernel
@pytest.mark.usefixtures("private_network")
def test_loopback_is_all_there_is_in_a_new_namespace() -> None:
    assert local_addresses() == {address("127.0.0.1"), address("::1")}


@pytest.mark.kernel
@pytest.mark.usefixtures("private_network")
def test_every_address_of_every_link_is_found() -> None:
    """A link to a peer has the peer's address too, which is not the node's."""
    for words in (
        "link add east type veth peer name west",
        "address add 10.0.0.1/24 dev east",
        "address add 10.0.0.2/24 dev east",
        "address add 192.0.2.1 peer 192.0.2.2/32 dev west",
        "address add fd00::1/64 dev west nodad",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    expected = {"127.0.0.1", "::1", "10.0.0.1", "10.0.0.2", "192.0.2.1", "fd00::1"}
    assert local_addresses() == set(map(address, expected))


@pytest.mark.kernel
@pytest.mark.usefixtures("private_network")
def test_more_addresses_than_one_answer_holds() -> None:
    texts = [f"10.1.{number // 250}.{number % 250 + 1}" for number in range(1000)]
    commands = "".join(f"address add {text}/32 dev lo\n" for text in texts)
    subprocess.run(["ip", "-batch", "-"], input=commands.encode(), check=True)
    assert local_addresses() == {address("127.0.0.1"), address("::1"), *map(address, texts)}


class Kernel:
    """A socket that tells these datagrams, one dump after the other."""

    def __init__(self, *datagrams: bytes) -> None:
        self._datagrams = list(datagrams)

    def __call__(self, *_: object) -> Kernel:
        return self

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def settimeout(self, _: float) -> None:
        return None

    def bind(self, _: object) -> None:
        return None

    def send(self, request: bytes) -> int:
        return len(request)

    def recv(self, _: int) -> bytes:
        return self._datagrams.pop(0)


def message(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body


HOME = message(20, bytes(8) + attribute(2, bytes([127, 0, 0, 1])))
DONE = message(3, bytes(4))


def test_what_changed_while_it_was_told_is_told_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    torn = message(20, bytes(8) + attribute(2, bytes([10, 0, 0, 9])), flags=0x10)
    monkeypatch.setattr(socket, "socket", Kernel(torn, DONE, HOME + DONE))
    assert local_addresses() == {address("127.0.0.1")}


def test_what_never_stands_still_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", Kernel(*[message(3, bytes(4), flags=0x10)] * 20))
    with pytest.raises(KernelRefusal, match="kept changing"):
        local_addresses()


def test_the_kernels_refusal_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", Kernel(message(2, struct.pack("=i", -1))))
    with pytest.raises(KernelRefusal, match=r"^the node's addresses cannot be read: Operation not permitted$"):
        local_addresses()
