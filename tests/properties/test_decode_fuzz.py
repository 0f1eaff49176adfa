"""Whatever manifests say, reading them ends in a snapshot or in an InputError, and never in a wider policy."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from netpol.errors import InputError
from netpol.model.networks import IPBlock
from netpol.model.notices import Notice
from netpol.model.policies import Direction, Peer, Policy, PolicyRule, Semantics
from netpol.model.ports import NamedPort, PortEntry, Protocol
from netpol.settings import PolicyOptions
from netpol.source.fields import FieldPath, Malformed
from netpol.source.manifests import load
from netpol.source.objects import decode_namespace, decode_node, decode_pod
from netpol.source.policies import decode_policy

BETA, V1 = Semantics.ANNOTATION, Semantics.V1

# --- reading anything

WORDS = (
    "apiVersion", "kind", "metadata", "name", "namespace", "labels", "spec", "status", "items", "podSelector",
    "matchLabels", "matchExpressions", "key", "operator", "values", "In", "Exists", "ingress", "egress", "policyTypes",
    "from", "to", "ports", "port", "endPort", "protocol", "ipBlock", "cidr", "except", "podIP", "podIPs", "ip",
    "containers", "v1", "Pod", "Namespace", "Node", "NetworkPolicy", "List", "PodList", "networking.k8s.io/v1",
    "extensions/v1beta1", "10.0.0.0/8", "10.0.0.1", "TCP", "Ingress", "Egress", "a",
)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=5)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)
TOKENS = st.sampled_from([
    *WORDS, "\n", "\n  ", "\n- ", ": ", ", ", "{", "}", "[", "]", "&a ", "*a", "<<: ", "---\n", "...\n", "!!str ",
    "!x ", "|\n", "'", '"', "\\", "#", "%", "? ", "\t", "\r", "\x00", "\ufeff", "\x85", "é", "1e9", "0x", "-.inf",
])  # fmt: skip
OBJECTS = st.fixed_dictionaries(
    {
        "apiVersion": st.sampled_from(["v1", "networking.k8s.io/v1", "extensions/v1beta1"]),
        "kind": st.sampled_from(["Pod", "Namespace", "Node", "NetworkPolicy", "List", "NetworkPolicyList"]),
    },
    optional={"metadata": VALUES, "spec": VALUES, "status": VALUES, "items": VALUES},
)


def read(name: str, content: bytes) -> None:
    """Load a file of this content; only an InputError, of one line for each problem, may come of it."""
    with TemporaryDirectory() as directory:
        file = Path(directory, name)
        file.write_bytes(content)
        for problem in problems_of(file):
            assert problem.startswith(str(file))
            assert problem.isprintable()


def problems_of(file: Path) -> tuple[str, ...]:
    try:
        load(file, PolicyOptions())
    except InputError as error:
        return error.problems or ("an error that names no problem",)
    return ()


@given(st.sampled_from(["a.yaml", "a.json"]), st.binary(max_size=80))
def test_any_bytes(name: str, content: bytes) -> None:
    read(name, content)


@given(st.sampled_from(["a.yaml", "a.json"]), st.lists(TOKENS, max_size=40))
def test_any_text_that_looks_like_yaml(name: str, tokens: list[str]) -> None:
    read(name, "".join(tokens).encode())


@given(st.lists(OBJECTS, max_size=3))
def test_any_objects_in_either_format(objects: list[Any]) -> None:
    read("a.yaml", yaml.safe_dump_all(objects, allow_unicode=True).encode())
    for value in objects:
        read("a.json", json.dumps(value).encode())


@given(VALUES, VALUES, VALUES, st.booleans())
def test_any_object_decodes_or_is_malformed(metadata: Any, spec: Any, status: Any, strict: bool) -> None:
    for fields in ({"metadata": metadata}, {"metadata": {"name": "a"}}):
        for decode in (decode_pod, decode_node):
            with suppress(Malformed):
                decode({**fields, "spec": spec, "status": status})
        with suppress(Malformed):
            decode_namespace(fields, strict_annotations=strict)


@given(st.one_of(VALUES, st.dictionaries(st.sampled_from(["podSelector", "ingress", "egress", "policyTypes"]), VALUES)))
def test_any_spec_is_a_policy_that_isolates(spec: Any) -> None:
    for semantics in Semantics:
        policy, notices = decoded(spec, semantics)
        assert policy.directions
        assert all(str(notice).isprintable() for notice in notices)


# --- never wider


def decoded(spec: Any, semantics: Semantics) -> tuple[Policy, tuple[Notice, ...]]:
    return decode_policy({"metadata": {"namespace": "x", "name": "p"}, "spec": spec}, semantics)


LABELS = [{}, {"app": "web"}, {"app": "db"}, {"app": "web", "tier": "a"}]
PODS = [(namespace, labels) for namespace in ("x", "y") for labels in LABELS]
NAMESPACE_LABELS = {"x": {"team": "a"}, "y": {"team": "b"}}
ADDRESSES = [ip_address(text) for text in ("10.0.0.1", "10.1.0.1", "192.0.2.1", "fd00::1", "2001:db8::1")]
PORTS = list(product((Protocol.TCP, Protocol.UDP, Protocol.SCTP), (1, 80, 85, 65535)))
NAMES = {("http", Protocol.TCP): 80, ("dns", Protocol.UDP): 85}

Probe = tuple[int, int, int]
"""The indices of a selected pod's labels, of the other end (pods, then addresses), and of a port; the last is ICMP."""


def probes(policy: Policy, rules: tuple[PolicyRule, ...]) -> frozenset[Probe]:
    """The connections that these rules of the policy allow to, or from, the pods it selects."""
    return frozenset(
        (subject, end, port)
        for subject, labels in enumerate(LABELS)
        if policy.pods.matches(labels)
        for end in range(len(PODS) + len(ADDRESSES))
        for port in range(len(PORTS) + 1)
        if any(rule_allows(rule, end, port) for rule in rules)
    )


def rule_allows(rule: PolicyRule, end: int, port: int) -> bool:
    return (rule.peers is None or any(peer_is(peer, end) for peer in rule.peers)) and (
        rule.ports is None or (port < len(PORTS) and any(entry_is(entry, *PORTS[port]) for entry in rule.ports))
    )


def peer_is(peer: Peer, end: int) -> bool:
    if isinstance(peer, IPBlock):
        return end >= len(PODS) and ADDRESSES[end - len(PODS)] in peer
    if end >= len(PODS):
        return False
    namespace, labels = PODS[end]
    return peer.pods.matches(labels) and (
        peer.namespace == namespace
        if peer.namespace_selector is None
        else peer.namespace_selector.matches(NAMESPACE_LABELS[namespace])
    )


def entry_is(entry: PortEntry, protocol: Protocol, number: int) -> bool:
    if isinstance(entry, NamedPort):
        return entry.protocol is protocol and NAMES.get((entry.name, protocol)) == number
    return entry.protocol is protocol and number in entry.ports


EXPRESSIONS = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["app", "tier", "team"]),
        "operator": st.sampled_from(["In", "NotIn"]),
        "values": st.lists(st.sampled_from(["web", "db", "a"]), min_size=1, max_size=2),
    }
) | st.fixed_dictionaries(
    {"key": st.sampled_from(["app", "tier", "team"]), "operator": st.sampled_from(["Exists", "DoesNotExist"])}
)
SELECTORS = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(
            st.sampled_from(["app", "tier"]), st.sampled_from(["web", "db", "a"]), max_size=2
        ),
        "matchExpressions": st.lists(EXPRESSIONS, max_size=2),
    },
)
POD_PEERS = st.fixed_dictionaries({"podSelector": SELECTORS}) | st.fixed_dictionaries({"namespaceSelector": SELECTORS})
BLOCKS = st.fixed_dictionaries(
    {
        "ipBlock": st.sampled_from(
            [
                {"cidr": "0.0.0.0/0"},
                {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]},
                {"cidr": "::/0", "except": ["fd00::/8", "2001:db8::/64"]},
            ]
        )
    }
)
BETA_PORTS = st.fixed_dictionaries(
    {},
    optional={"protocol": st.sampled_from(["TCP", "UDP"]), "port": st.sampled_from([1, 80, 65535, "http", "dns"])},
)
V1_PORTS = BETA_PORTS | st.fixed_dictionaries(
    {"port": st.sampled_from([1, 80]), "endPort": st.sampled_from([80, 90])},
    optional={"protocol": st.sampled_from(["TCP", "UDP", "SCTP"])},
)


def rules(peer_field: str, peers: st.SearchStrategy[Any], ports: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(
        st.fixed_dictionaries(
            {}, optional={peer_field: st.lists(peers, max_size=3), "ports": st.lists(ports, max_size=3)}
        ),
        max_size=3,
    )


BETA_SPECS = st.fixed_dictionaries(
    {}, optional={"podSelector": SELECTORS, "ingress": rules("from", POD_PEERS, BETA_PORTS)}
)
V1_PEERS = POD_PEERS | BLOCKS | st.fixed_dictionaries({"podSelector": SELECTORS, "namespaceSelector": SELECTORS})
V1_SPECS = st.fixed_dictionaries(
    {},
    optional={
        "podSelector": SELECTORS,
        "ingress": rules("from", V1_PEERS, V1_PORTS),
        "egress": rules("to", V1_PEERS, V1_PORTS),
        "policyTypes": st.sampled_from([[], ["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
    },
)
SPECS = st.tuples(st.just(BETA), BETA_SPECS) | st.tuples(st.just(V1), V1_SPECS)

WRONG = st.sampled_from(
    [1.5, True, -1, 10**30, "not valid!", ["not valid!"], [None], {"not valid!": 1}, {"not valid!": {}}]
)
"""Values that no field of a spec can have."""


def paths(value: Any, at: FieldPath = ()) -> Iterator[FieldPath]:
    """The path of every value in a spec, its own first."""
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*at, index))


def at_path(value: Any, path: FieldPath) -> Any:
    for step in path:
        value = value[step]
    return value


@st.composite
def replaced(draw: st.DrawFn, spec: Any) -> tuple[FieldPath, Any]:
    """The spec with one value, at any depth, replaced by one that its field cannot have."""
    path = draw(st.sampled_from(list(paths(spec))))
    wrong = draw(WRONG)
    if not path:
        return path, wrong if not isinstance(wrong, dict) else [wrong]
    at_path(spec, path[:-1])[path[-1]] = wrong
    return path, spec


@st.composite
def with_junk_entry(draw: st.DrawFn, spec: Any) -> tuple[FieldPath, Any]:
    """The spec with an entry that is none put anywhere into one of its lists."""
    lists = [path for path in paths(spec) if isinstance(at_path(spec, path), list)]
    if not lists:
        return draw(replaced(spec))
    path = draw(st.sampled_from(lists))
    entries = at_path(spec, path)
    entries.insert(draw(st.integers(0, len(entries))), draw(WRONG | st.none()))
    return path, spec


@st.composite
def with_misspelt_key(draw: st.DrawFn, spec: Any) -> tuple[FieldPath, Any]:
    """The spec with one key below its own misspelt; the keys of matchLabels are the author's own."""
    keys = [
        path for path in paths(spec) if len(path) > 1 and isinstance(path[-1], str) and "matchLabels" not in path[:-1]
    ]
    if not keys:
        return draw(replaced(spec))
    path = draw(st.sampled_from(keys))
    parent = at_path(spec, path[:-1])
    parent[f"{path[-1]}s"] = parent.pop(path[-1])
    return path, spec


@given(st.data(), SPECS)
def test_no_mistake_makes_a_policy_wider(data: st.DataObject, chosen: tuple[Semantics, Any]) -> None:
    """It isolates all the pods it did, for all directions it did, allows nothing it did not, and is noticed.

    Its types are the one part whose loss makes rules count that were inert: both directions are isolated then.
    """
    semantics, spec = chosen
    right, notices = decoded(spec, semantics)
    assert notices == ()
    mistake = data.draw(st.sampled_from([replaced, with_junk_entry, with_misspelt_key]))
    path, mutated = data.draw(mistake(copy.deepcopy(spec)))
    wrong, notices = decoded(mutated, semantics)

    assert notices
    assert wrong.directions >= right.directions
    assert all(wrong.pods.matches(labels) for labels in LABELS if right.pods.matches(labels))
    of_types = path[:1] == ("policyTypes",)
    for direction in Direction:
        before = getattr(right, direction.value) if of_types else right.rules(direction)
        assert probes(wrong, wrong.rules(direction)) <= probes(right, before)
