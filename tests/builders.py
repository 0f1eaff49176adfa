"""Short constructors for worlds in tests: labels, selectors, ports and peers as a person would write them.

    policy("x/allow", pods="app=web", ingress=[rule(peers=[pods("tier=frontend")], ports=["80/TCP"])])

Labels are `"a=b c=d"`; selectors `"a=b,c in (d,e),!f,g"` (as `kubectl get -l` writes them, `""` for
everything); port entries `"80/TCP"`, `"8000-8100/UDP"`, `"*/TCP"` or `"http/TCP"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from netpol.model.labels import Operator, Requirement, Selector
from netpol.model.networks import Address, IPBlock, parse_address, parse_network
from netpol.model.objects import ContainerPort, Namespace, Node, Pod
from netpol.model.policies import Direction, Peer, PodPeer, Policy, PolicyRule, Semantics
from netpol.model.ports import ALL_PORTS, NamedPort, NumericPorts, PortEntry, PortRange, Protocol
from netpol.model.services import EndpointSlice, Service
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Enforcement

INGRESS = frozenset({Direction.INGRESS})
EGRESS = frozenset({Direction.EGRESS})
BOTH = INGRESS | EGRESS

_REQUIREMENT = re.compile(
    r"""\s*(?:
        !(?P<absent>[^\s,=()!]+)
      | (?P<set>[^\s,=()!]+)\s+(?P<word>in|notin)\s+\((?P<values>[^)]*)\)
      | (?P<key>[^\s,=()!]+)\s*=\s*(?P<value>[^\s,]*)
      | (?P<present>[^\s,=()!]+)
    )\s*(?:,|$)""",
    re.VERBOSE,
)


def labels(text: str) -> dict[str, str]:
    """Labels by key.

    >>> labels("app=web tier=frontend")
    {'app': 'web', 'tier': 'frontend'}
    """
    return {key: value for key, _, value in (word.partition("=") for word in text.split())}


def selector(text: str) -> Selector:
    """The selector that `text` writes down.

    >>> str(selector("tier in (a,b), app=web, !old, new"))
    '!old,app=web,new,tier in (a,b)'
    """
    requirements, position = [], 0
    while position < len(text):
        found = _REQUIREMENT.match(text, position)
        if found is None:
            raise ValueError(f"{text!r} is no selector from character {position}")
        requirements.append(_requirement(found))
        position = found.end()
    return Selector.of(requirements)


def _requirement(found: re.Match[str]) -> Requirement:
    if found["absent"]:
        return Requirement(found["absent"], Operator.DOES_NOT_EXIST)
    if found["present"]:
        return Requirement(found["present"], Operator.EXISTS)
    if found["key"]:
        return Requirement(found["key"], Operator.IN, frozenset({found["value"]}))
    operator = Operator.IN if found["word"] == "in" else Operator.NOT_IN
    return Requirement(found["set"], operator, frozenset(value.strip() for value in found["values"].split(",")))


def address(text: str) -> Address:
    """The address `text` names."""
    return parse_address(text)


def namespace(name: str, text: str = "", *, deny: bool = False, under_audit: bool = False) -> Namespace:
    """A namespace with these labels and the one every API server adds (G7).

    `deny` is the annotation (B1), `under_audit` puts all that isolates its pods under audit (X16).
    """
    return Namespace(
        name,
        {"kubernetes.io/metadata.name": name} | labels(text),
        default_deny=deny,
        enforcement=_enforcement(under_audit=under_audit),
    )


def _enforcement(*, under_audit: bool) -> Enforcement:
    return Enforcement.AUDIT if under_audit else Enforcement.ENFORCE


def pod(
    name: str,
    *addresses: str,
    labels: str = "",
    ports: str = "",
    node: str = "",
    host_network: bool = False,
    finished: bool = False,
    created: str = "",
    workload: str = "",
) -> Pod:
    """A pod named `"namespace/name"`; `ports` are `"http=80/TCP dns=53/UDP"`.

    >>> str(pod("x/a", "10.0.0.1", ports="http=80/TCP").ports[0].number)
    '80'
    """
    place, _, own = name.partition("/")
    return Pod(
        place,
        own,
        _labels(labels),
        tuple(map(parse_address, addresses)),
        node,
        host_network,
        finished,
        tuple(map(_container_port, ports.split())),
        uid=f"uid-of-{place}-{own}",
        created=created,
        workload=workload,
    )


_labels = labels  # a parameter of `pod` has this name


def _container_port(text: str) -> ContainerPort:
    name, _, rest = text.partition("=")
    number, _, protocol = rest.partition("/")
    return ContainerPort(name, Protocol(protocol), int(number))


def node(name: str, *addresses: str, pod_cidrs: Iterable[str] = (), zone: str = "") -> Node:
    """A node with these addresses of its own."""
    return Node(name, tuple(map(parse_address, addresses)), tuple(map(parse_network, pod_cidrs)), zone)


def port(text: str) -> PortEntry:
    """A rule's port entry.

    >>> str(port("http/TCP")), str(port("*/UDP")), str(port("80-90/TCP"))
    ('http/TCP', 'every port/UDP', '80-90/TCP')
    """
    what, _, protocol = text.partition("/")
    if what == "*":
        return NumericPorts(Protocol(protocol), ALL_PORTS)
    first, _, last = what.partition("-")
    if first.isdecimal():
        return NumericPorts(Protocol(protocol), PortRange(int(first), int(last or first)))
    return NamedPort(Protocol(protocol), what)


def pods(chosen: str = "", *, namespace: str | None = None, namespaces: str | None = None) -> PodPeer:
    """A peer by pod labels, of one namespace or of all that the selector `namespaces` matches.

    With neither it is the policy's own namespace, which `policy` fills in.
    """
    if namespaces is not None:
        return PodPeer(selector(chosen), namespace_selector=selector(namespaces))
    return PodPeer(selector(chosen), namespace=namespace or "")


def block(network: str, *excepts: str) -> IPBlock:
    """A peer by addresses."""
    return IPBlock(parse_network(network), frozenset(map(parse_network, excepts)))


def rule(peers: Iterable[Peer] | None = None, ports: Iterable[str] | None = None) -> PolicyRule:
    """A rule; None restricts nothing, an empty list matches nothing. `policy` gives it its index."""
    return PolicyRule(
        0,
        None if peers is None else tuple(peers),
        None if ports is None else tuple(map(port, ports)),
    )


def policy(
    name: str,
    pods: str = "",
    *,
    ingress: Sequence[PolicyRule] = (),
    egress: Sequence[PolicyRule] = (),
    directions: frozenset[Direction] | None = None,
    semantics: Semantics = Semantics.V1,
    under_audit: bool = False,
) -> Policy:
    """A policy named `"namespace/name"`; where `directions` is None they follow from the rules, as V2 has it.

    `under_audit` makes a dry run of it (X16).
    """
    place, _, own = name.partition("/")
    return Policy(
        place,
        own,
        selector(pods),
        directions if directions is not None else (BOTH if egress else INGRESS),
        _placed(ingress, place),
        _placed(egress, place),
        semantics,
        uid=f"uid-of-{place}-{own}",
        enforcement=_enforcement(under_audit=under_audit),
    )


def beta(name: str, pods: str = "", *, ingress: Sequence[PolicyRule] = (), under_audit: bool = False) -> Policy:
    """A policy with the semantics of section 1.1."""
    return policy(
        name, pods, ingress=ingress, directions=INGRESS, semantics=Semantics.ANNOTATION, under_audit=under_audit
    )


def _placed(rules: Sequence[PolicyRule], place: str) -> tuple[PolicyRule, ...]:
    return tuple(
        replace(rule, index=index, peers=None if rule.peers is None else tuple(_at_home(p, place) for p in rule.peers))
        for index, rule in enumerate(rules)
    )


def _at_home(peer: Peer, place: str) -> Peer:
    return replace(peer, namespace=place) if isinstance(peer, PodPeer) and peer.namespace == "" else peer


def world(*objects: Namespace | Pod | Node | Policy | Service | EndpointSlice) -> Snapshot:
    """The snapshot that holds these objects, given in any order."""
    return Snapshot.of(
        namespaces=[item for item in objects if isinstance(item, Namespace)],
        pods=[item for item in objects if isinstance(item, Pod)],
        nodes=[item for item in objects if isinstance(item, Node)],
        policies=[item for item in objects if isinstance(item, Policy)],
        services=[item for item in objects if isinstance(item, Service)],
        endpoint_slices=[item for item in objects if isinstance(item, EndpointSlice)],
    )
