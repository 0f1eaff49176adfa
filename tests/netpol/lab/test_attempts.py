"""Attempts say who answered, and refuse what cannot be tried."""

from __future__ import annotations

import select
from collections.abc import Iterator
from dataclasses import replace

import pytest
from builders import address, node, pod

from netpol.lab.attempts import Attempt, begin
from netpol.lab.lab import Lab
from netpol.lab.listeners import Place
from netpol.lab.namespace import LabError
from netpol.model.networks import Family
from netpol.model.ports import Protocol


@pytest.fixture
def lab() -> Iterator[Lab]:
    pods = [pod("x/a", "10.1.0.10", "fd01::10", node="n"), pod("x/b", "10.1.0.11", "fd01::11", node="n")]
    with Lab([node("n", pod_cidrs=["10.1.0.0/24", "fd01::/64"])], pods) as built:
        yield built


def answer(attempt: Attempt) -> str | None:
    """What the attempt reads when something has arrived."""
    with attempt.socket:
        assert select.select([attempt.socket], [], [], 10)[0]
        return attempt.read()


@pytest.mark.kernel
@pytest.mark.parametrize("family", list(Family))
def test_an_echo_comes_from_whoever_has_the_address(lab: Lab, family: Family) -> None:
    place = Place(lab.endpoint("x/b", family), Protocol.ICMP, None)
    assert answer(begin(lab.endpoint("x/a", family), place)) == "x/b"


@pytest.mark.kernel
def test_a_port_where_nobody_listens_raises(lab: Lab) -> None:
    with pytest.raises(ConnectionRefusedError):
        answer(begin(lab.endpoint("x/a"), Place(lab.endpoint("x/b"), Protocol.UDP, 53)))


@pytest.mark.kernel
def test_each_attempt_has_a_source_port_of_its_own(lab: Lab) -> None:
    place = Place(lab.endpoint("x/b"), Protocol.UDP, 53)
    attempts = [begin(lab.endpoint("x/a"), place) for _ in range(3)]
    ports = {attempt.socket.getsockname()[1] for attempt in attempts}
    for attempt in attempts:
        attempt.socket.close()
    assert len(ports) == 3


@pytest.mark.kernel
def test_an_address_that_is_not_the_sender_s_is_refused(lab: Lab) -> None:
    stranger = replace(lab.endpoint("x/a"), address=address("10.1.0.77"))
    with pytest.raises(LabError, match=r"x/a \(10.1.0.77\) cannot send"):
        begin(stranger, Place(lab.endpoint("x/b"), Protocol.TCP, 80))


@pytest.mark.kernel
def test_a_destination_without_a_route_is_refused(lab: Lab) -> None:
    nowhere = replace(lab.endpoint("x/b"), address=address("203.0.113.1"))
    with pytest.raises(LabError, match=r"no way leads from node/n .*ENETUNREACH"):
        begin(lab.endpoint("node/n"), Place(nowhere, Protocol.TCP, 80))
