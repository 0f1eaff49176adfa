"""One object of the API, from its bytes to a value of the model, whatever is wrong with it.

Only the fields used are taken out of the bytes; what they mean, the decoders of `netpol.source` say, which read
manifests too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec

from netpol.model.facts import Key, Kind
from netpol.model.notices import Notice
from netpol.source.fields import Fields, Malformed, Problem, render
from netpol.source.kube.pages import Garbled, Header, decode_header

Decoded = tuple[object, tuple[Notice, ...]]


@dataclass(frozen=True, slots=True)
class Found:
    """An object of the API. `value` is None where it is not understood and so counts as absent.

    `is_understood` is False also where `value` stands for what could not be understood (X3).
    """

    key: Key
    uid: str
    value: object | None
    notices: tuple[Notice, ...] = ()
    is_understood: bool = True


class _Metadata(TypedDict, total=False):
    name: Any
    namespace: Any
    uid: Any
    generation: Any
    creationTimestamp: Any
    labels: Any
    annotations: Any


class _OwnerReference(TypedDict, total=False):
    controller: Any
    kind: Any
    name: Any


class _PodMetadata(TypedDict, total=False):
    name: Any
    namespace: Any
    uid: Any
    creationTimestamp: Any
    labels: Any
    ownerReferences: list[_OwnerReference]


class _Container(TypedDict, total=False):
    ports: Any
    restartPolicy: Any


class _PodSpec(TypedDict, total=False):
    nodeName: Any
    hostNetwork: Any
    containers: list[_Container]
    initContainers: list[_Container]


class _PodStatus(TypedDict, total=False):
    phase: Any
    podIP: Any
    podIPs: Any


class PodFields(TypedDict, total=False):
    """What is used of a pod."""

    metadata: _PodMetadata
    spec: _PodSpec
    status: _PodStatus


class NamespaceFields(TypedDict, total=False):
    """What is used of a namespace."""

    metadata: _Metadata


class _NodeSpec(TypedDict, total=False):
    podCIDR: Any
    podCIDRs: Any


class _NodeStatus(TypedDict, total=False):
    addresses: Any


class NodeFields(TypedDict, total=False):
    """What is used of a node."""

    metadata: _Metadata
    spec: _NodeSpec
    status: _NodeStatus


class PolicyFields(TypedDict, total=False):
    """What is used of a NetworkPolicy: every field of its spec, since an unknown one closes it (M7)."""

    metadata: _Metadata
    spec: Any


class _ServiceSpec(TypedDict, total=False):
    type: Any
    clusterIP: Any
    clusterIPs: Any
    externalIPs: Any
    ports: Any
    internalTrafficPolicy: Any
    externalTrafficPolicy: Any
    healthCheckNodePort: Any
    sessionAffinity: Any
    sessionAffinityConfig: Any
    loadBalancerSourceRanges: Any


class _ServiceStatus(TypedDict, total=False):
    loadBalancer: Any


class ServiceFields(TypedDict, total=False):
    """What is used of a service."""

    metadata: _Metadata
    spec: _ServiceSpec
    status: _ServiceStatus


class _Endpoint(TypedDict, total=False):
    addresses: Any
    conditions: Any
    hints: Any
    nodeName: Any
    topology: Any


class EndpointSliceFields(TypedDict, total=False):
    """What is used of an EndpointSlice; a list without entries comes as null."""

    metadata: _Metadata
    addressType: Any
    endpoints: list[_Endpoint] | None
    ports: Any


class _EndpointAddress(TypedDict, total=False):
    ip: Any
    nodeName: Any


class _EndpointSubset(TypedDict, total=False):
    addresses: list[_EndpointAddress] | None
    notReadyAddresses: list[_EndpointAddress] | None
    ports: Any


class EndpointsFields(TypedDict, total=False):
    """What is used of an Endpoints object."""

    metadata: _Metadata
    subsets: list[_EndpointSubset] | None


class ObjectReader:
    """Reads the objects of one kind; `fields` is a TypedDict of what `decode` uses of them.

    `instead` gives the value of an object that `decode` refuses, from as many of its fields as can be read.
    """

    def __init__(
        self,
        kind: Kind,
        fields: type,
        decode: Callable[[Fields], Decoded],
        instead: Callable[[Key, Fields], object | None] = lambda _key, _fields: None,
    ) -> None:
        self.kind = kind
        self._filter: msgspec.json.Decoder[Fields] = msgspec.json.Decoder(fields)
        self._decode = decode
        self._instead = instead

    def read(self, item: msgspec.Raw) -> tuple[Header, Found]:
        """The object; Garbled where it cannot be told which one it is."""
        header = decode_header(item)
        if not header.name:
            raise Garbled(f"a {self.kind.value} has no name")
        key = Key(self.kind, header.namespace, header.name)
        uid = header.uid if isinstance(header.uid, str) else ""
        fields: Fields = {}
        try:
            fields = self._fields(item)
            value, notices = self._decode(fields)
        except Malformed as error:
            problems = error.problems
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            problems = (Problem((), f"cannot be decoded: {error}"),)
        else:
            return header, Found(key, uid, value, notices)
        notices = tuple(_notice(key, problem) for problem in problems)
        return header, Found(key, uid, self._instead(key, fields), notices, is_understood=False)

    def _fields(self, item: msgspec.Raw) -> Fields:
        try:
            return self._filter.decode(item)
        except msgspec.ValidationError:
            # A field of another type: the decoder says which, better than the filter.
            whole = msgspec.json.decode(item)
            return whole if isinstance(whole, dict) else {}


def _notice(key: Key, problem: Problem) -> Notice:
    return Notice(key.kind.value, key.namespace, key.name, render(problem.path), problem.message)
