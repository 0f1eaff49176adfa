"""Each outcome is told apart from the others, and no haste turns one into another."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from builders import node, pod

from netpol.lab import prober
from netpol.lab.lab import Lab
from netpol.lab.listeners import Place
from netpol.lab.prober import Outcome, Patience, Probe, probe
from netpol.model.networks import Family
from netpol.model.ports import Protocol

SPOKEN = [Protocol.TCP, Protocol.UDP, Protocol.SCTP]


@pytest.fixture
def lab() -> Iterator[Lab]:
    pods = [pod(f"x/{name}", f"10.1.0.1{place}", f"fd01::1{place}", node="n") for place, name in enumerate("abc")]
    with Lab([node("n", pod_cidrs=["10.1.0.0/24", "fd01::/64"])], pods) as built:
        yield built


def question(lab: Lab, protocol: Protocol, family: Family = Family.IPV4, port: int = 80) -> Probe:
    """May a reach b?"""
    return Probe(lab.endpoint("x/a", family), Place(lab.endpoint("x/b", family), protocol, port))


def forward(lab: Lab, *rule: str) -> None:
    """The node's FORWARD chain has, or no longer has, a rule."""
    assert lab.namespace("node/n").run(["iptables", *rule]).stderr == ""


@pytest.mark.kernel
@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("protocol", SPOKEN)
def test_where_nobody_listens_the_connection_is_refused(lab: Lab, protocol: Protocol, family: Family) -> None:
    """An SCTP port is closed where another port of the address is open; without any, its kernel has no SCTP at all."""
    asked = question(lab, protocol, family)
    elsewhere = Place(asked.place.endpoint, protocol, 81)
    assert probe([asked], listening=[elsewhere]) == {asked: Outcome.REFUSED}
    assert probe([asked], listening=[]) == {asked: Outcome.REFUSED}


@pytest.mark.kernel
@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
def test_who_answers_in_anothers_place_is_found_out(lab: Lab, protocol: Protocol) -> None:
    asked = question(lab, protocol)
    c = Place(lab.endpoint("x/c"), protocol, 80)
    rule = ["-p", protocol.value.lower(), "-d", str(asked.place.endpoint.address), "-j", "DNAT"]
    forward(lab, "-t", "nat", "-I", "PREROUTING", *rule, "--to-destination", str(c.endpoint.address))
    assert probe([asked], listening=[asked.place, c]) == {asked: Outcome.WRONG_END}


@pytest.mark.kernel
def test_an_administrator_s_refusal_is_no_silence(lab: Lab) -> None:
    forward(lab, "-I", "FORWARD", "-j", "REJECT", "--reject-with", "icmp-admin-prohibited")
    asked = question(lab, Protocol.TCP)
    assert probe([asked]) == {asked: Outcome.REFUSED}


@pytest.mark.kernel
@pytest.mark.parametrize("protocol", [*SPOKEN, Protocol.ICMP])
def test_what_the_sender_s_own_firewall_drops_is_silent(lab: Lab, protocol: Protocol) -> None:
    dropped = lab.namespace("x/a").run(["iptables", "-I", "OUTPUT", "-j", "DROP"])
    assert dropped.stderr == ""
    asked = question(lab, protocol)
    assert probe([asked]) == {asked: Outcome.SILENT}


@pytest.mark.kernel
@pytest.mark.parametrize("protocol", SPOKEN)
def test_what_is_expected_is_waited_for(lab: Lab, protocol: Protocol) -> None:
    """A network that is deaf for longer than silence takes: only the expectation tells it from a firewall."""
    rule = ["FORWARD", "-p", protocol.value.lower(), "-j", "DROP"]
    hopeful, hopeless = question(lab, protocol), question(lab, protocol, port=81)
    forward(lab, "-I", *rule)
    opening = threading.Timer(1.0, forward, [lab, "-D", *rule])
    opening.start()
    outcomes = probe([hopeful, hopeless], expected={hopeful}, patience=Patience(silent=0.3))
    opening.join()
    assert outcomes == {hopeful: Outcome.REACHED, hopeless: Outcome.SILENT}


@pytest.mark.kernel
def test_a_few_descriptors_are_enough(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "MOST_IN_FLIGHT", 2)
    asked = [question(lab, Protocol.TCP, family, port) for family in Family for port in range(80, 90)]
    outcomes = probe([*asked, *asked], listening=[one.place for one in asked[::2]])
    assert list(outcomes.values()).count(Outcome.REACHED) == 10
    assert all((outcomes[one] is Outcome.REACHED) == (place % 2 == 0) for place, one in enumerate(asked))


def test_nothing_asked_is_nothing_answered() -> None:
    assert probe([]) == {}
