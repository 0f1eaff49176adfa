"""What is said where links cannot be read or changed; tests/vm has a kernel with dummy links."""

from __future__ import annotations

import errno
from ipaddress import ip_address

import pytest
from dying_socket import DEATHS, Death, bury

from netpol.dataplane.netlink import NetlinkError, NetlinkSocket, Request
from netpol.errors import KernelRefusal
from proxy.kernel.link_messages import Link, LinkFlag, add_dummy_request, set_flags_request
from proxy.kernel.links import DummyLink, NetlinkLinks


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_a_socket_that_dies_is_a_refusal(monkeypatch: pytest.MonkeyPatch, death: Death) -> None:
    bury(monkeypatch, death)
    with DummyLink() as link, pytest.raises(KernelRefusal, match=f"^link kube-dummy-if cannot be read: .*{death.says}"):
        link.read()


def test_no_socket_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(NetlinkSocket, "__init__", refuse)
    with pytest.raises(KernelRefusal, match=r"^no netlink socket for links: Operation not permitted"):
        DummyLink()


def test_a_kernel_without_such_links_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: NetlinkSocket, request: Request) -> None:
        raise NetlinkError(errno.ENODEV if request.kind == 18 else errno.EOPNOTSUPP)

    monkeypatch.setattr(NetlinkSocket, "ask", refuse)
    monkeypatch.setattr(NetlinkSocket, "call", refuse)
    with (
        DummyLink() as link,
        pytest.raises(KernelRefusal, match=r"^link kube-dummy-if cannot be added: .*modprobe"),
    ):
        link.ensure()


def test_a_link_that_does_not_stay_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_: NetlinkSocket, request: Request) -> list[bytes]:
        raise NetlinkError(errno.ENODEV)

    def call(_: NetlinkSocket, request: Request) -> None:
        raise NetlinkError(errno.EEXIST)

    monkeypatch.setattr(NetlinkSocket, "ask", ask)
    monkeypatch.setattr(NetlinkSocket, "call", call)
    with NetlinkLinks() as all_links, pytest.raises(KernelRefusal, match="somebody removes it at once"):
        all_links.ensure_tunnel("kube-tunnel-if", ip_address("10.244.0.1"))


def test_a_link_that_somebody_else_made_meanwhile_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [None, None, Link(7, "kube-dummy-if", LinkFlag(0))]
    called: list[Request] = []

    def call(_: NetlinkSocket, request: Request) -> None:
        called.append(request)
        if len(called) == 1:
            raise NetlinkError(errno.EEXIST)

    monkeypatch.setattr(NetlinkLinks, "find", lambda *_: found.pop(0))
    monkeypatch.setattr(NetlinkSocket, "call", call)
    with DummyLink() as link:
        assert link.ensure()
    assert called == [
        add_dummy_request("kube-dummy-if"),
        set_flags_request(7, LinkFlag.UP | LinkFlag.NO_ARP),
    ]


@pytest.mark.kernel
def test_the_loopback_is_a_link_like_any_other(private_network: None) -> None:
    with NetlinkLinks() as all_links:
        loopback = all_links.find("lo")
        assert loopback is not None
        assert all_links.find("nowhere") is None
        one, six = ip_address("127.0.0.1"), ip_address("::1")
        assert all_links.addresses(of=loopback) == {one, six}
        assert all_links.addresses(other_than=[loopback.number]) == frozenset()
        all_links.bind(loopback, [one, ip_address("10.96.0.1")])
        all_links.unbind(loopback, [ip_address("10.96.0.1"), ip_address("10.96.0.2")])
        assert all_links.addresses() == {one, six}
        all_links.set_alias(loopback, "what was")
        found = all_links.find("lo")
        assert found is not None
        assert found.alias == "what was"
