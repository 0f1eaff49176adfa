"""Whatever the kernel refuses over netlink is said in words."""

from __future__ import annotations

import errno

import pytest

from netpol.dataplane.netlink import NetlinkError, NetlinkSocket, Request
from netpol.dataplane.netlink_client import NetlinkClient
from netpol.errors import KernelRefusal


class Doors(NetlinkClient):
    """A subject that the kernel does not have."""

    def __init__(self) -> None:
        super().__init__("doors", {errno.EBUSY: "somebody stands in it", errno.EPERM: "it takes a key"})

    def shut(self) -> None:
        with self._refusing("the door cannot be shut"):
            self._netlink.call(Request(1))


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EBUSY, "somebody stands in it"),
        (errno.EPERM, "it takes a key"),
        (errno.ETIMEDOUT, "the kernel did not answer"),
        (errno.EDOM, "Numerical argument out of domain"),
        (4999, "netfilter error 4999"),
    ],
)
def test_a_refusal_says_what_and_why(monkeypatch: pytest.MonkeyPatch, number: int, reason: str) -> None:
    def refuse(*_: object) -> None:
        raise NetlinkError(number)

    monkeypatch.setattr(NetlinkSocket, "call", refuse)
    with Doors() as doors, pytest.raises(KernelRefusal) as refused:
        doors.shut()
    assert str(refused.value) == f"the door cannot be shut: {reason}"


def test_no_socket_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(NetlinkSocket, "__init__", refuse)
    with pytest.raises(KernelRefusal, match=r"^no netlink socket for doors: Operation not permitted$"):
        Doors()


def test_the_socket_is_given_back() -> None:
    with Doors() as doors:
        pass
    with pytest.raises(KernelRefusal, match=r"^the door cannot be shut: Bad file descriptor$"):
        doors.shut()
