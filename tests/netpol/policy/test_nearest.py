"""The rule that came closest, what it lacked, and the words for it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from builders import address, block, namespace, node, pod, pods, policy, rule

from netpol.model.policies import Policy, PolicyRule
from netpol.model.ports import OtherProtocol, Protocol
from netpol.policy.judgement import Connection, End, ExternalEnd, Lack, NearestMiss, NodeEnd, PodEnd, PolicyReference
from netpol.policy.nearest import nearest_miss

WEB = PodEnd(pod("x/web", "10.0.0.1", labels="app=web", ports="http=8080/TCP"), address("10.0.0.1"))
JOB = PodEnd(pod("y/job", "10.0.1.2", labels="tier=batch"), address("10.0.1.2"))
STRAY = PodEnd(pod("lost/p", "10.0.9.9"), address("10.0.9.9"))
OUTSIDE = ExternalEnd(address("8.8.8.8"))
NODE = NodeEnd(node("n1", "192.168.0.1"), address("192.168.0.1"))
NAMESPACES = {"x": namespace("x", "team=x"), "y": namespace("y", "team=y")}


def missed(
    rules: Sequence[PolicyRule],
    peer: End = JOB,
    protocol: Protocol | OtherProtocol = Protocol.TCP,
    number: int | None = 80,
) -> NearestMiss:
    """The nearest miss of an ingress policy of namespace x, for a connection from `peer` to x/web."""
    miss = of_policies([policy("x/p", ingress=rules)], Connection(peer, WEB, protocol, number), peer)
    assert miss is not None
    return miss


def of_policies(policies: Sequence[Policy], connection: Connection, peer: End) -> NearestMiss | None:
    references = [(PolicyReference.to(item, given.index), given) for item in policies for given in item.ingress]
    return nearest_miss(references, peer, connection, NAMESPACES)


def test_no_rules_have_no_nearest() -> None:
    assert of_policies([policy("x/p")], Connection(JOB, WEB, Protocol.TCP, 80), JOB) is None


@pytest.mark.parametrize(
    ("given", "peer", "lacked", "detail"),
    [
        (rule(ports=["6379/TCP"]), JOB, Lack.PORT, "it allows 6379/TCP, not 80/TCP"),
        (rule(ports=["6379/TCP", "53/UDP"]), JOB, Lack.PORT, "it allows 6379/TCP, 53/UDP, not 80/TCP"),
        (rule(ports=[]), JOB, Lack.PORT, "it allows no port at all"),
        (rule(ports=["http/TCP"]), JOB, Lack.PORT, "it allows http/TCP (which is 8080 on x/web), not 80/TCP"),
        (rule(ports=["dns/TCP"]), JOB, Lack.PORT, "it allows dns/TCP (which is nothing on x/web), not 80/TCP"),
        (
            rule([pods("tier=frontend", namespaces="team=y")]),
            JOB,
            Lack.PEER_LABEL,
            "it wants pods with tier=frontend, and y/job has tier=batch",
        ),
        (
            rule([pods("tier,app in (a,b)", namespaces="team=y")]),
            JOB,
            Lack.PEER_LABEL,
            "it wants pods with app in (a,b), and y/job has no app",
        ),
        (
            rule([pods("", namespaces="team=x")]),
            JOB,
            Lack.NAMESPACE_LABEL,
            "it wants namespaces with team=x, and y has team=y",
        ),
        (rule([pods()]), JOB, Lack.NAMESPACE_LABEL, "it wants pods of namespace x, and y/job is in y"),
        (
            rule([pods(namespaces="team=y")]),
            STRAY,
            Lack.NAMESPACE_LABEL,
            "it wants a namespace with labels, and no namespace lost is known",
        ),
        (rule([block("10.9.0.0/16")]), JOB, Lack.ADDRESS, "it wants an address in 10.9.0.0/16, and y/job has 10.0.1.2"),
        (
            rule([block("8.0.0.0/8", "8.8.0.0/16")]),
            OUTSIDE,
            Lack.ADDRESS,
            "it wants an address in 8.0.0.0/8 except 8.8.0.0/16, and 8.8.8.8 is not",
        ),
        (
            rule([block("0.0.0.0/0")]),
            NodeEnd(NODE.node, None),
            Lack.ADDRESS,
            "it wants an address in 0.0.0.0/0, and no address of node/n1 is known",
        ),
        (
            rule([pods("tier=frontend")]),
            OUTSIDE,
            Lack.ADDRESS,
            "it wants pods [tier=frontend] of namespace x, and 8.8.8.8 is no pod",
        ),
        (
            rule([pods(namespaces="team=y")]),
            NODE,
            Lack.ADDRESS,
            "it wants pods [*] of namespaces [team=y], and node/n1 is no pod",
        ),
        (rule([]), JOB, Lack.PEER, "it allows no peer at all"),
        (
            rule([block("10.9.0.0/16"), pods()]),
            JOB,
            Lack.NAMESPACE_LABEL,
            "the closest of its 2 peers wants pods of namespace x, and y/job is in y",
        ),
    ],
)
def test_what_one_rule_lacked(given: PolicyRule, peer: End, lacked: Lack, detail: str) -> None:
    assert missed([given], peer) == NearestMiss(PolicyReference("NetworkPolicy", "x", "p", 0), (lacked,), detail)


def test_g10_icmp_lacks_a_rule_without_ports() -> None:
    miss = missed([rule(ports=["80/TCP"])], protocol=Protocol.ICMP, number=None)
    assert (miss.lacked, miss.detail) == ((Lack.PORT,), "it allows 80/TCP, not ICMP, which needs a rule without ports")


def test_g10_so_does_a_protocol_that_no_policy_can_name() -> None:
    miss = missed([rule(ports=["80/TCP"])], protocol=OtherProtocol(47), number=None)
    assert miss.lacked == (Lack.PORT,)
    assert miss.detail == "it allows 80/TCP, not protocol 47, which needs a rule without ports"


def test_v7_a_name_means_nothing_on_what_is_no_pod() -> None:
    references = [(PolicyReference("NetworkPolicy", "x", "p", 0), rule(ports=["http/TCP"]))]
    miss = nearest_miss(references, OUTSIDE, Connection(WEB, OUTSIDE, Protocol.TCP, 80), NAMESPACES)
    assert miss is not None
    assert miss.detail == "it allows http/TCP (a name that only pods have), not 80/TCP"


def test_everything_that_one_rule_lacked_is_said() -> None:
    miss = missed([rule([pods("app=a", namespaces="team=x")], ["81/TCP"])])
    assert miss.lacked == (Lack.PORT, Lack.PEER_LABEL, Lack.NAMESPACE_LABEL)
    assert miss.detail == (
        "it allows 81/TCP, not 80/TCP; it wants pods with app=a, and y/job has no app; "
        "it wants namespaces with team=x, and y has team=y"
    )


HERE = "team=y"
EASIER_FIRST = [
    rule(ports=["81/TCP"]),
    rule([pods("app=a", namespaces=HERE)]),
    rule([pods("app=a,tier=front", namespaces=HERE)]),
    rule([pods(namespaces="team=x")]),
    rule([pods(namespaces="team=x,env=prod")]),
    rule([block("10.9.0.0/16")]),
    rule([]),
    rule([pods("app=a", namespaces=HERE)], ["81/TCP"]),
    rule([pods("app=a", namespaces="team=x")], ["80/TCP"]),
    rule([pods("app=a", namespaces="team=x")], ["81/TCP"]),
]


@pytest.mark.parametrize("position", range(len(EASIER_FIRST) - 1))
def test_fewer_lacks_are_nearer_then_easier_ones_then_fewer_conditions(position: int) -> None:
    nearer, farther = EASIER_FIRST[position : position + 2]
    assert missed([nearer, farther]).policy.rule == 0
    assert missed([farther, nearer]).policy.rule == 1


def test_the_first_of_equals_is_the_nearest() -> None:
    miss = of_policies(
        [policy("x/p", ingress=[rule(ports=["1/TCP"]), rule(ports=["2/TCP"])]), policy("x/q", ingress=[rule([])])],
        Connection(JOB, WEB, Protocol.TCP, 80),
        JOB,
    )
    assert miss is not None
    assert miss.policy == PolicyReference("NetworkPolicy", "x", "p", 0)
