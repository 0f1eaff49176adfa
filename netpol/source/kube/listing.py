"""Every object of a cluster at one moment, for the commands that look once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from netpol.errors import NetpolError
from netpol.model.facts import FIREWALL_KINDS, Kind
from netpol.model.notices import Notice
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy, Semantics
from netpol.model.services import EndpointSlice, Service
from netpol.model.snapshot import Snapshot
from netpol.settings import NetworkPolicyApi, PolicyOptions
from netpol.source.kinds import semantics_of
from netpol.source.kube import discovery
from netpol.source.kube.connection import ApiConnection
from netpol.source.kube.cursor import Cursor
from netpol.source.kube.failures import ApiFailure, Reason
from netpol.source.kube.objects import Found
from netpol.source.kube.pages import Garbled
from netpol.source.kube.paging import list_objects
from netpol.source.kube.resources import Resource, resources
from netpol.source.manifests import Loaded

ATTEMPTS = 3
"""Lists that expire between two pages; the second one comes in one page, and cannot."""

Value = TypeVar("Value", Pod, Namespace, Node, Policy, Service, EndpointSlice)


def load(
    connection: ApiConnection,
    options: PolicyOptions,
    policy_api: NetworkPolicyApi = NetworkPolicyApi.AUTO,
    *,
    kinds: Collection[Kind] = FIREWALL_KINDS,
    synthesise_name_label: bool = False,
) -> Loaded:
    """The snapshot of these kinds of the cluster, each as complete as at the moment of its list.

    NetpolError where a kind can't be listed, or a list is none that a cluster has.
    """
    found: list[Found] = []
    warnings: list[str] = []
    semantics: Semantics | None = None
    table = resources(options, policy_api, kinds=kinds, synthesise_name_label=synthesise_name_label)
    for kind, candidates in table.items():
        resource = discovery.served(candidates, connection)
        if resource is None:
            wanted = " and no ".join(candidate.api_version for candidate in candidates)
            raise NetpolError(f"{connection.server} serves no {wanted}: there is no {kind.value} to read")
        listed, unnamed = _list_again(connection, resource)
        if not listed and resource.never_empty:
            raise NetpolError(f"{connection.server} lists no {kind.value}: it is not ready, or no cluster's")
        if kind is Kind.NETWORK_POLICY:
            semantics = semantics_of(resource.api_version, options)
        warnings += [f"{resource}: {each}: passed over" for each in unnamed]
        found += listed
    notices: tuple[Notice, ...] = tuple(notice for each in found for notice in each.notices)
    values = [each.value for each in found]
    snapshot = Snapshot.of(
        _of(Namespace, values),
        _of(Pod, values),
        _of(Node, values),
        _of(Policy, values),
        _of(Service, values),
        _of(EndpointSlice, values),
    )
    return Loaded(snapshot, notices, tuple(warnings), semantics)


def _list_again(connection: ApiConnection, resource: Resource) -> tuple[list[Found], list[Garbled]]:
    cursor = Cursor()
    for _ in range(ATTEMPTS - 1):
        try:
            return list_objects(connection, resource, cursor)
        except ApiFailure as failure:
            if failure.reason is not Reason.GONE:
                raise
            cursor.expire()
    return list_objects(connection, resource, cursor)


def _of(wanted: type[Value], values: Iterable[object]) -> list[Value]:
    return [value for value in values if isinstance(value, wanted)]
