"""Sharing saves memory and changes nothing."""

from __future__ import annotations

from dataclasses import replace

from builders import address, pod, pods, policy, rule

from netpol.model.ports import Protocol
from netpol.model.services import Endpoint, EndpointGroup, EndpointPort, EndpointSlice
from netpol.source.kube.sharing import Sharing


def test_equal_parts_of_pods_are_one() -> None:
    sharing = Sharing()
    made = (pod(f"x/{name}", labels="app=web", ports="http=80/TCP", workload=f"Job/{'b' * 9}") for name in "ab")
    a, b = map(sharing.pod, made)
    assert a == pod("x/a", labels="app=web", ports="http=80/TCP", workload="Job/bbbbbbbbb")
    assert a.labels is b.labels
    assert a.ports is b.ports
    assert a.workload is b.workload


def test_equal_parts_of_policies_are_one() -> None:
    sharing = Sharing()
    rules = [rule(peers=[pods("app=web")], ports=["80/TCP"])]
    a, b = (sharing.policy(policy(name, "app=db", ingress=rules)) for name in ("x/a", "x/b"))
    assert a == policy("x/a", "app=db", ingress=rules)
    assert a.pods is b.pods
    assert a.directions is b.directions


def test_what_is_full_is_emptied() -> None:
    sharing = Sharing(most=2)
    first = sharing.labels({"app": "a"})
    for name in ("b", "c", "d"):
        sharing.labels({"app": name})
    again = sharing.labels({"app": "a"})
    assert again == first
    assert again is not first
    assert sharing.policy(policy("x/a", "app=web")) == policy("x/a", "app=web")


def test_labels_in_another_order_are_equal_all_the_same() -> None:
    sharing = Sharing()
    assert sharing.labels({"a": "1", "b": "2"}) == sharing.labels({"b": "2", "a": "1"})


def slice_of(name: str, *endpoints: Endpoint) -> EndpointSlice:
    return EndpointSlice("x", name, "web", (EndpointGroup(endpoints, (EndpointPort(Protocol.TCP, 80),)),))


def endpoint(text: str, zone: str = "a") -> Endpoint:
    return Endpoint(address(text), f"node-of-{zone}", zone_hints=frozenset({zone}))


def test_endpoints_that_did_not_change_are_those_that_were_there() -> None:
    sharing = Sharing()
    before = sharing.endpoint_slice(slice_of("web-1", endpoint("10.0.0.1"), endpoint("10.0.0.2")))
    after = sharing.endpoint_slice(slice_of("web-1", endpoint("10.0.0.1"), replace(endpoint("10.0.0.2"), ready=False)))
    assert after == slice_of("web-1", endpoint("10.0.0.1"), replace(endpoint("10.0.0.2"), ready=False))
    (first, second), (same, changed) = before.groups[0].endpoints, after.groups[0].endpoints
    assert same is first
    assert changed != second


def test_equal_parts_of_endpoints_are_one() -> None:
    sharing = Sharing()
    made = (sharing.endpoint_slice(slice_of(f"web-{n}", endpoint(f"10.0.0.{n}"))) for n in (1, 2))
    (first,), (second,) = (found.groups for found in made)
    assert first.ports is second.ports
    assert first.endpoints[0].node is second.endpoints[0].node
    assert first.endpoints[0].zone_hints is second.endpoints[0].zone_hints


def test_more_endpoints_than_are_kept_are_the_same_ones() -> None:
    sharing = Sharing(most=2)
    found = slice_of("web-1", *(endpoint(f"10.0.0.{n}") for n in range(1, 9)))
    assert sharing.endpoint_slice(found) == found
    assert sharing.endpoint_slice(found) == found
