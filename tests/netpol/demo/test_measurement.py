"""Packets and policies are compared contact by contact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from builders import address, namespace, node, pod, policy, rule

from netpol.demo.measurement import Contact, Measurement, measure
from netpol.lab.lab import Lab
from netpol.lab.prober import Outcome
from netpol.lab.topology import Outside
from netpol.model.ports import Protocol, ProtocolPort
from netpol.model.snapshot import Snapshot

TCP_80 = ProtocolPort(Protocol.TCP, 80)
UDP_53 = ProtocolPort(Protocol.UDP, 53)
NODE = node("n", pod_cidrs=["10.1.0.0/24", "fd01::/64"])
PODS = [
    pod("x/a", "10.1.0.10", "fd01::10", node="n"),
    pod("x/b", "10.1.0.11", node="n"),
    pod("x/six", "fd01::12", node="n"),
    pod("x/host", "172.31.255.1", node="n", host_network=True),
]
OUTSIDE = Outside("laptop", (address("203.0.113.7"),))


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab([NODE], PODS, [OUTSIDE]) as built:
        yield built


def snapshot(*policies: str) -> Snapshot:
    """The lab's cluster, where each policy named lets b be reached on 80/TCP only."""
    made = [policy(f"x/{name}", ingress=[rule(ports=["80/TCP"])]) for name in policies]
    return Snapshot.of([namespace("x")], PODS, [NODE], made)


@pytest.mark.kernel
def test_every_pair_with_a_family_in_common_is_asked(lab: Lab) -> None:
    measurement = measure(lab, snapshot(), [TCP_80, UDP_53], [str(OUTSIDE)])
    assert measurement.differences == ()
    assert measurement.reachability(UDP_53) == measurement.reachability(TCP_80)
    assert measurement.reachability(TCP_80) == {
        "x/a": {"x/b": True, "x/six": True},
        "x/b": {"x/a": True, "x/six": False},
        "x/six": {"x/a": True, "x/b": False},
        "outside/laptop": {"x/a": True, "x/b": True, "x/six": False},
    }
    asked = {(one.source.name, one.destination.name, str(one.destination.address)) for one in measurement.contacts}
    assert asked == {
        ("x/a", "x/b", "10.1.0.11"),
        ("x/a", "x/six", "fd01::12"),
        ("x/b", "x/a", "10.1.0.10"),
        ("x/six", "x/a", "fd01::10"),
        ("outside/laptop", "x/a", "10.1.0.10"),
        ("outside/laptop", "x/b", "10.1.0.11"),
    }


@pytest.mark.kernel
def test_a_kernel_without_the_policies_differs_where_they_refuse(lab: Lab) -> None:
    """Nothing programs this lab: what the policies refuse goes through, and is found."""
    measurement = measure(lab, snapshot("p"), [TCP_80, UDP_53])
    assert measurement.differences
    assert {contact.port for contact in measurement.differences} == {UDP_53}
    assert len(measurement.differences) == len(measurement.contacts) / 2
    assert str(measurement.differences[0]) == ("x/a (10.1.0.10) -> x/b (10.1.0.11) 53/UDP: reached, should be refused")


@pytest.fixture
def contact(lab: Lab) -> Contact:
    return Contact(lab.endpoint("x/a"), lab.endpoint("x/b"), TCP_80, Outcome.REACHED, allowed=True)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("outcome", "allowed", "agree"),
    [
        (Outcome.REACHED, True, True),
        (Outcome.REACHED, False, False),
        (Outcome.SILENT, True, False),
        (Outcome.SILENT, False, True),
        (Outcome.REFUSED, False, True),
        (Outcome.WRONG_END, True, False),
        (Outcome.WRONG_END, False, False),
    ],
)
def test_when_packets_and_policies_agree(contact: Contact, outcome: Outcome, allowed: bool, agree: bool) -> None:
    assert replace(contact, outcome=outcome, allowed=allowed).as_judged is agree


@pytest.mark.kernel
def test_pairs_that_differ_by_address_are_named(contact: Contact) -> None:
    silent = replace(contact, outcome=Outcome.SILENT)
    ends = ("x/a",), ("x/b",)
    assert Measurement(*ends, (contact, contact)).divided == ()
    assert Measurement(*ends, (contact, replace(silent, port=UDP_53))).divided == ()
    divided = Measurement(*ends, (contact, silent))
    assert divided.divided == (("x/a", "x/b"),)
    assert divided.reachability(TCP_80)["x/a"]["x/b"]
