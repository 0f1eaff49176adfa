from __future__ import annotations

from builders import block, namespace, pod, pods, policy, rule, world

from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy.reachability import Reachability, divided, reachability, spared
from netpol.policy.verdict import Oracle


def reach(snapshot: Snapshot, port: str = "80/TCP") -> Reachability:
    return reachability(Oracle(snapshot), snapshot.pods.values(), ProtocolPort.parse(port))


def test_every_ordered_pair_of_different_actionable_pods_is_answered() -> None:
    snapshot = world(
        namespace("x"),
        pod("x/b", "10.0.0.2"),
        pod("x/a", "10.0.0.1"),
        pod("w/c", "10.0.0.3"),
        pod("x/finished", "10.0.0.4", finished=True),
        pod("x/host", "192.168.0.1", host_network=True),
        pod("x/pending"),
        policy("x/p", ingress=[rule([pods()])]),
    )
    answers = reach(snapshot)
    assert answers == {
        "w/c": {"x/a": False, "x/b": False},
        "x/a": {"w/c": True, "x/b": True},
        "x/b": {"w/c": True, "x/a": True},
    }
    assert list(answers) == ["w/c", "x/a", "x/b"]
    assert list(answers["x/a"]) == ["w/c", "x/b"]


def test_names_are_ordered_by_namespace_first() -> None:
    assert list(reach(world(pod("a-b/x", "10.0.0.1"), pod("a/y", "10.0.0.2")))) == ["a/y", "a-b/x"]


def test_the_protocol_and_the_port_count() -> None:
    snapshot = world(
        namespace("x"), pod("x/a", "10.0.0.1"), pod("x/b", "10.0.0.2"), policy("x/p", ingress=[rule(ports=["80/TCP"])])
    )
    assert reach(snapshot)["x/a"]["x/b"]
    assert not reach(snapshot, "80/UDP")["x/a"]["x/b"]
    assert not reach(snapshot, "ICMP")["x/a"]["x/b"]


def test_g4_pods_without_a_common_family_do_not_reach_each_other() -> None:
    snapshot = world(pod("x/four", "10.0.0.1"), pod("x/six", "fd00::1"), pod("x/dual", "10.0.0.2", "fd00::2"))
    assert reach(snapshot) == {
        "x/dual": {"x/four": True, "x/six": True},
        "x/four": {"x/dual": True, "x/six": False},
        "x/six": {"x/dual": True, "x/four": False},
    }


def test_no_pods_no_answers() -> None:
    assert reach(world()) == {}


def test_x12_pairs_are_divided_where_their_families_have_different_answers() -> None:
    snapshot = world(
        namespace("x"),
        pod("x/b", "fd00::2", "10.0.0.2", labels="app=b"),
        pod("x/a", "10.0.0.1", "fd00::1"),
        pod("x/four", "10.0.0.4"),
        pod("x/six", "fd00::6"),
        pod("x/finished", "10.0.0.7", "fd00::7", finished=True),
        policy("x/p", "app=b", ingress=[rule([block("fd00::/16")], ["80/TCP"])]),
    )
    for port, pairs in (("80/TCP", [("x/a", "x/b")]), ("81/TCP", [])):
        answers = reach(snapshot, port)
        assert divided(Oracle(snapshot), snapshot.pods.values(), ProtocolPort.parse(port), answers) == pairs


def test_x16_pairs_are_spared_that_only_what_is_under_audit_would_refuse() -> None:
    snapshot = world(
        namespace("x"),
        pod("x/a", "10.0.0.1", labels="app=a"),
        pod("x/b", "10.0.0.2", "fd00::2", labels="app=b"),
        pod("x/c", "10.0.0.3", labels="app=c"),
        pod("x/six", "fd00::6"),
        policy("x/dry", "app in (a,b)", ingress=[rule([pods("app=c")], ["80/TCP"])], under_audit=True),
        policy("x/firm", "app=b", ingress=[rule([pods("app=a")])]),
    )
    for port, pairs in (("80/TCP", [("x/b", "x/a")]), ("81/TCP", [("x/b", "x/a"), ("x/c", "x/a")])):
        answers = reach(snapshot, port)
        assert answers["x/a"]["x/b"], "a rule that is enforced allows it"
        assert not answers["x/c"]["x/b"], "what is enforced refuses it"
        assert not answers["x/six"]["x/a"], "they have no address family in common"
        assert spared(Oracle(snapshot), snapshot.pods.values(), ProtocolPort.parse(port), answers) == pairs
