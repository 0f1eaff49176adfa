"""Whatever manifests say, reading them ends in a snapshot or in an InputError, and never in a wider policy."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from itertools import chain, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from netpol.errors import InputError
from netpol.model.facts import Kind
from netpol.model.networks import IPBlock
from netpol.model.notices import Notice
from netpol.model.policies import Direction, Peer, Policy, PolicyRule, Semantics
from netpol.model.ports import NamedPort, PortEntry, Protocol
from netpol.settings import PolicyOptions
from netpol.source.endpoints import decode_endpoint_slice, decode_endpoints
from netpol.source.fields import FieldPath, Malformed
from netpol.source.manifests import load
from netpol.source.objects import decode_namespace, decode_node, decode_pod
from netpol.source.policies import decode_policy
from netpol.source.services import decode_service

BETA, V1 = Semantics.ANNOTATION, Semantics.V1

# --- reading anything

WORDS = (
    "apiVersion", "kind", "metadata", "name", "namespace", "labels", "spec", "status", "items", "podSelector",
    "matchLabels", "matchExpressions", "key", "operator", "values", "In", "Exists", "ingress", "egress", "policyTypes",
    "from", "to", "ports", "port", "endPort", "protocol", "ipBlock", "cidr", "except", "podIP", "podIPs", "ip",
    "containers", "v1", "Pod", "Namespace", "Node", "NetworkPolicy", "List", "PodList", "networking.k8s.io/v1",
    "extensions/v1beta1", "10.0.0.0/8", "10.0.0.1", "TCP", "Ingress", "Egress", "a", "Service", "EndpointSlice",
    "Endpoints", "discovery.k8s.io/v1",
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
        "apiVersion": st.sampled_from(["v1", "networking.k8s.io/v1", "extensions/v1beta1", "discovery.k8s.io/v1"]),
        "kind": st.sampled_from(
            ["Pod", "Namespace", "Node", "NetworkPolicy", "Service", "Endpoints", "EndpointSlice", "List", "PodList"]
        ),
    },
    optional=dict.fromkeys(("metadata", "spec", "status", "items", "endpoints", "ports", "subsets"), VALUES),
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
        load(file, PolicyOptions(), list(Kind))
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
        for decode in (decode_pod, decode_node, decode_service):
            with suppress(Malformed):
                decode({**fields, "spec": spec, "status": status})
        for decode_parts in (decode_endpoint_slice, decode_endpoints):
            with suppress(Malformed):
                decode_parts({**fields, "endpoints": spec, "ports": status, "subsets": spec})
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
    subjects = [index for index, labels in enumerate(LABELS) if policy.pods.matches(labels)]
    return frozenset(chain.from_iterable(product(subjects, ends_of(rule), ports_of(rule)) for rule in rules))


def ends_of(rule: PolicyRule) -> list[int]:
    ends = range(len(PODS) + len(ADDRESSES))
    return [end for end in ends if rule.peers is None or any(peer_is(peer, end) for peer in rule.peers)]


def ports_of(rule: PolicyRule) -> list[int]:
    if rule.ports is None:
        return list(range(len(PORTS) + 1))
    return [index for index, port in enumerate(PORTS) if any(entry_is(entry, *port) for entry in rule.ports)]


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
    part: dict[str, st.SearchStrategy[Any]] = {
        peer_field: st.lists(peers, min_size=1, max_size=2) | st.just([]),
        "ports": st.lists(ports, min_size=1, max_size=2) | st.just([]),
    }
    one_part = st.fixed_dictionaries({peer_field: part[peer_field]}) | st.fixed_dictionaries({"ports": part["ports"]})
    return st.lists(one_part | st.fixed_dictionaries(part) | st.just({}), min_size=1, max_size=2)


V1_PEERS = POD_PEERS | BLOCKS | st.fixed_dictionaries({"podSelector": SELECTORS, "namespaceSelector": SELECTORS})
TYPES = st.sampled_from([[], ["Ingress"], ["Egress"], ["Ingress", "Egress"]])
BETA_SPECS = st.fixed_dictionaries(
    {"ingress": rules("from", POD_PEERS, BETA_PORTS)}, optional={"podSelector": SELECTORS}
)
V1_SPECS = st.fixed_dictionaries(
    {"ingress": rules("from", V1_PEERS, V1_PORTS)},
    optional={"podSelector": SELECTORS, "egress": rules("to", V1_PEERS, V1_PORTS), "policyTypes": TYPES},
)
SPECS = st.tuples(st.just(V1), V1_SPECS) | st.tuples(st.just(BETA), BETA_SPECS)

EVERY_FIELD = {
    "podSelector": {"matchLabels": {"app": "web"}},
    "policyTypes": ["Ingress", "Egress"],
    "ingress": [
        {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 80}]},
        {
            "from": [
                {
                    "podSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a"]}]},
                    "namespaceSelector": {"matchLabels": {"team": "b"}},
                }
            ],
            "ports": [{"protocol": "SCTP", "port": 80, "endPort": 90}],
        },
    ],
    "egress": [
        {
            "to": [{"podSelector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}}],
            "ports": [{"protocol": "UDP", "port": "dns"}],
        }
    ],
}

WRONG_VALUES = [1.5, True, -1, 10**30, "not valid!", ["not valid!"], [None], {"not valid!": 1}, {"not valid!": {}}]
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


def changed(spec: Any, path: FieldPath) -> tuple[Any, Any]:
    """A copy of the spec, and in it what holds the value at `path`."""
    copied = copy.deepcopy(spec)
    return copied, at_path(copied, path[:-1])


def replacements(spec: Any, wrong: Any) -> Iterator[tuple[FieldPath, Any]]:
    """The spec with each of its values, one at a time, replaced by a wrong one."""
    yield (), [wrong]
    for path in paths(spec):
        if path:
            copied, parent = changed(spec, path)
            parent[path[-1]] = wrong
            yield path, copied


def junk_entries(spec: Any, junk: Any) -> Iterator[tuple[FieldPath, Any]]:
    """The spec with an entry that is none put before or behind the others of each of its lists."""
    for path in paths(spec):
        if isinstance(at_path(spec, path), list):
            for entries in ([junk, *at_path(spec, path)], [*at_path(spec, path), junk]):
                copied, parent = changed(spec, path)
                parent[path[-1]] = entries
                yield path, copied


def misspellings(spec: Any) -> Iterator[tuple[FieldPath, Any]]:
    """The spec with each key below its own misspelt; the keys of matchLabels are the author's own."""
    for path in paths(spec):
        if len(path) > 1 and isinstance(path[-1], str) and "matchLabels" not in path[:-1]:
            copied, parent = changed(spec, path)
            parent[f"{path[-1]}s"] = parent.pop(path[-1])
            yield path, copied


def assert_no_mistake_widens(spec: Any, semantics: Semantics, wrong: Any, junk: Any) -> None:
    """With any one mistake the policy isolates at least as it did, allows nothing it did not, and is noticed.

    Its types are the one part whose loss makes rules count that were inert: both directions are isolated then.
    """
    right, notices = decoded(spec, semantics)
    assert notices == ()
    for path, mistaken in chain(replacements(spec, wrong), junk_entries(spec, junk), misspellings(spec)):
        found, notices = decoded(mistaken, semantics)
        assert notices
        assert found.directions >= right.directions
        assert all(found.pods.matches(labels) for labels in LABELS if right.pods.matches(labels))
        of_types = path[:1] == ("policyTypes",)
        for direction in Direction:
            before = getattr(right, direction.value) if of_types else right.rules(direction)
            assert probes(found, found.rules(direction)) <= probes(right, before)


@given(SPECS, st.sampled_from(WRONG_VALUES), st.sampled_from([None, *WRONG_VALUES]))
def test_no_mistake_makes_a_policy_wider(chosen: tuple[Semantics, Any], wrong: Any, junk: Any) -> None:
    semantics, spec = chosen
    assert_no_mistake_widens(spec, semantics, wrong, junk)


@pytest.mark.parametrize("wrong", WRONG_VALUES)
def test_no_mistake_in_any_field_there_is_makes_a_policy_wider(wrong: object) -> None:
    assert_no_mistake_widens(EVERY_FIELD, V1, wrong, wrong)
