"""The kinds that are followed: where the API server has them, and who reads their objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from netpol.model.facts import Key, Kind
from netpol.model.labels import EVERYTHING
from netpol.model.policies import Semantics
from netpol.settings import NetworkPolicyApi, PolicyOptions
from netpol.source.fields import Fields
from netpol.source.kinds import semantics_of
from netpol.source.kube.objects import Decoded, NamespaceFields, NodeFields, ObjectReader, PodFields, PolicyFields
from netpol.source.kube.requests import Query, Request
from netpol.source.kube.sharing import Sharing
from netpol.source.objects import decode_namespace, decode_node, decode_pod, with_name_label
from netpol.source.policies import decode_policy


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as one API serves it; `never_empty` where a cluster without any such object is no cluster."""

    api_version: str
    plural: str
    reader: ObjectReader
    never_empty: bool = False

    @property
    def kind(self) -> Kind:
        """The kind of its objects."""
        return self.reader.kind

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
        return f"{self.kind.value} of {self.api_version}"


Resources = Mapping[Kind, tuple[Resource, ...]]
"""Each kind with the resources it can be read from, the preferred one first; never two of them at once (M5)."""


def resources(
    options: PolicyOptions, policy_api: NetworkPolicyApi = NetworkPolicyApi.AUTO, *, synthesise_name_label: bool = False
) -> Resources:
    """What policy depends on; `synthesise_name_label` is for servers before 1.21, which put none on (G7)."""
    sharing = Sharing()

    def pod(fields: Fields) -> Decoded:
        return sharing.pod(decode_pod(fields)), ()

    def namespace(fields: Fields) -> Decoded:
        found, notices = decode_namespace(fields, strict_annotations=options.strict_annotations)
        return with_name_label(found) if synthesise_name_label else found, notices

    def node(fields: Fields) -> Decoded:
        return decode_node(fields), ()

    return {
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
    }


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
