"""Which objects policy depends on, by apiVersion and kind, and what becomes of the others."""

from __future__ import annotations

import enum

from netpol.model.facts import Kind
from netpol.model.policies import Semantics
from netpol.settings import PolicyOptions
from netpol.source.fields import shown


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
    ("v1", Kind.POD.value): Kind.POD,
    ("v1", Kind.NAMESPACE.value): Kind.NAMESPACE,
    ("v1", Kind.NODE.value): Kind.NODE,
    (_BETA, Kind.NETWORK_POLICY.value): Kind.NETWORK_POLICY,
    ("networking.k8s.io/v1", Kind.NETWORK_POLICY.value): Kind.NETWORK_POLICY,
}
_GROUPS = frozenset(api_version.rpartition("/")[0] for api_version, _ in _SERVED)
_NAMES = frozenset(kind.value for kind in Kind)
_LOWER_CASE_NAMES = frozenset(map(str.lower, _NAMES))
_TIER_GROUP = "policy.networking.k8s.io"


def classify(api_version: str, kind: str) -> Kind | PassedOver:
    """The kind used, or why the object is not; UnknownKind where it should be and cannot.

    >>> classify("v1", "Pod"), classify("apps/v1", "Deployment")
    (<Kind.POD: 'Pod'>, <PassedOver.NO_POLICY: 'nothing here depends on it'>)
    """
    served = _SERVED.get((api_version, kind))
    if served is not None:
        return served
    group = api_version.rpartition("/")[0]
    if group in _GROUPS and kind.lower() in _LOWER_CASE_NAMES:
        raise UnknownKind("apiVersion" if kind in _NAMES else "kind", shown(api_version), shown(kind))
    if group == _TIER_GROUP:
        return PassedOver.TIER_POLICY
    return PassedOver.FOREIGN_POLICY if kind.endswith(Kind.NETWORK_POLICY.value) else PassedOver.NO_POLICY


def semantics_of(api_version: str, options: PolicyOptions) -> Semantics:
    """The rules that a NetworkPolicy of this apiVersion follows (M2, M3)."""
    return options.v1beta1_semantics if api_version == _BETA else Semantics.V1
