"""What is proved of policies before anybody sees them, and what is found out about others."""

from __future__ import annotations

import pytest
from builders import EGRESS, block, namespace, pod, pods, policy, rule, world

from netpol.model.objects import Pod
from netpol.model.policies import Direction, Policy, PolicyRule
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Extent
from netpol.policy.judgement import PodEnd
from netpol.policy.lookups import Lookups
from netpol.suggest.extents import AskedSide, by_extent
from netpol.suggest.needs import Need, Tally, Wish
from netpol.suggest.proof import Divide, Suggestion, Unproved, divided, peer_by_peer, port_by_port, prove
from netpol.suggest.workloads import Workload

A = pod("x/a", "10.0.0.1", labels="app=web")
B = pod("x/b", "10.0.0.2", labels="app=client")
FREE = pod("x/free", labels="app=free")
PARTS = (namespace("x"), A, B, FREE, policy("x/closed", "app in (web,client)"))
SNAPSHOT = world(*PARTS)
WEB, CLIENT = Workload("x", "a", (A,)), Workload("x", "b", (B,))


def prove_it(
    *policies: Policy, extent: Extent = Extent.ENFORCED, snapshot: Snapshot = SNAPSHOT, peers: tuple[Pod, ...] = (B,)
) -> None:
    port = ProtocolPort.parse("80/TCP")
    sides = (
        AskedSide(Direction.INGRESS, PodEnd(A, A.addresses[0]), PodEnd(peer, peer.addresses[0]), port) for peer in peers
    )
    need = Need(Wish(WEB, Direction.INGRESS, extent, CLIENT, port), Tally(1, 1), tuple(sides))
    before = by_extent(snapshot, Lookups.of(snapshot))
    prove([Suggestion({}, each, (need,)) for each in policies], snapshot, before, list(snapshot.pods.values()))


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
        ([policy("x/more", "app=web", ingress=[rule([pods("app=client")]), rule([])])], "allows more"),
        ([policy("x/more", "app=web", ingress=[rule(), rule(ports=["80/TCP"])])], "allows more"),
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


@pytest.mark.parametrize("dry", [False, True])
def test_x16_what_would_be_isolated_in_either_extent_is_found(*, dry: bool) -> None:
    """A pod of a dry run is isolated in the larger extent already, and still must not be in earnest."""
    snapshot = SNAPSHOT if dry else world(*PARTS, policy("x/dry", "app=free", under_audit=True))
    everybody = policy("x/more", ingress=[rule([pods("app=client")], ["80/TCP"])], under_audit=dry)
    with pytest.raises(Unproved, match="x/free would be isolated for ingress"):
        prove_it(everybody, snapshot=snapshot)


def test_a_part_is_idle_where_another_allows_the_same_and_more() -> None:
    other = pod("x/other", "10.0.0.3", labels="app=other")
    snapshot = world(namespace("x"), A, B, other, policy("x/closed"))
    for peers in ([pods("app=client"), pods()], [pods(), pods("app=client")]):
        broad = policy("x/more", "app=web", ingress=[rule(peers, ["80/TCP"])])
        with pytest.raises(Unproved, match="allows more"):
            prove_it(broad, snapshot=snapshot, peers=(B, other))
    prove_it(allowing("80/TCP", peers=""), snapshot=snapshot, peers=(B, other))


def test_what_is_allowed_already_needs_no_policy() -> None:
    snapshot = world(namespace("x"), A, B, FREE, policy("x/open", ingress=[rule(ports=["80/TCP"])]))
    with pytest.raises(Unproved, match="is for what is allowed without it"):
        prove_it(allowing("80/TCP"), snapshot=snapshot)


APP_A, APP_B, APP_C = pods("app=a"), pods("app=b"), pods("app=c")
TOLD = [rule([APP_A, APP_B], ["80/TCP", "81/TCP"]), rule([APP_C]), rule(None, ["53/UDP"])]


@pytest.mark.parametrize(
    ("divide", "parts"),
    [
        (peer_by_peer, [rule([APP_A], ["80/TCP", "81/TCP"]), rule([APP_B], ["80/TCP", "81/TCP"])]),
        (port_by_port, [rule([APP_A, APP_B], ["80/TCP"]), rule([APP_A, APP_B], ["81/TCP"])]),
    ],
)
def test_each_part_becomes_a_rule(divide: Divide, parts: list[PolicyRule]) -> None:
    whole, expected = policy("x/p", ingress=TOLD, egress=TOLD[:1]), [*parts, *TOLD[1:]]
    assert divided(whole, divide) == policy("x/p", ingress=expected, egress=parts)


@pytest.mark.parametrize("divide", [peer_by_peer, port_by_port])
def test_what_matches_nothing_is_a_part_too(divide: Divide) -> None:
    """Left out, it would mean the same; and it must not become a rule for everybody."""
    nobody = policy("x/p", ingress=[rule([], ["80/TCP"]), rule([pods("app=a")], [])])
    assert divided(nobody, divide) == nobody
