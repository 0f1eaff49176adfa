from __future__ import annotations

import pytest
from builders import namespace, node, pod

from netpol.model.objects import Pod
from netpol.model.ports import Protocol


@pytest.mark.parametrize(
    ("given", "actionable"),
    [
        (pod("x/a", "10.0.0.1"), True),
        (pod("x/a", "fd00::1"), True),
        (pod("x/a"), False),
        (pod("x/a", "10.0.0.1", host_network=True), False),
        (pod("x/a", "10.0.0.1", finished=True), False),
    ],
)
def test_g3_actionable_pods_have_an_address_of_their_own_and_have_not_finished(given: Pod, actionable: bool) -> None:
    assert given.actionable is actionable


def test_v7_a_name_stands_for_every_number_it_has_with_its_protocol() -> None:
    web = pod("x/a", "10.0.0.1", ports="http=80/TCP http=8080/TCP http=81/UDP metrics=9090/TCP")
    assert web.numbers_of("http", Protocol.TCP) == {80, 8080}
    assert web.numbers_of("http", Protocol.UDP) == {81}
    assert web.numbers_of("http", Protocol.SCTP) == set()
    assert web.numbers_of("admin", Protocol.TCP) == set()


def test_objects_are_called_what_a_person_calls_them() -> None:
    assert [str(item) for item in (namespace("x"), pod("x/a"), node("n1"))] == ["x", "x/a", "node/n1"]
