"""Who a selector means and what a pod is under, as the indexes answer it; beside them the plain walk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from builders import BOTH, EGRESS, INGRESS, address, beta, namespace, pod, pods, policy
from hypothesis import given
from worlds import NAMESPACE_SELECTORS, POD_SELECTORS, snapshots

from netpol.model.labels import Selector
from netpol.model.networks import Family
from netpol.model.objects import Namespace, Pod
from netpol.model.policies import Direction, PodPeer, Policy
from netpol.model.ports import NamedPort, Protocol
from netpol.model.snapshot import Snapshot, holders
from netpol.model.treatment import AuditLevel, DenyAction, Enforcement, Extent, Treatment
from netpol.policy.holders import Holder
from netpol.policy.resolve import Resolver

WEB = pod("x/web", "10.0.0.1", "fd00::1", labels="app=web tier=front", ports="http=80/TCP", node="n1")
DB = pod("x/db", "10.0.0.2", labels="app=db", ports="http=8080/TCP http=53/UDP", node="n2")
FAR = pod("y/far", "10.0.1.1", labels="app=web", node="n1")


def resolver(
    *pods_: Pod, namespaces: Iterable[Namespace] = (namespace("x"), namespace("y")), policies: Iterable[Policy] = ()
) -> Resolver:
    return Resolver(Snapshot.of(namespaces, pods_, (), policies))


def called(found: Iterable[Holder]) -> list[str]:
    return sorted(str(holder.pod) for holder in found)


# --- selecting


@pytest.mark.parametrize(
    ("peer", "meant"),
    [
        (pods("", namespace="x"), ["x/db", "x/web"]),
        (pods("app=web", namespace="x"), ["x/web"]),
        (pods("app in (web,db),tier", namespace="x"), ["x/web"]),
        (pods("app in (web,db)", namespace="x"), ["x/db", "x/web"]),
        (pods("!tier", namespace="x"), ["x/db"]),
        (pods("", namespace="nowhere"), []),
        (pods("app=absent", namespace="x"), []),
        (pods("", namespaces=""), ["x/db", "x/web", "y/far"]),
        (pods("app=web", namespaces=""), ["x/web", "y/far"]),
        (pods("", namespaces="kubernetes.io/metadata.name=y"), ["y/far"]),
        (PodPeer(), []),
    ],
)
def test_a_peer_means_the_pods_its_selectors_match(peer: PodPeer, meant: list[str]) -> None:
    assert called(resolver(WEB, DB, FAR).select(peer)) == meant


def test_a_namespace_that_is_not_known_is_matched_by_no_selector() -> None:
    """X2; a policy of that namespace itself still means its pods."""
    unknown = resolver(WEB, FAR, namespaces=[namespace("x")])
    assert called(unknown.select(pods("", namespaces=""))) == ["x/web"]
    assert called(unknown.select(pods("", namespace="y"))) == ["y/far"]


def plainly(snapshot: Snapshot, peer: PodPeer) -> list[str]:
    """Who the peer means, by looking at every pod."""

    def matches(each: Pod) -> bool:
        if peer.namespace_selector is None:
            return each.namespace == peer.namespace
        home = snapshot.namespaces.get(each.namespace)
        return home is not None and peer.namespace_selector.matches(home.labels)

    held = set(map(str, holders(snapshot.pods.values()).values()))
    chosen = (each for each in snapshot.pods.values() if matches(each) and peer.pods.matches(each.labels))
    return sorted(str(each) for each in chosen if str(each) in held)


@given(snapshots(), POD_SELECTORS, NAMESPACE_SELECTORS)
def test_the_indexes_find_what_a_walk_finds(snapshot: Snapshot, chosen: Selector, spaces: Selector) -> None:
    found = Resolver(snapshot)
    for peer in (PodPeer(chosen, namespace_selector=spaces), *(PodPeer(chosen, each) for each in ("red", "grey"))):
        assert called(found.select(peer)) == plainly(snapshot, peer)


# --- holders


def test_only_actionable_pods_hold_addresses() -> None:
    """G3, V9."""
    resolved = resolver(
        pod("x/host", "10.0.0.5", node="n1", host_network=True),
        pod("x/done", "10.0.0.6", node="n1", finished=True),
        pod("x/pending", node="n1"),
        WEB,
    )
    assert called(resolved.on_node("n1")) == ["x/web"]
    assert called(resolved.select(pods("", namespace="x"))) == ["x/web"]


def test_an_address_stands_for_the_newest_of_its_pods() -> None:
    """X1: the older one keeps what is its own alone."""
    older = pod("x/older", "10.0.0.1", "10.0.0.9", node="n1", created="2024-01-01T00:00:00Z")
    newer = pod("x/newer", "10.0.0.1", node="n1", created="2024-01-01T00:00:01Z")
    found = {str(holder.pod): holder.addresses for holder in resolver(older, newer).on_node("n1")}
    assert found == {"x/newer": (address("10.0.0.1"),), "x/older": (address("10.0.0.9"),)}


def test_a_holder_has_its_addresses_as_packets_carry_them() -> None:
    (holder,) = resolver(WEB).on_node("n1")
    assert holder.packed == {Family.IPV4: (b"\x0a\0\0\1",), Family.IPV6: (b"\xfd" + bytes(14) + b"\1",)}


def test_the_holders_of_a_node_are_in_the_order_of_their_names() -> None:
    assert [str(holder.pod) for holder in resolver(FAR, WEB, DB).on_node("n1")] == ["x/web", "y/far"]
    assert resolver(WEB).on_node("n3") == ()


def test_a_named_port_is_found_by_name_and_protocol() -> None:
    """V7; a pod that gives one name two numbers is found once."""
    twice = pod("y/twice", "10.0.1.2", ports="http=80/TCP http=81/TCP")
    resolved = resolver(WEB, DB, FAR, twice, namespaces=())
    assert called(resolved.naming(NamedPort(Protocol.TCP, "http"))) == ["x/db", "x/web", "y/twice"]
    assert called(resolved.naming(NamedPort(Protocol.UDP, "http"))) == ["x/db"]
    assert called(resolved.naming(NamedPort(Protocol.SCTP, "http"))) == []


# --- standing

DENY = namespace("x", deny=True)


@pytest.mark.parametrize(
    ("home", "policies", "isolated", "applying"),
    [
        (namespace("x"), [], frozenset(), []),
        (DENY, [], INGRESS, []),
        (namespace("x"), [beta("x/b")], frozenset(), []),
        (DENY, [beta("x/b")], INGRESS, ["x/b"]),
        (DENY, [beta("x/b", "app=db")], INGRESS, []),
        (namespace("x"), [policy("x/v")], INGRESS, ["x/v"]),
        (namespace("x"), [policy("x/v", directions=EGRESS)], EGRESS, ["x/v"]),
        (DENY, [policy("x/v", directions=EGRESS), beta("x/b")], BOTH, ["x/b", "x/v"]),
        (namespace("x"), [policy("x/v", "app=db"), policy("y/v")], frozenset(), []),
        (None, [policy("x/v"), beta("x/b")], INGRESS, ["x/v"]),
    ],
)
def test_a_pod_stands_under_its_namespaces_annotation_and_policies(
    home: Namespace | None, policies: list[Policy], isolated: frozenset[Direction], applying: list[str]
) -> None:
    """V1, M4, B3, B4; X2 for the last."""
    standing = resolver(WEB, namespaces=[home] if home else [], policies=policies).standing(WEB)
    assert standing.isolated == isolated
    assert list(map(str, standing.policies)) == applying


AUDITED = replace(namespace("x", deny=True), enforcement=Enforcement.AUDIT)
UNDER_AUDIT = replace(policy("x/w", directions=EGRESS), enforcement=Enforcement.AUDIT)


@pytest.mark.parametrize(
    ("home", "policies", "isolated", "applying"),
    [
        (namespace("x"), [UNDER_AUDIT], frozenset(), []),
        (namespace("x"), [UNDER_AUDIT, policy("x/v")], INGRESS, ["x/v"]),
        (DENY, [replace(beta("x/b"), enforcement=Enforcement.AUDIT)], INGRESS, []),
        (AUDITED, [], frozenset(), []),
        (AUDITED, [beta("x/b"), policy("x/v", directions=BOTH)], frozenset(), []),
        (None, [UNDER_AUDIT, policy("x/v")], INGRESS, ["x/v"]),
    ],
)
def test_what_is_under_audit_counts_only_where_everything_does(
    home: Namespace | None, policies: list[Policy], isolated: frozenset[Direction], applying: list[str]
) -> None:
    """X16: it neither isolates nor allows."""
    resolved = resolver(WEB, namespaces=[home] if home else [], policies=policies)
    enforced, every = (resolved.standing(WEB, extent) for extent in Extent)
    assert (enforced.isolated, list(map(str, enforced.policies))) == (isolated, applying)
    as_if_enforced = resolver(
        WEB,
        namespaces=[replace(home, enforcement=Enforcement.ENFORCE)] if home else [],
        policies=[replace(each, enforcement=Enforcement.ENFORCE) for each in policies],
    ).standing(WEB)
    assert every.isolated == as_if_enforced.isolated
    assert list(map(str, every.policies)) == list(map(str, as_if_enforced.policies))


def test_a_pod_is_treated_as_its_namespace_says_and_else_as_the_node_does() -> None:
    """X17; X2 for a namespace that is not known."""
    usual = Treatment(AuditLevel.ALLOWS, DenyAction.REJECT)
    home = replace(namespace("x"), audit=AuditLevel.NONE)
    assert resolver(WEB, namespaces=[home]).treatment(WEB, usual) == Treatment(AuditLevel.NONE, DenyAction.REJECT)
    assert resolver(WEB, namespaces=[]).treatment(WEB, usual) == usual
