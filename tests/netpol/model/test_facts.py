"""The identity of objects."""

from __future__ import annotations

from builders import namespace, node, pod, policy, world

from netpol.model.facts import FIREWALL_KINDS, PROXY_KINDS, Key, Kind, lists
from netpol.model.services import EndpointSlice, Service


def test_objects_of_one_name_differ_by_kind_and_namespace() -> None:
    keys = {Key(kind, namespace, "a") for kind in (Kind.POD, Kind.NETWORK_POLICY) for namespace in ("x", "y")}

    assert len(keys) == 4


def test_a_key_gives_the_name_its_object_has_in_a_snapshot() -> None:
    assert Key(Kind.POD, "web", "front").object_name == ("web", "front")
    assert Key(Kind.NODE, "", "n1").object_name == ("", "n1")


def test_a_snapshot_is_a_list_of_each_kind() -> None:
    service, part = Service("x", "web"), EndpointSlice("x", "web-1", "web")
    snapshot = world(namespace("x"), node("n"), pod("x/a"), policy("x/p"), service, part)

    assert lists(snapshot) == {
        Kind.NAMESPACE: {("", "x"): namespace("x")},
        Kind.NODE: {("", "n"): node("n")},
        Kind.POD: {("x", "a"): pod("x/a")},
        Kind.NETWORK_POLICY: {("x", "p"): policy("x/p")},
        Kind.SERVICE: {("x", "web"): service},
        Kind.ENDPOINT_SLICE: {("x", "web-1"): part},
    }


def test_no_kind_is_followed_for_nobody() -> None:
    assert {*FIREWALL_KINDS, *PROXY_KINDS} == set(Kind)
    assert {*FIREWALL_KINDS} & {*PROXY_KINDS} == {Kind.NODE}
