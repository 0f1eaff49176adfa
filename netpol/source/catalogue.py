"""The objects of a set of manifests, decoded, each of them once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import TypeVar

from netpol.listing import listed
from netpol.model.facts import FIREWALL_KINDS, Kind
from netpol.model.notices import Notice
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.model.services import EndpointSlice, Service
from netpol.model.snapshot import ObjectName, Snapshot
from netpol.settings import PolicyOptions
from netpol.source.endpoints import decode_endpoint_slice, decode_endpoints, with_endpoints
from netpol.source.fields import Fields, Malformed, Problem
from netpol.source.kinds import ENDPOINTS, PassedOver, UnknownKind, classify, semantics_of
from netpol.source.objects import decode_namespace, decode_node, decode_pod, with_name_label
from netpol.source.policies import decode_policy
from netpol.source.services import decode_service

_MOST_NAMES = 5

Key = TypeVar("Key", str, ObjectName)
Object = TypeVar("Object", Pod, Namespace, Node, Policy, Service, EndpointSlice)


class Catalogue:
    """Objects of some kinds by kind and name, and what was noticed on the way."""

    def __init__(self, options: PolicyOptions, kinds: Collection[Kind] = FIREWALL_KINDS) -> None:
        self._options = options
        self._kinds = frozenset(kinds)
        self._pods: dict[ObjectName, Pod] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._nodes: dict[str, Node] = {}
        self._policies: dict[ObjectName, Policy] = {}
        self._services: dict[ObjectName, Service] = {}
        self._slices: dict[ObjectName, EndpointSlice] = {}
        self._endpoints: dict[ObjectName, EndpointSlice] = {}
        self._origins: dict[tuple[str, str | ObjectName], str] = {}
        self._passed_over: defaultdict[tuple[PassedOver, str, str], list[str]] = defaultdict(list)
        self._notices: list[Notice] = []

    def add(self, api_version: str, kind: str, fields: Fields, origin: str) -> None:
        """Take in an object found at `origin`; Malformed where it, or a second one of its name, is no such object."""
        try:
            used = classify(api_version, kind, self._kinds)
        except UnknownKind as error:
            raise Malformed([Problem((error.field,), str(error))]) from None
        match used:
            case Kind.POD:
                pod = decode_pod(fields)
                self._keep(kind, self._pods, (pod.namespace, pod.name), pod, origin)
            case Kind.NODE:
                node = decode_node(fields)
                self._keep(kind, self._nodes, node.name, node, origin)
            case Kind.NAMESPACE:
                namespace, notices = decode_namespace(fields, strict_annotations=self._options.strict_annotations)
                self._keep(kind, self._namespaces, namespace.name, with_name_label(namespace), origin, notices)
            case Kind.NETWORK_POLICY:
                policy, notices = decode_policy(fields, semantics_of(api_version, self._options))
                self._refuse_other_endpoint(policy, fields, api_version)
                self._keep(kind, self._policies, (policy.namespace, policy.name), policy, origin, notices)
            case Kind.SERVICE:
                service, notices = decode_service(fields)
                self._keep(kind, self._services, (service.namespace, service.name), service, origin, notices)
            case Kind.ENDPOINT_SLICE if kind == ENDPOINTS:
                found, notices = decode_endpoints(fields)
                self._keep(kind, self._endpoints, (found.namespace, found.name), found, origin, notices)
            case Kind.ENDPOINT_SLICE:
                found, notices = decode_endpoint_slice(fields)
                self._keep(kind, self._slices, (found.namespace, found.name), found, origin, notices)
            case PassedOver.FOREIGN_POLICY | PassedOver.TIER_POLICY:
                self._passed_over[used, api_version, kind].append(_name_of(fields))

    def is_empty(self) -> bool:
        """True where no object taken in is of a kind used."""
        return not self._origins

    def snapshot(self) -> Snapshot:
        """All objects taken in."""
        slices = with_endpoints(self._slices, self._endpoints)
        return Snapshot(self._namespaces, self._pods, self._nodes, self._policies, self._services, slices)

    def notices(self) -> tuple[Notice, ...]:
        """What was not understood in objects that count all the same (M7)."""
        return tuple(self._notices)

    def warnings(self) -> tuple[str, ...]:
        """A line for each kind of object that a person may wrongly expect to have an effect."""
        lines = [
            f"{_objects(kind, names)} of {api_version}: passed over, {why.value}"
            for (why, api_version, kind), names in self._passed_over.items()
        ]
        homeless = [str(pod) for pod in self._pods.values() if not (pod.addresses or pod.host_network or pod.finished)]
        if homeless:
            lines.append(f"{_objects('Pod', homeless)} without an address: no policy concerns a pod before it has one")
        return tuple(lines)

    def _refuse_other_endpoint(self, policy: Policy, fields: Fields, api_version: str) -> None:
        """Malformed where the policy is known and nothing but its apiVersion tells the two apart (V11)."""
        key = policy.namespace, policy.name
        known = self._policies.get(key)
        if known is None or known.semantics is policy.semantics or decode_policy(fields, known.semantics)[0] != known:
            return
        origin = self._origins[Kind.NETWORK_POLICY.value, key]
        message = (
            f"NetworkPolicy {policy} of {api_version} is also in {origin}, and only its apiVersion differs there: "
            "both endpoints of an API server show one store, but the two versions mean different rules; keep one"
        )
        raise Malformed([Problem(("apiVersion",), message)])

    def _keep(
        self,
        kind: str,
        objects: dict[Key, Object],
        key: Key,
        value: Object,
        origin: str,
        notices: Sequence[Notice] = (),
    ) -> None:
        """Keep the object, unless it is there; two of one name must say the same, for nothing tells which holds."""
        known = objects.setdefault(key, value)
        if known is value:
            self._origins[kind, key] = origin
            self._notices += notices
        elif known != value:
            message = f"{kind} {value} is also in {self._origins[kind, key]}, and says something else there"
            raise Malformed([Problem(("metadata", "name"), message)])


def _objects(kind: str, names: Sequence[str]) -> str:
    """The number, the kind and the first names.

    >>> _objects("Pod", ["x/a", "x/b"])
    '2 Pod objects (x/a and x/b)'
    """
    return f"{len(names)} {kind} object{'s' if len(names) > 1 else ''} ({listed(names, _MOST_NAMES)})"


def _name_of(fields: Fields) -> str:
    """What an object calls itself, whatever else is wrong with it."""
    metadata = fields.get("metadata")
    if not isinstance(metadata, dict):
        return "without a name"
    parts = [part for part in (metadata.get("namespace"), metadata.get("name")) if isinstance(part, str)]
    return "/".join(parts)
