"""The addresses of a network namespace."""

from __future__ import annotations

import errno
import subprocess

import pytest
from builders import address
from dying_socket import DEATHS, Death, bury

from netpol.dataplane.addresses import local_addresses, read_addresses
from netpol.dataplane.netlink import NETLINK_ROUTE, NetlinkError, NetlinkSocket, attribute
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


@pytest.mark.kernel
@pytest.mark.usefixtures("private_network")
def test_only_what_is_wanted_is_read() -> None:
    with NetlinkSocket(protocol=NETLINK_ROUTE) as kernel:
        assert read_addresses(kernel, lambda answer: len(answer) > 1 << 16) == frozenset()
        assert read_addresses(kernel) == {address("127.0.0.1"), address("::1")}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_a_socket_that_dies_is_a_refusal(monkeypatch: pytest.MonkeyPatch, death: Death) -> None:
    bury(monkeypatch, death)
    with pytest.raises(KernelRefusal, match=f"^the node's addresses cannot be read: .*{death.says}"):
        local_addresses()


def test_the_kernels_refusal_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> list[bytes]:
        raise NetlinkError(errno.EACCES)

    monkeypatch.setattr(NetlinkSocket, "dump", refuse)
    with pytest.raises(KernelRefusal, match=r"^the node's addresses cannot be read: Permission denied$"):
        local_addresses()


def test_what_is_told_is_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    home, other = (bytes([1, 0, 0, 0]) + attribute(2, packed) for packed in (bytes([127, 0, 0, 1]), b"other"))
    monkeypatch.setattr(NetlinkSocket, "dump", lambda *_: [home, other])
    assert local_addresses() == {address("127.0.0.1")}
