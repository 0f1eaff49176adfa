from __future__ import annotations

import pytest
from builders import EGRESS, block, namespace, pod, pods, policy, rule, world

from netpol.model.policies import Direction, Policy
from netpol.model.ports import ProtocolPort
from netpol.model.treatment import Extent
from netpol.policy.judgement import PodEnd
from netpol.suggest.extents import Side, View
from netpol.suggest.needs import Need, Tally, Wish
from netpol.suggest.proof import Suggestion, Unproved, lesser_policies, prove
from netpol.suggest.workloads import Workload

A = pod("x/a", "10.0.0.1", labels="app=web")
B = pod("x/b", "10.0.0.2", labels="app=client")
FREE = pod("x/free", labels="app=free")
SNAPSHOT = world(namespace("x"), A, B, FREE, policy("x/closed", "app in (web,client)"))
WEB, CLIENT = Workload("x", "a", (A,)), Workload("x", "b", (B,))


def prove_it(*policies: Policy, extent: Extent = Extent.ENFORCED) -> None:
    port = ProtocolPort.parse("80/TCP")
    side = Side(Direction.INGRESS, PodEnd(A, A.addresses[0]), PodEnd(B, B.addresses[0]), port)
    need = Need(Wish(WEB, Direction.INGRESS, extent, CLIENT, port), Tally(1, 1), (side,))
    views = {each: View(SNAPSHOT, each) for each in Extent}
    prove([Suggestion({}, each, (need,)) for each in policies], SNAPSHOT, views, list(SNAPSHOT.pods.values()))


def allowing(*ports: str, to: str = "app=web", name: str = "x/more", peers: str = "app=client") -> Policy:
    return policy(name, to, ingress=[rule([pods(peers)], ports)])


def test_a_policy_that_allows_just_what_it_is_for_is_proved() -> None:
    prove_it(allowing("80/TCP"))


@pytest.mark.parametrize(
    ("policies", "complaint"),
    [
        ([allowing("81/TCP")], "does not allow all"),
        ([allowing("80/TCP", "81/TCP")], "allows more"),
        ([policy("x/more", "app=web", ingress=[rule([pods("app=client"), block("192.0.2.1/32")])])], "allows more"),
        ([policy("x/more", "app=web", ingress=[rule([pods("app=client")]), rule([pods("app=x")])])], "allows more"),
        ([allowing("80/TCP"), allowing("80/TCP", name="x/again")], "allows more"),
        ([allowing("80/TCP", to="")], "x/free would be isolated for ingress"),
        ([policy("x/more", "app=web", directions=EGRESS)], "x/a would be isolated for egress"),
        ([allowing("80/TCP", name="x/closed")], "another's place"),
        ([allowing("80/TCP"), allowing("80/TCP")], "another's place"),
    ],
)
def test_any_other_is_not(policies: list[Policy], complaint: str) -> None:
    with pytest.raises(Unproved, match=complaint):
        prove_it(*policies)


def test_x16_one_under_audit_allows_nothing_yet() -> None:
    rules = [rule([pods("app=client")], ["80/TCP"])]
    dry = policy("x/more", "app=web", ingress=rules, under_audit=True)
    with pytest.raises(Unproved, match="does not allow all"):
        prove_it(dry)
    prove_it(dry, extent=Extent.ALL)


def test_each_part_is_left_out_once() -> None:
    whole = policy(
        "x/p",
        ingress=[rule([pods("app=a"), pods("app=b")], ["80/TCP", "81/TCP"]), rule([pods("app=c")])],
        egress=[rule(None, ["53/UDP"])],
    )
    told = sorted(
        ("ingress", len(each.ingress), [(len(r.peers or ()), len(r.ports or ())) for r in each.ingress])
        if each.ingress != whole.ingress
        else ("egress", len(each.egress), [(len(r.peers or ()), len(r.ports or ())) for r in each.egress])
        for each in lesser_policies(whole)
    )
    assert told == [
        ("egress", 0, []),
        ("egress", 1, [(0, 0)]),
        ("ingress", 1, [(1, 0)]),
        ("ingress", 1, [(2, 2)]),
        *[("ingress", 2, [(1, 2), (1, 0)])] * 2,
        ("ingress", 2, [(2, 1), (1, 0)]),
        ("ingress", 2, [(2, 1), (1, 0)]),
        ("ingress", 2, [(2, 2), (0, 0)]),
    ]


def test_a_rule_that_loses_its_last_peer_is_for_nobody() -> None:
    lonely = policy("x/p", ingress=[rule([pods("app=a")], ["80/TCP"])])
    kept = [each.ingress[0] for each in lesser_policies(lonely) if each.ingress]
    assert [(each.peers, each.ports) for each in kept] == [
        ((), lonely.ingress[0].ports),
        (lonely.ingress[0].peers, ()),
    ]
