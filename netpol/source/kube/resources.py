"""The kinds that are followed: where the API server has them, and who reads their objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from netpol.model.facts import FIREWALL_KINDS, Key, Kind
from netpol.model.labels import EVERYTHING
from netpol.model.notices import Notice
from netpol.model.policies import Semantics
from netpol.model.services import EndpointSlice
from netpol.settings import NetworkPolicyApi, PolicyOptions
from netpol.source.endpoints import decode_endpoint_slice, decode_endpoints
from netpol.source.fields import Fields
from netpol.source.kinds import ENDPOINTS, semantics_of
from netpol.source.kube.objects import (
    Decoded,
    EndpointsFields,
    EndpointSliceFields,
    NamespaceFields,
    NodeFields,
    ObjectReader,
    PodFields,
    PolicyFields,
    ServiceFields,
)
from netpol.source.kube.requests import Query, Request
from netpol.source.kube.sharing import Sharing
from netpol.source.objects import decode_namespace, decode_node, decode_pod, with_name_label
from netpol.source.policies import decode_policy
from netpol.source.services import decode_service

MOST_ENDPOINTS = 50_000
"""How many are kept to be shared; in a cluster of more they are made anew each time."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as one API serves it; `never_empty` where a cluster without any such object is no cluster."""

    api_version: str
    plural: str
    reader: ObjectReader
    never_empty: bool = False
    own_name: str = ""
    """What the API calls such an object, where that is not the kind's name."""

    @property
    def kind(self) -> Kind:
        """The kind of its objects."""
        return self.reader.kind

    @property
    def object_name(self) -> str:
        """What the API calls one of its objects."""
        return self.own_name or self.kind.value

    @property
    def title(self) -> str:
        """What a role's rule calls it, its group behind the point."""
        group, slash, _ = self.api_version.rpartition("/")
        return f"{self.plural}.{group}" if slash else self.plural

    @property
    def api_path(self) -> str:
        """Where the server says which resources this API has."""
        return f"/{'apis' if '/' in self.api_version else 'api'}/{self.api_version}"

    def list_request(self, query: Query = ()) -> Request:
        """The request for the objects of every namespace."""
        return Request("list", self.title, f"{self.api_path}/{self.plural}", query)

    def watch_request(self, query: Query) -> Request:
        """The request for what happens to them."""
        return Request("watch", self.title, f"{self.api_path}/{self.plural}", query)

    def __str__(self) -> str:
        return f"{self.object_name} of {self.api_version}"


Resources = Mapping[Kind, tuple[Resource, ...]]
"""Each kind with the resources it can be read from, the preferred one first; never two of them at once (M5)."""


def resources(
    options: PolicyOptions,
    policy_api: NetworkPolicyApi = NetworkPolicyApi.AUTO,
    *,
    kinds: Collection[Kind] = FIREWALL_KINDS,
    synthesise_name_label: bool = False,
) -> Resources:
    """Where these kinds are; `synthesise_name_label` is for servers before 1.21, which put none on (G7)."""
    sharing = Sharing()

    def pod(fields: Fields) -> Decoded:
        return sharing.pod(decode_pod(fields)), ()

    def namespace(fields: Fields) -> Decoded:
        found, notices = decode_namespace(fields, strict_annotations=options.strict_annotations)
        return with_name_label(found) if synthesise_name_label else found, notices

    def node(fields: Fields) -> Decoded:
        return decode_node(fields), ()

    every = {
        Kind.NAMESPACE: (
            Resource("v1", "namespaces", ObjectReader(Kind.NAMESPACE, NamespaceFields, namespace), never_empty=True),
        ),
        Kind.NODE: (Resource("v1", "nodes", ObjectReader(Kind.NODE, NodeFields, node), never_empty=True),),
        Kind.POD: (Resource("v1", "pods", ObjectReader(Kind.POD, PodFields, pod)),),
        Kind.NETWORK_POLICY: tuple(
            Resource(api.value, "networkpolicies", _policy_reader(semantics_of(api.value, options), sharing))
            for api in (NetworkPolicyApi.V1, NetworkPolicyApi.V1BETA1)
            if policy_api in (api, NetworkPolicyApi.AUTO)
        ),
        # Every API server makes the service `default/kubernetes`, and makes it anew where somebody deletes it. Its
        # endpoints it can be told not to make.
        Kind.SERVICE: (
            Resource("v1", "services", ObjectReader(Kind.SERVICE, ServiceFields, decode_service), never_empty=True),
        ),
        Kind.ENDPOINT_SLICE: _endpoints(),
    }
    return {kind: candidates for kind, candidates in every.items() if kind in kinds}


def _endpoints() -> tuple[Resource, ...]:
    """Where endpoints are: a server has each of them in all the forms that it serves, and the newest says most."""
    sharing = Sharing(MOST_ENDPOINTS)

    def sharing_parts(
        decode: Callable[[Fields], tuple[EndpointSlice, tuple[Notice, ...]]],
    ) -> Callable[[Fields], Decoded]:
        def decoded(fields: Fields) -> Decoded:
            found, notices = decode(fields)
            return sharing.endpoint_slice(found), notices

        return decoded

    slices = ObjectReader(Kind.ENDPOINT_SLICE, EndpointSliceFields, sharing_parts(decode_endpoint_slice))
    older = ObjectReader(Kind.ENDPOINT_SLICE, EndpointsFields, sharing_parts(decode_endpoints))
    return (
        Resource("discovery.k8s.io/v1", "endpointslices", slices),
        Resource("discovery.k8s.io/v1beta1", "endpointslices", slices),
        Resource("v1", "endpoints", older, own_name=ENDPOINTS),
    )


def _policy_reader(semantics: Semantics, sharing: Sharing) -> ObjectReader:
    """The reader of policies that follow these semantics (M2, M3)."""

    def policy(fields: Fields) -> Decoded:
        found, notices = decode_policy(fields, semantics)
        return sharing.policy(found), notices

    def closed(key: Key, fields: Fields) -> object:
        """A policy that isolates every pod of its namespace and allows nothing, in place of one not understood (X3).

        Whether for egress too, its spec says, where that can be read.
        """
        known = {
            "metadata": {"namespace": "unreadable", "name": "unreadable"},
            "spec": fields.get("spec", "unreadable"),
        }
        readable, _ = decode_policy(known, semantics)
        return dataclasses.replace(
            readable, namespace=key.namespace, name=key.name, pods=EVERYTHING, ingress=(), egress=()
        )

    return ObjectReader(Kind.NETWORK_POLICY, PolicyFields, policy, closed)
