"""Pods that answer directly: opened where they can be, told where they cannot, and closed."""

from __future__ import annotations

import pytest
from proxy_builders import addresses

from netpol.dataplane.memory.journal import Journal
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from proxy.keeping.answering_pods import Returning
from proxy.kernel.memory import MemoryTunnels
from proxy.model import ServerMark

ONE, TWO = addresses("10.0.0.1 10.0.0.2")
VIP = frozenset(addresses("198.51.100.1"))
MORE = VIP.union(addresses("198.51.100.2"))
FIRST, SECOND = ServerMark(Family.IPV4, 0x4E000001), ServerMark(Family.IPV4, 0x4E000002)


@pytest.fixture
def tunnels() -> MemoryTunnels:
    return MemoryTunnels(Journal())


def test_only_what_changes_is_opened_or_closed(tunnels: MemoryTunnels, monkeypatch: pytest.MonkeyPatch) -> None:
    returning = Returning(tunnels)
    returning.open({ONE: VIP, TWO: VIP})
    assert tunnels.opened == {ONE: VIP, TWO: VIP}
    opened: list[object] = []
    monkeypatch.setattr(tunnels, "open", lambda pod, service: opened.append((pod, service)))
    returning.open({ONE: MORE})
    assert (opened, tunnels.opened) == ([(ONE, MORE)], {ONE: VIP})


def test_a_pod_of_an_earlier_run_is_closed(tunnels: MemoryTunnels) -> None:
    Returning(tunnels).open({ONE: VIP, TWO: VIP})
    Returning(tunnels).open({TWO: VIP})
    assert tunnels.opened == {TWO: VIP}


def test_a_pod_out_of_reach_is_told_and_keeps_no_other_from_answering(tunnels: MemoryTunnels) -> None:
    tunnels.reachable = lambda pod: pod == TWO
    returning = Returning(tunnels)
    returning.open({ONE: VIP, TWO: VIP})
    assert tunnels.opened == {TWO: VIP}
    assert returning.unreachable.keys() == {ONE}
    tunnels.reachable = lambda _: True
    returning.open({ONE: VIP, TWO: VIP})
    assert (tunnels.opened, returning.unreachable) == ({ONE: VIP, TWO: VIP}, {})


def test_a_pod_out_of_reach_that_is_gone_is_forgotten(tunnels: MemoryTunnels) -> None:
    tunnels.reachable = lambda _: False
    returning = Returning(tunnels)
    returning.open({ONE: VIP})
    returning.open({})
    assert returning.unreachable == {}


def test_marks_are_routed_where_they_change(tunnels: MemoryTunnels) -> None:
    returning = Returning(tunnels)
    returning.route([FIRST])
    tunnels.marks = frozenset()
    returning.route([FIRST])
    assert tunnels.marks == frozenset()
    returning.route([FIRST, SECOND])
    assert tunnels.marks == {0x4E000001, 0x4E000002}
    tunnels.marks = frozenset()
    returning.doubt()
    returning.route([FIRST, SECOND])
    assert tunnels.marks == {0x4E000001, 0x4E000002}


def test_marks_that_were_refused_are_routed_the_next_time(tunnels: MemoryTunnels) -> None:
    returning = Returning(tunnels)
    tunnels.journal.refuse(after=0)
    with pytest.raises(KernelRefusal):
        returning.route([FIRST])
    returning.route([FIRST])
    assert tunnels.marks == {0x4E000001}
