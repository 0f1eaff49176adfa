"""Marks are routed in a namespace of their own; tests/vm has what comes of it."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import pytest
from dying_socket import DEATHS, Death, bury

from netpol.dataplane.netlink import NetlinkSocket
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from proxy.kernel import mark_routes
from proxy.kernel.mark_routes import MarkRoutes

MARK, OTHER = 0x4E000001, 0x4E000002


def rules(family: Family) -> str:
    return subprocess.run(("ip", f"-{family.value}", "rule"), check=True, capture_output=True, text=True).stdout


@pytest.mark.kernel
@pytest.mark.parametrize("family", Family)
def test_each_mark_has_a_rule_of_each_family(family: Family, private_network: None) -> None:
    before = rules(family)
    with MarkRoutes() as routes:
        routes.ensure([])
        routes.ensure([MARK])
        routes.ensure([MARK, OTHER])
        assert [rules(family).count(f"fwmark {mark:#x} lookup 78") for mark in (MARK, OTHER)] == [1, 1]
        routes.ensure([OTHER])
        assert [rules(family).count(f"fwmark {mark:#x} lookup 78") for mark in (MARK, OTHER)] == [0, 1]
        routes.ensure([])
    assert rules(family) == before


@pytest.mark.kernel
def test_it_is_counted_what_had_to_come_or_go(private_network: None) -> None:
    """Of each family a route, and a rule for each mark."""
    with MarkRoutes() as routes:
        each: tuple[list[int], ...] = ([], [MARK], [OTHER, MARK], [MARK, OTHER], [OTHER], [], [])
        assert [routes.ensure(marks) for marks in each] == [0, 4, 2, 0, 2, 4, 0]
        routes.ensure([MARK])
        subprocess.run(("ip", "route", "flush", "table", "78"), check=True)
        subprocess.run(("ip", "-6", "rule", "del", "lookup", "78"), check=True)
        assert [routes.ensure([MARK]), routes.ensure([MARK])] == [2, 0]


@pytest.mark.kernel
def test_a_rule_that_stands_twice_goes_twice(private_network: None) -> None:
    for priority in ("100", "200"):
        subprocess.run(("ip", "rule", "add", "fwmark", hex(MARK), "lookup", "78", "priority", priority), check=True)
    with MarkRoutes() as routes:
        routes.ensure([])
    assert "lookup 78" not in rules(Family.IPV4)


@pytest.mark.kernel
def test_without_ipv6_there_is_the_other_family(monkeypatch: pytest.MonkeyPatch, private_network: None) -> None:
    monkeypatch.setattr(mark_routes, "_IPV6", Path("/nowhere"))
    with MarkRoutes() as routes:
        routes.ensure([MARK])
    assert [f"{MARK:#x}" in rules(family) for family in Family] == [True, False]


def test_a_mark_of_somebody_else_is_refused() -> None:
    with MarkRoutes() as routes, pytest.raises(KernelRefusal, match=r"^mark 0x7 cannot be routed: it is not one of th"):
        routes.ensure([MARK, 7])


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_a_socket_that_dies_is_a_refusal(monkeypatch: pytest.MonkeyPatch, death: Death) -> None:
    bury(monkeypatch, death)
    with MarkRoutes() as routes, pytest.raises(KernelRefusal, match=r"^routing rules cannot be read: "):
        routes.ensure([MARK])


def test_no_socket_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(NetlinkSocket, "__init__", refuse)
    with pytest.raises(KernelRefusal, match=r"^no netlink socket for routes: Operation not permitted"):
        MarkRoutes()
