"""Sharing saves memory and changes nothing."""

from __future__ import annotations

from builders import pod, pods, policy, rule

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
