"""What is said where there is no IPVS, or where it does not answer; tests/vm asks a kernel that has it."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Self

import pytest
from dying_socket import DEATHS, Death, bury

from netpol.dataplane.netlink import NetlinkError, NetlinkSocket, Request, attribute
from netpol.errors import KernelRefusal
from netpol.model.ports import Protocol
from netpol.settings import ConnectionTimeouts
from proxy.kernel import ipvs
from proxy.kernel.ipvs import NetlinkServers
from proxy.model import (
    AddDestination,
    AddServer,
    Destination,
    EditServer,
    RemoveDestination,
    RemoveServer,
    Scheduling,
    ServerAddress,
    ServerStep,
)

KEY = ServerAddress(ip_address("10.96.0.1"), Protocol.TCP, 80)
TO = Destination(ip_address("10.244.0.1"), 8080)
NEW_SERVER, SET_SERVER, GET_SERVER, NEW_DESTINATION, SET_DESTINATION = 1, 2, 4, 5, 6


class ScriptedIpvs:
    """A socket to an IPVS that refuses each command by a number; 0 is none."""

    def __init__(self, numbers: Mapping[int, int]) -> None:
        self._numbers = numbers
        self.commands: list[int] = []
        self.closed = False

    def ask(self, request: Request) -> list[bytes]:
        if request.kind == 16:
            return [attribute(1, struct.pack("=H", 31))]
        self.call(request)
        return []

    def call(self, request: Request) -> None:
        for refusal in self.call_all([request]):
            if refusal is not None:
                raise refusal

    def call_all(self, requests: Iterable[Request]) -> Iterator[NetlinkError | None]:
        for request in requests:
            assert (request.kind, request.version) == (31, 1)
            self.commands.append(request.family)
            number = self._numbers.get(request.family, 0)
            yield NetlinkError(number) if number else None

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self


Script = Callable[[Mapping[int, int]], tuple[NetlinkServers, ScriptedIpvs]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Script:
    def connect(numbers: Mapping[int, int]) -> tuple[NetlinkServers, ScriptedIpvs]:
        kernel = ScriptedIpvs(numbers)
        monkeypatch.setattr(ipvs, "NetlinkSocket", lambda **_: kernel)
        return NetlinkServers(), kernel

    return connect


def test_a_kernel_without_ipvs_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_: NetlinkSocket, request: Request) -> list[bytes]:
        raise NetlinkError(errno.ENOENT)

    monkeypatch.setattr(NetlinkSocket, "ask", ask)
    with pytest.raises(KernelRefusal, match=r"^virtual servers cannot be read: the kernel has no IPVS \(modprobe ip_v"):
        NetlinkServers()


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_a_socket_that_dies_is_a_refusal(monkeypatch: pytest.MonkeyPatch, death: Death) -> None:
    bury(monkeypatch, death)
    with pytest.raises(KernelRefusal, match=f"^virtual servers cannot be read: .*{death.says}"):
        NetlinkServers()


def test_no_socket_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(ipvs, "NetlinkSocket", refuse)
    with pytest.raises(KernelRefusal, match=r"^no netlink socket for IPVS: Operation not permitted"):
        NetlinkServers()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EPERM, "it takes root"),
        (errno.ENOENT, r"the kernel has no scheduler wlc \(modprobe ip_vs_wlc\)"),
        (errno.EAFNOSUPPORT, "the kernel's IPVS has no IPv6"),
        (errno.E2BIG, "Argument list too long"),
    ],
)
def test_a_refusal_names_the_server_and_why(scripted: Script, number: int, words: str) -> None:
    servers, _ = scripted({NEW_SERVER: number})
    with pytest.raises(KernelRefusal, match=rf"^virtual server 10\.96\.0\.1:80/TCP cannot be added: {words}"):
        servers.apply([AddServer(KEY, Scheduling("wlc"))])


def test_what_is_there_already_is_edited_unless_a_later_step_settles_it(scripted: Script) -> None:
    servers, kernel = scripted({NEW_SERVER: errno.EEXIST, NEW_DESTINATION: errno.EEXIST})
    servers.apply([AddServer(KEY, Scheduling()), AddDestination(KEY, TO)])
    assert kernel.commands == [1, 5, 2, 6]
    kernel.commands.clear()
    servers.apply([AddServer(KEY, Scheduling()), AddDestination(KEY, TO), EditServer(KEY, Scheduling("lc"))])
    assert kernel.commands == [1, 5, 2, 6]
    kernel.commands.clear()
    servers.apply([AddServer(KEY, Scheduling()), AddDestination(KEY, TO), RemoveServer(KEY)])
    assert kernel.commands == [1, 5, 3]


def test_an_edit_in_the_place_of_an_addition_may_be_refused_too(scripted: Script) -> None:
    servers, _ = scripted({NEW_DESTINATION: errno.EEXIST, SET_DESTINATION: errno.EINVAL})
    with pytest.raises(KernelRefusal, match=r"of virtual server 10\.96\.0\.1:80/TCP cannot be edited: the kernel does"):
        servers.apply([AddDestination(KEY, TO)])


@pytest.mark.parametrize("step", [RemoveServer(KEY), RemoveDestination(KEY, TO)], ids=lambda step: type(step).__name__)
def test_only_what_is_gone_is_no_error_to_remove(scripted: Script, step: ServerStep) -> None:
    servers, _ = scripted({3: errno.ESRCH, 7: errno.ENOENT})
    servers.apply([step])
    servers, _ = scripted({3: errno.EPERM, 7: errno.EPERM})
    with pytest.raises(KernelRefusal, match="cannot be removed: it takes root"):
        servers.apply([step])


def test_a_scheduler_is_tried_once_and_a_missing_one_again_a_minute_later(
    scripted: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(ipvs, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    servers, kernel = scripted({GET_SERVER: errno.ESRCH})
    assert [servers.offers("mh"), servers.offers("mh")] == [True, True]
    assert kernel.commands == [4, 1, 3]
    servers, kernel = scripted({GET_SERVER: errno.ESRCH, NEW_SERVER: errno.ENOENT, 3: errno.ESRCH})
    assert [servers.offers("mh"), servers.offers("mh")] == [False, False]
    assert kernel.commands == [4, 1, 3]
    clock[0] += 61
    assert not servers.offers("mh")
    assert kernel.commands == [4, 1, 3] * 2


def test_a_scheduler_that_cannot_be_tried_is_neither_there_nor_missing(scripted: Script) -> None:
    servers, _ = scripted({GET_SERVER: errno.ESRCH, NEW_SERVER: errno.EPERM})
    with pytest.raises(KernelRefusal, match=r"^scheduler mh cannot be tried: it takes root"):
        servers.offers("mh")


@pytest.mark.parametrize("name", ["none", "ftp", "pe_sip", "", "x" * 16, "rr -r", "RR"])
def test_what_is_no_scheduler_is_not_asked_for(scripted: Script, name: str) -> None:
    servers, kernel = scripted({})
    assert not servers.offers(name)
    assert kernel.commands == []


def test_without_timeouts_nothing_is_sent(scripted: Script) -> None:
    servers, kernel = scripted({12: errno.EINVAL})
    servers.set_timeouts(ConnectionTimeouts())
    assert kernel.commands == []
    with pytest.raises(KernelRefusal, match=r"^the times that idle connections are kept cannot be set: "):
        servers.set_timeouts(ConnectionTimeouts(tcp=1))


def test_closing_gives_the_socket_back(scripted: Script) -> None:
    servers, kernel = scripted({})
    with servers:
        assert not kernel.closed
    assert kernel.closed
