"""Random worlds: whole snapshots from small vocabularies, so that things collide and match often.

What a world says can also be said in manifests (`world_manifests`), except that it may
lack the label every API server puts on a namespace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product

from builders import BOTH, EGRESS, INGRESS, address, port
from hypothesis import strategies as st

from netpol.model.labels import EVERYTHING, Operator, Requirement, Selector
from netpol.model.networks import Address, IPBlock, Network, parse_network
from netpol.model.objects import ContainerPort, Namespace, Node, Pod
from netpol.model.policies import Peer, PodPeer, Policy, PolicyRule, Semantics
from netpol.model.ports import PortEntry, Protocol
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import AuditLevel, DenyAction, Enforcement

NODE_NAMES = ("n1", "n2", "n3")
NAMESPACE_NAMES = ("red", "green", "blue", "grey")
_CROWDED = ("red", "red", "red", "green", "green", *NAMESPACE_NAMES)
"""Most objects share a namespace or two: a policy that meets no pod says little."""
NAME_LABEL = "kubernetes.io/metadata.name"

NODE_ADDRESSES = {
    name: (address(f"192.0.2.{10 + index}"), address(f"2001:db8::{10 + index}"))
    for index, name in enumerate(NODE_NAMES)
}
POD_CIDRS = {
    name: (parse_network(f"10.0.0.{8 * index}/29"), parse_network(f"fd00::{8 * index:x}/125"))
    for index, name in enumerate(NODE_NAMES)
}
EXTERNAL_ADDRESSES = tuple(
    map(address, ("10.0.0.200", "10.9.0.1", "198.51.100.7", "203.0.113.9", "2001:db8:7::7", "fd00:9::1", "fe80::1"))
)
"""Addresses of nobody: inside and outside the blocks that rules name."""

# --- labels

_KEYS, _VALUES = ("app", "tier"), ("x", "y")
_LABELS = tuple(
    {key: value for key, value in zip(_KEYS, values, strict=True) if value}
    for values in ((a, b) for a in (*_VALUES, "") for b in (*_VALUES, ""))
)
_CHOICES = tuple(frozenset(choice) for size in (1, 2) for choice in combinations(_VALUES, size))


def _requirements(key: str, choices: Sequence[frozenset[str]]) -> tuple[Requirement, ...]:
    return (
        *(Requirement(key, operator, choice) for operator in (Operator.IN, Operator.NOT_IN) for choice in choices),
        *(Requirement(key, operator) for operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST)),
    )


_POD_REQUIREMENTS = tuple(each for key in _KEYS for each in _requirements(key, _CHOICES))
_NAME_REQUIREMENTS = _requirements(NAME_LABEL, [frozenset(names) for names in combinations(NAMESPACE_NAMES, 2)])


def _selectors(requirements: Sequence[Requirement]) -> st.SearchStrategy[Selector]:
    single = st.sampled_from([Selector.of([each]) for each in requirements])
    double = st.sampled_from([Selector.of(pair) for pair in combinations(requirements, 2)])
    return st.one_of(st.just(EVERYTHING), single, single, double)


POD_SELECTORS = _selectors(_POD_REQUIREMENTS)
NAMESPACE_SELECTORS = _selectors((*_POD_REQUIREMENTS, *_NAME_REQUIREMENTS))

# --- objects


def _subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Every non-empty subset, the full one first, which is what a failing example shrinks to."""
    return [subset for size in range(len(names), 0, -1) for subset in combinations(names, size)]


_ENFORCEMENTS = st.sampled_from((Enforcement.ENFORCE,) * 3 + (Enforcement.AUDIT,))


def _namespaces(name: str) -> st.SearchStrategy[Namespace | None]:
    """The namespace; None where it has pods and policies at most, and is not known (X2)."""
    named = [labels | {NAME_LABEL: name} for labels in _LABELS]
    known = st.builds(
        Namespace,
        st.just(name),
        st.sampled_from([*named, *_LABELS[:3]]),
        st.booleans(),
        _ENFORCEMENTS,
        st.sampled_from((None, None, *AuditLevel)),
        st.sampled_from((None, None, *DenyAction)),
    )
    return st.one_of(*[known] * 7, st.none())


def _nodes(name: str) -> st.SearchStrategy[Node | None]:
    """The node; None where pods are on it at most, and nothing else is known of it."""
    both, ranges = NODE_ADDRESSES[name], POD_CIDRS[name]
    kinds = [Node(name, own, cidrs) for own in (both, both[:1], ()) for cidrs in (ranges, ranges[1:], ())]
    return st.sampled_from([*kinds, None, None])


_CONTAINER_PORTS = tuple(
    ContainerPort(name, protocol, number)
    for name, protocol, number in (
        ("web", Protocol.TCP, 80),
        ("web", Protocol.TCP, 81),
        ("web", Protocol.UDP, 80),
        ("web", Protocol.SCTP, 80),
        ("dns", Protocol.UDP, 53),
        ("dns", Protocol.TCP, 53),
    )
)
_CREATION_TIMES = (
    "",
    "2024-05-01T10:00:00.000000Z",
    "2024-05-01T10:00:00.500000Z",
    "2024-06-01T00:00:00.000000Z",
)
_STRANGERS = (3, 11, 19)
"""Numbers of one address in each node's range, which pods of every node may have."""


def _pod_addresses(node: str) -> list[tuple[Address, ...]]:
    """Both families, one, or none; of the node's range or, at times, of another's."""
    start = 8 * NODE_NAMES.index(node) if node in NODE_NAMES else 0
    v4, v6 = (
        [address(f"{prefix}{number:{style}}") for number in (*range(start + 2, start + 7), *_STRANGERS)]
        for prefix, style in (("10.0.0.", "d"), ("fd00::", "x"))
    )
    return [*product(v4, v6), *((each,) for each in v4 + v6), *product(v6[:3], v4[:3]), (), ()]


_PLACES = [(node, addresses) for node in (NODE_NAMES[0], *NODE_NAMES, "") for addresses in _pod_addresses(node)]
_PODS = st.builds(
    Pod,
    namespace=st.sampled_from(_CROWDED),
    name=st.just("pod"),
    labels=st.sampled_from(_LABELS),
    finished=st.sampled_from((False,) * 9 + (True,)),
    host_network=st.sampled_from((False,) * 9 + (True,)),
    ports=st.sampled_from([each for size in (1, 2, 3, 0) for each in combinations(_CONTAINER_PORTS, size)]),
    created=st.sampled_from(_CREATION_TIMES),
    workload=st.sampled_from(("", "Deployment/web", "StatefulSet/db")),
)


def _placed(pod: Pod, name: str, place: tuple[str, tuple[Address, ...]]) -> Pod:
    """The pod with a name and a place; in its node's network it has the node's addresses."""
    node, addresses = place
    host_network = pod.host_network and bool(node)
    own = NODE_ADDRESSES[node] if host_network else addresses
    return replace(pod, name=name, uid=f"uid-of-{name}", node=node, addresses=own, host_network=host_network)


# --- policies

_NETWORKS = tuple(
    map(
        parse_network,
        (
            *("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/29", "10.0.0.4/30"),
            *("10.0.0.3/32", "10.0.0.11/32", "192.0.2.0/24", "192.0.2.10/32", "198.51.100.0/24", "198.51.100.7/32"),
            *("::/0", "::/1", "8000::/1", "fd00::/16", "fd00::/64", "fd00::/125", "fd00::3/128", "fd00::b/128"),
            *("2001:db8::/32", "2001:db8::a/128", "fe80::/10"),
        ),
    )
)


def _blocks(network: Network) -> st.SearchStrategy[IPBlock]:
    inside = [
        other
        for other in _NETWORKS
        if other.version == network.version and other.prefixlen > network.prefixlen and other.network_address in network
    ]
    holes = [frozenset(chosen) for size in range(4) for chosen in combinations(inside, size)]
    return st.sampled_from([IPBlock(network, chosen) for chosen in holes])


_BLOCKS = st.one_of([_blocks(network) for network in _NETWORKS])


def _entries(whats: Sequence[str], *protocols: Protocol) -> list[PortEntry]:
    return [port(f"{what}/{protocol.value}") for what in whats for protocol in protocols]


_BETA_ENTRIES = [
    *_entries(("80", "81", "53", "*", "absent"), Protocol.TCP, Protocol.UDP),
    *_entries(("web", "dns") * 2, Protocol.TCP, Protocol.UDP),
]
_LATER_ENTRIES = [
    *_entries(("79-80", "81-90", "1-65535"), Protocol.TCP, Protocol.UDP, Protocol.SCTP),
    *_entries(("80", "*", "web"), Protocol.SCTP),
]
_MANY_ENTRIES = tuple(
    _entries([*map(str, range(1, 28, 2)), *map(str, range(52, 54)), *map(str, range(79, 81)), "91", "95"], Protocol.TCP)
)
"""More than one multiport match can hold, where a range takes the last place and one too many."""


def _port_lists(entries: Sequence[PortEntry]) -> st.SearchStrategy[tuple[PortEntry, ...] | None]:
    few = [each for size in range(3) for each in combinations(entries, size)]
    return st.one_of(st.none(), st.sampled_from(few), st.sampled_from(few), st.just(_MANY_ENTRIES))


def _peer_lists(peers: st.SearchStrategy[Peer]) -> st.SearchStrategy[tuple[Peer, ...] | None]:
    return st.one_of(st.none(), st.none(), *(st.tuples(*[peers] * count) for count in (1, 2, 3, 0)))


def _rules(namespace: str, semantics: Semantics) -> st.SearchStrategy[tuple[PolicyRule, ...]]:
    own = POD_SELECTORS.map(lambda selector: PodPeer(selector, namespace))
    whole = NAMESPACE_SELECTORS.map(lambda selector: PodPeer(namespace_selector=selector))
    some = st.builds(PodPeer, POD_SELECTORS, st.none(), NAMESPACE_SELECTORS)
    peers: list[st.SearchStrategy[Peer]] = [own, whole]
    entries = _BETA_ENTRIES
    if semantics is Semantics.V1:
        peers += [some, _BLOCKS, _BLOCKS]
        entries = _BETA_ENTRIES + _LATER_ENTRIES
    rule = st.tuples(_peer_lists(st.one_of(peers)), _port_lists(entries))
    return st.one_of(*(st.tuples(*[rule] * count) for count in (1, 2, 3, 0))).map(_numbered)


def _numbered(rules: Sequence[tuple[tuple[Peer, ...] | None, tuple[PortEntry, ...] | None]]) -> tuple[PolicyRule, ...]:
    return tuple(PolicyRule(index, peers, ports) for index, (peers, ports) in enumerate(rules))


def _policies(namespace: str, semantics: Semantics) -> st.SearchStrategy[Policy]:
    """A policy of the namespace; one that does not isolate for a direction may have rules for it (V2)."""
    rules = _rules(namespace, semantics)
    no_rules: st.SearchStrategy[tuple[PolicyRule, ...]] = st.just(())
    is_v1 = semantics is Semantics.V1
    return st.builds(
        Policy,
        namespace=st.just(namespace),
        name=st.just("policy"),
        pods=POD_SELECTORS,
        directions=st.sampled_from([BOTH, INGRESS, EGRESS] if is_v1 else [INGRESS]),
        ingress=rules,
        egress=rules if is_v1 else no_rules,
        semantics=st.just(semantics),
        generation=st.integers(0, 3),
        enforcement=_ENFORCEMENTS,
    )


_ANY_POLICY = st.one_of(
    [_policies(name, kind) for kind in (Semantics.V1, Semantics.V1, Semantics.ANNOTATION) for name in _CROWDED]
)

# --- worlds


def snapshots(*, max_pods: int = 10, max_policies: int = 8) -> st.SearchStrategy[Snapshot]:
    """Whole worlds."""
    return st.builds(
        _world,
        st.tuples(*map(_namespaces, NAMESPACE_NAMES)),
        st.lists(st.tuples(_PODS, st.sampled_from(_PLACES)), min_size=1, max_size=max_pods),
        st.tuples(*map(_nodes, NODE_NAMES)),
        st.lists(_ANY_POLICY, max_size=max_policies),
    )


def _world(
    namespaces: Sequence[Namespace | None],
    pods: Sequence[tuple[Pod, tuple[str, tuple[Address, ...]]]],
    nodes: Sequence[Node | None],
    policies: Sequence[Policy],
) -> Snapshot:
    return Snapshot.of(
        [namespace for namespace in namespaces if namespace],
        [_placed(pod, f"pod-{index}", place) for index, (pod, place) in enumerate(pods)],
        [node for node in nodes if node],
        [
            replace(policy, name=f"policy-{index}", uid=f"uid-of-policy-{index}")
            for index, policy in enumerate(policies)
        ],
    )


def own_addresses(snapshot: Snapshot, node: str) -> frozenset[Address]:
    """The addresses that are a node's own: those it states, and those of what runs in its network."""
    stated = snapshot.nodes[node].addresses if node in snapshot.nodes else ()
    hosts = (pod for pod in snapshot.pods.values() if pod.node == node and pod.host_network and not pod.finished)
    return frozenset(stated).union(*(pod.addresses for pod in hosts))


def all_addresses(snapshot: Snapshot) -> tuple[Address, ...]:
    """Every address of the world, and some of nobody, in a fixed order."""
    inside = {each for pod in snapshot.pods.values() for each in pod.addresses}
    nodes = {each for name in NODE_NAMES for each in own_addresses(snapshot, name)}
    return tuple(sorted(inside | nodes | set(EXTERNAL_ADDRESSES), key=lambda each: (each.version, int(each))))
