"""The upstream end-to-end suites' cases as truth tables (B14, 1.4): namespaces x, y, z, pods a, b, c, ports 80 and 81.

Each case states what its policies limit; over all ordered pairs of different pods everything else must be
allowed. Pods listen on 80 and 81 for TCP, UDP and SCTP under the names serve-<port>-<protocol>.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from builders import BOTH, EGRESS, beta, block, namespace, pod, pods, policy, rule, world

from netpol.model.objects import Namespace
from netpol.model.policies import Direction, Policy
from netpol.model.ports import ProtocolPort
from netpol.policy.reachability import reachability
from netpol.policy.verdict import Oracle

NAMES = [f"{place}/{name}" for place in "xyz" for name in "abc"]
PORTS = ["80/TCP", "81/TCP", "80/UDP", "81/UDP", "80/SCTP", "81/SCTP"]
ADDRESSES = {name: f"10.0.{'xyz'.index(name[0])}.{'abc'.index(name[2]) + 1}" for name in NAMES}
SERVED = " ".join(
    f"serve-{number}-{protocol.lower()}={number}/{protocol}"
    for number in (80, 81)
    for protocol in ("TCP", "UDP", "SCTP")
)


@dataclass(frozen=True)
class Limit:
    """These pods accept from (or send to) these peers on these ports, and nothing else; names may end with `x/`."""

    direction: Direction
    pods: tuple[str, ...]
    peers: tuple[str, ...]
    ports: tuple[str, ...]

    def refuses(self, source: str, destination: str, port: str) -> bool:
        own, peer = (destination, source) if self.direction is Direction.INGRESS else (source, destination)
        return own.startswith(self.pods) and not (peer.startswith(self.peers) and port in self.ports)


def accepts(pods: str, *, peers: str = "x/ y/ z/", ports: str = " ".join(PORTS)) -> Limit:
    return Limit(Direction.INGRESS, tuple(pods.split()), tuple(peers.split()), tuple(ports.split()))


def sends(pods: str, *, peers: str = "x/ y/ z/", ports: str = " ".join(PORTS)) -> Limit:
    return Limit(Direction.EGRESS, tuple(pods.split()), tuple(peers.split()), tuple(ports.split()))


@dataclass(frozen=True)
class Case:
    """A world's policies and all that they limit; `deny` are the annotated namespaces."""

    name: str
    policies: tuple[Policy, ...]
    limits: tuple[Limit, ...]
    deny: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """Labels that an update has changed, by pod or namespace."""

    def __str__(self) -> str:
        return self.name


def _namespaces(case: Case) -> Iterable[Namespace]:
    for name in "xyz":
        yield namespace(name, dict(case.labels).get(name, f"ns={name}"), deny=name in case.deny)


def outcome(case: Case) -> set[tuple[str, str, str]]:
    snapshot = world(
        *_namespaces(case),
        *(
            pod(name, ADDRESSES[name], labels=dict(case.labels).get(name, f"pod={name[2]}"), ports=SERVED)
            for name in NAMES
        ),
        *case.policies,
    )
    oracle = Oracle(snapshot)
    return {
        (source, destination, port)
        for port in PORTS
        for source, row in reachability(oracle, snapshot.pods.values(), ProtocolPort.parse(port)).items()
        for destination, allowed in row.items()
        if not allowed
    }


def expected(case: Case) -> set[tuple[str, str, str]]:
    return {
        (source, destination, port)
        for port in PORTS
        for source in NAMES
        for destination in NAMES
        if source != destination and any(limit.refuses(source, destination, port) for limit in case.limits)
    }


BETA_CASES = [
    Case("DefaultDeny blocks a client of the same namespace", (), (accepts("x/", peers=""),), deny="x"),
    Case(
        "PodSelector",
        (beta("x/p", "pod=a", ingress=[rule([pods("pod=b")])]),),
        (accepts("x/b x/c", peers=""), accepts("x/a", peers="x/b")),
        deny="x",
    ),
    Case(
        "Ports: only 81",
        (beta("x/p", "pod=a", ingress=[rule(ports=["81/TCP"])]),),
        (accepts("x/b x/c", peers=""), accepts("x/a", ports="81/TCP")),
        deny="x",
    ),
    Case(
        "not enforced when isolation is off",
        (beta("x/p", "pod=a", ingress=[rule([pods("pod=b")], ["81/TCP"])]),),
        (),
    ),
    Case(
        "stacked policies",
        (
            beta("x/p", "pod=a", ingress=[rule([pods("pod=b")], ["80/TCP"])]),
            beta("x/q", "pod=a", ingress=[rule([pods("pod=b")], ["81/TCP"])]),
        ),
        (accepts("x/b x/c", peers=""), accepts("x/a", peers="x/b", ports="80/TCP 81/TCP")),
        deny="x",
    ),
    Case("allow-all", (beta("x/p", ingress=[rule()]),), (), deny="x"),
    Case(
        "NamespaceSelector: the own namespace's client is denied, another's allowed",
        (beta("x/p", "pod=a", ingress=[rule([pods(namespaces="ns=y")])]),),
        (accepts("x/b x/c", peers=""), accepts("x/a", peers="y/")),
        deny="x",
    ),
]

INGRESS_CASES = [
    Case("default-deny-ingress", (policy("x/p"),), (accepts("x/", peers=""),)),
    Case(
        "default-deny-all",
        (policy("x/p", directions=BOTH),),
        (accepts("x/", peers=""), sends("x/", peers="")),
    ),
    Case("allow-all", (policy("x/p", ingress=[rule()]),), ()),
    Case(
        "PodSelector",
        (policy("x/p", "pod=a", ingress=[rule([pods("pod=b")])]),),
        (accepts("x/a", peers="x/b"),),
    ),
    Case(
        "NamespaceSelector",
        (policy("x/p", "pod=a", ingress=[rule([pods(namespaces="ns=y")])]),),
        (accepts("x/a", peers="y/"),),
    ),
    Case(
        "PodSelector with an expression",
        (policy("x/p", "pod=a", ingress=[rule([pods("pod in (b)")])]),),
        (accepts("x/a", peers="x/b"),),
    ),
    Case(
        "NamespaceSelector with expressions",
        (policy("x/p", "pod=a", ingress=[rule([pods(namespaces="ns in (y)"), pods(namespaces="ns notin (x,y)")])]),),
        (accepts("x/a", peers="y/ z/"),),
    ),
    Case(
        "NamespaceSelector that leaves the own namespace out",
        (policy("x/p", "pod=a", ingress=[rule([pods(namespaces="ns notin (x)")])]),),
        (accepts("x/a", peers="y/ z/"),),
    ),
    Case(
        "PodSelector or NamespaceSelector",
        (policy("x/p", "pod=a", ingress=[rule([pods("pod=b"), pods(namespaces="ns=y")])]),),
        (accepts("x/a", peers="x/b y/"),),
    ),
    Case(
        "PodSelector and NamespaceSelector in one peer",
        (policy("x/p", "pod=a", ingress=[rule([pods("pod=b", namespaces="ns=y")])]),),
        (accepts("x/a", peers="y/b"),),
    ),
    Case(
        "several peers of pods and namespaces",
        (policy("x/p", "pod=a", ingress=[rule([pods("pod in (b,c)", namespaces="ns in (y,z)")])]),),
        (accepts("x/a", peers="y/b y/c z/b z/c"),),
    ),
    Case(
        "ingress for a target from all pods of its namespace",
        (policy("x/p", "pod=a", ingress=[rule([pods()])]),),
        (accepts("x/a", peers="x/"),),
    ),
    Case(
        "all namespaces",
        (policy("x/p", "pod=a", ingress=[rule([pods(namespaces="")])]),),
        (),
    ),
    Case(
        "another namespace only, by its default label",
        (policy("x/p", "pod=a", ingress=[rule([pods(namespaces="kubernetes.io/metadata.name=y")])]),),
        (accepts("x/a", peers="y/"),),
    ),
    Case(
        "one port",
        (policy("x/p", "pod=a", ingress=[rule(ports=["81/TCP"])]),),
        (accepts("x/a", ports="81/TCP"),),
    ),
    Case(
        "stacked policies",
        (
            policy("x/p", "pod=a", ingress=[rule([pods(namespaces="ns=y")], ["80/TCP"])]),
            policy("x/q", "pod=a", ingress=[rule([pods(namespaces="ns=y")], ["81/TCP"])]),
        ),
        (accepts("x/a", peers="y/", ports="80/TCP 81/TCP"),),
    ),
    Case(
        "allow-all ingress goes before a policy that allows less",
        (policy("x/p", ingress=[rule(ports=["81/TCP"])]), policy("x/q", ingress=[rule()])),
        (),
    ),
    Case(
        "a named port",
        (policy("x/p", ingress=[rule(ports=["serve-81-tcp/TCP"])]),),
        (accepts("x/", ports="81/TCP"),),
    ),
    Case(
        "a named port from a namespace",
        (policy("x/p", "pod=a", ingress=[rule([pods(namespaces="ns=y")], ["serve-80-tcp/TCP"])]),),
        (accepts("x/a", peers="y/", ports="80/TCP"),),
    ),
    Case(
        "any port of one protocol",
        (policy("x/p", "pod=a", ingress=[rule(ports=["*/UDP"])]),),
        (accepts("x/a", ports="80/UDP 81/UDP"),),
    ),
    Case(
        "TCP is refused when only UDP is allowed",
        (policy("x/p", "pod=a", ingress=[rule(ports=["80/UDP"])]),),
        (accepts("x/a", ports="80/UDP"),),
    ),
    Case(
        "SCTP is not TCP",
        (policy("x/p", "pod=a", ingress=[rule(ports=["80/SCTP"])]),),
        (accepts("x/a", ports="80/SCTP"),),
    ),
    Case(
        "a range with endPort",
        (policy("x/p", "pod=a", ingress=[rule(ports=["81-90/TCP"])]),),
        (accepts("x/a", ports="81/TCP"),),
    ),
    Case(
        "updated labels of a peer pod",
        (policy("x/p", "pod=a", ingress=[rule([pods("updated=yes")])]),),
        (accepts("x/a", peers="x/b"),),
        labels=(("x/b", "pod=b updated=yes"),),
    ),
    Case(
        "updated labels of a namespace",
        (policy("x/p", "pod=a", ingress=[rule([pods(namespaces="updated=yes")])]),),
        (accepts("x/a", peers="y/"),),
        labels=(("y", "ns=y updated=yes"),),
    ),
    Case(
        "updated labels of the target",
        (policy("x/p", "target=isolated", ingress=[rule([pods("pod=b")])]),),
        (accepts("x/a", peers="x/b"),),
        labels=(("x/a", "pod=a target=isolated"),),
    ),
]

EGRESS_CASES = [
    Case(
        "egress to a pod",
        (policy("x/p", "pod=a", egress=[rule([pods("pod=b")])], directions=EGRESS),),
        (sends("x/a", peers="x/b"),),
    ),
    Case(
        "egress to a namespace",
        (policy("x/p", "pod=a", egress=[rule([pods(namespaces="ns=y")])], directions=EGRESS),),
        (sends("x/a", peers="y/"),),
    ),
    Case(
        "egress to a namespace by its default label",
        (policy("x/p", "pod=a", egress=[rule([pods(namespaces="kubernetes.io/metadata.name=y")])], directions=EGRESS),),
        (sends("x/a", peers="y/"),),
    ),
    Case(
        "egress to a named port",
        (policy("x/p", "pod=a", egress=[rule(ports=["serve-80-tcp/TCP"])], directions=EGRESS),),
        (sends("x/a", ports="80/TCP"),),
    ),
    Case(
        "egress to a CIDR",
        (policy("x/p", "pod=a", egress=[rule([block(f"{ADDRESSES['y/b']}/32")])], directions=EGRESS),),
        (sends("x/a", peers="y/b"),),
    ),
    Case(
        "egress to a CIDR with an exception",
        (policy("x/p", "pod=a", egress=[rule([block("10.0.1.0/24", f"{ADDRESSES['y/b']}/32")])], directions=EGRESS),),
        (sends("x/a", peers="y/a y/c"),),
    ),
    Case(
        "an address of an exception that another policy's CIDR holds is allowed",
        (
            policy("x/p", "pod=a", egress=[rule([block("10.0.1.0/24", f"{ADDRESSES['y/b']}/32")])], directions=EGRESS),
            policy("x/q", "pod=a", egress=[rule([block(f"{ADDRESSES['y/b']}/32")])], directions=EGRESS),
        ),
        (sends("x/a", peers="y/"),),
    ),
    Case(
        "allow-all egress goes before a policy that allows less",
        (
            policy("x/p", egress=[rule(ports=["80/TCP"])], directions=EGRESS),
            policy("x/q", egress=[rule()], directions=EGRESS),
        ),
        (),
    ),
    Case(
        "the client's denial stands against the server's allowance",
        (
            policy("x/p", "pod=a", directions=EGRESS),
            policy("y/q", "pod=a", ingress=[rule([pods("pod=a", namespaces="ns=x")])]),
        ),
        (sends("x/a", peers=""), accepts("y/a", peers="x/a")),
    ),
    Case(
        "ingress and egress are controlled independently",
        (
            policy("x/in", "pod=a", ingress=[rule([pods(namespaces="ns=y")])]),
            policy("x/out", "pod=a", egress=[rule([pods(namespaces="ns=z")])], directions=EGRESS),
        ),
        (accepts("x/a", peers="y/"), sends("x/a", peers="z/")),
    ),
    Case(
        "ingress and egress in one policy, egress limited to one port",
        (policy("x/p", "pod=a", ingress=[rule()], egress=[rule(ports=["80/TCP"])], directions=BOTH),),
        (sends("x/a", ports="80/TCP"),),
    ),
]


@pytest.mark.parametrize("case", BETA_CASES, ids=str)
def test_b14_the_suite_of_1_4_to_1_6(case: Case) -> None:
    assert outcome(case) == expected(case)


@pytest.mark.parametrize("case", [*INGRESS_CASES, *EGRESS_CASES], ids=str)
def test_1_4_the_netpol_suite(case: Case) -> None:
    assert outcome(case) == expected(case)


def test_1_4_nothing_is_enforced_once_the_policy_is_deleted() -> None:
    assert outcome(Case("deleted", (), ())) == set()
