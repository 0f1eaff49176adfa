"""Listeners answer at exactly their places, once each, and can be closed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from selectors import DefaultSelector

import pytest
from builders import node, pod

from netpol.lab.lab import Lab
from netpol.lab.listeners import Listeners, Place, open_socket
from netpol.lab.namespace import LabError
from netpol.model.ports import Protocol


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab([node("n", pod_cidrs=["10.1.0.0/24"])], [pod("x/a", "10.1.0.10", node="n")]) as built:
        yield built


@pytest.mark.kernel
def test_a_place_named_twice_is_listened_at_once(lab: Lab) -> None:
    a = lab.endpoint("x/a")
    places = [Place(a, Protocol.TCP, 80), Place(a, Protocol.TCP, 80), Place(a, Protocol.UDP, 80)]
    places += [Place(a, Protocol.SCTP, 80), Place(a, Protocol.SCTP, 81), Place(a, Protocol.ICMP, None)]
    with DefaultSelector() as selector:
        with Listeners(places, selector):
            assert len(selector.get_map()) == 3
        assert len(selector.get_map()) == 0


@pytest.mark.kernel
def test_an_answer_is_the_namespace_s_name(lab: Lab) -> None:
    a = lab.endpoint("x/a")
    with (
        DefaultSelector() as selector,
        Listeners([Place(a, Protocol.UDP, 53)], selector),
        open_socket(lab.endpoint("node/n"), socket.SOCK_DGRAM) as client,
    ):
        client.sendto(b"?", (str(a.address), 53))
        for key, _ in selector.select(10):
            key.data()
        assert client.recv(100) == b"x/a"


@pytest.mark.kernel
def test_a_port_in_use_is_refused_and_nothing_stays_open(lab: Lab) -> None:
    a = lab.endpoint("x/a")
    free, taken = Place(a, Protocol.UDP, 52), Place(a, Protocol.UDP, 53)
    with DefaultSelector() as selector, open_socket(a, socket.SOCK_DGRAM) as other:
        other.bind((str(a.address), 53))
        with pytest.raises(LabError, match=r"nobody can listen at x/a \(10.1.0.10\) port 53"):
            Listeners([free, taken], selector)
        assert len(selector.get_map()) == 0
    assert str(taken) == "x/a (10.1.0.10) 53/UDP"
