"""Which objects are used, by apiVersion and kind, and what becomes of the others."""

from __future__ import annotations

import enum
from collections.abc import Collection
from functools import cache

from netpol.model.facts import FIREWALL_KINDS, Kind
from netpol.model.policies import Semantics
from netpol.settings import PolicyOptions
from netpol.source.fields import shown

ENDPOINTS = "Endpoints"
"""What the API calls the objects that were there before EndpointSlices."""


class PassedOver(enum.Enum):
    """Why an object is not used."""

    NO_POLICY = "nothing here depends on it"
    FOREIGN_POLICY = "the rules of another project are not judged here"
    TIER_POLICY = "the tiers of ClusterNetworkPolicy and its predecessors are not judged by this version"


class UnknownKind(ValueError):
    """The object means to be of a kind used, but no API serves it: to pass it over could open what it closes.

    `field` is the one to mend.
    """

    def __init__(self, field: str, api_version: str, kind: str) -> None:
        super().__init__(f"there is no {kind} in {api_version}")
        self.field = field


_BETA = "extensions/v1beta1"
_SERVED = {
    ("v1", "Pod"): Kind.POD,
    ("v1", "Namespace"): Kind.NAMESPACE,
    ("v1", "Node"): Kind.NODE,
    (_BETA, "NetworkPolicy"): Kind.NETWORK_POLICY,
    ("networking.k8s.io/v1", "NetworkPolicy"): Kind.NETWORK_POLICY,
    ("v1", "Service"): Kind.SERVICE,
    ("v1", ENDPOINTS): Kind.ENDPOINT_SLICE,
    ("discovery.k8s.io/v1beta1", "EndpointSlice"): Kind.ENDPOINT_SLICE,
    ("discovery.k8s.io/v1", "EndpointSlice"): Kind.ENDPOINT_SLICE,
}
_TIER_GROUP = "policy.networking.k8s.io"


class _Wanted:
    """What objects of some kinds are called."""

    def __init__(self, kinds: frozenset[Kind]) -> None:
        self.served = {stated: kind for stated, kind in _SERVED.items() if kind in kinds}
        self.groups = frozenset(_group(api_version) for api_version, _ in self.served)
        self.names = frozenset(name for _, name in self.served)
        self.lower_case_names = frozenset(map(str.lower, self.names))


_wanted = cache(_Wanted)


def classify(api_version: str, kind: str, kinds: Collection[Kind] = FIREWALL_KINDS) -> Kind | PassedOver:
    """The kind, where it is one of `kinds`, or why the object is not used; UnknownKind where it should be and cannot.

    >>> classify("v1", "Pod"), classify("apps/v1", "Deployment")
    (<Kind.POD: 'Pod'>, <PassedOver.NO_POLICY: 'nothing here depends on it'>)
    """
    wanted = _wanted(frozenset(kinds))
    served = wanted.served.get((api_version, kind))
    if served is not None:
        return served
    group = _group(api_version)
    if group in wanted.groups and kind.lower() in wanted.lower_case_names:
        raise UnknownKind("apiVersion" if kind in wanted.names else "kind", shown(api_version), shown(kind))
    if Kind.NETWORK_POLICY not in kinds:
        return PassedOver.NO_POLICY
    if group == _TIER_GROUP:
        return PassedOver.TIER_POLICY
    return PassedOver.FOREIGN_POLICY if kind.endswith(Kind.NETWORK_POLICY.value) else PassedOver.NO_POLICY


def described(kinds: Collection[Kind]) -> str:
    """The kinds in a sentence, as alternatives.

    >>> described(FIREWALL_KINDS)
    'Pod, Namespace, Node or NetworkPolicy'
    """
    *others, last = (kind.value for kind in Kind if kind in kinds)
    return " or ".join(filter(None, (", ".join(others), last)))


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def semantics_of(api_version: str, options: PolicyOptions) -> Semantics:
    """The rules that a NetworkPolicy of this apiVersion follows (M2, M3)."""
    return options.v1beta1_semantics if api_version == _BETA else Semantics.V1
