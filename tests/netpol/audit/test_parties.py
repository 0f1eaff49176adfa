"""The ends of a packet as records name them."""

from __future__ import annotations

from dataclasses import replace

from builders import address, node, pod
from history import NODE, Told

from netpol.audit.parties import judged_party, namespace_of, party_at, pod_party
from netpol.audit.record import ExternalParty, NodeParty, PodParty
from netpol.compiler.log_points import pod_digest

A = replace(pod("x/a", "10.0.0.1", "fd00::1", node=NODE), workload="Deployment/a")
PARTY = PodParty("x", "a", "uid-of-x-a", "10.0.0.1", "Deployment/a")
AT = address("10.0.0.1")


def test_each_kind_of_end_is_a_party() -> None:
    host = pod("x/host", "192.168.0.9", node="n2", host_network=True)
    world = Told(A, host, node("n2", "192.168.0.2")).at(1)
    assert party_at(AT, world) == PARTY
    assert party_at(address("fd00::1"), world) == replace_ip("fd00::1")
    assert party_at(address("192.168.0.2"), world) == NodeParty("n2", "192.168.0.2")
    assert party_at(address("8.8.8.8"), world) == ExternalParty("8.8.8.8")


def replace_ip(ip: str) -> PodParty:
    return PodParty("x", "a", "uid-of-x-a", ip, "Deployment/a")


def test_v9_a_hostnetwork_pod_is_its_node() -> None:
    host = pod("x/host", "192.168.0.9", node="n2", host_network=True)
    assert party_at(address("192.168.0.9"), Told(host).at(1)) == NodeParty("n2", "192.168.0.9")


def test_who_had_the_address_shortly_before_is_gone() -> None:
    told = Told(A)
    told.becomes(seconds=10)
    assert party_at(AT, told.at(15)) == PodParty("x", "a", "uid-of-x-a", "10.0.0.1", "Deployment/a", gone=True)


def test_whose_chain_it_was_goes_before_who_has_the_address() -> None:
    digest, other = pod_digest("x", "a"), pod("x/b", "10.0.0.1", created="2024-01-01T00:00:00.000000Z", node=NODE)
    told = Told(A, other)
    told.becomes(other, seconds=10)
    assert judged_party(digest, AT, told.at(5)) == PARTY
    assert judged_party(digest, AT, told.at(15)) == pod_party(A, AT, gone=True)
    assert judged_party(pod_digest("x", "nobody"), AT, told.at(15)) == ExternalParty("10.0.0.1")


def test_only_pods_have_a_namespace() -> None:
    assert namespace_of(PARTY) == "x"
    assert namespace_of(NodeParty("n1", "192.168.0.1")) == ""
