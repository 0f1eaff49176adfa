"""What a source says of one object: the currency between sources and controllers."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple

from netpol.model.snapshot import ObjectName, Snapshot


class Kind(enum.Enum):
    """The kinds of objects that something here depends on; the values are the API's words."""

    POD = "Pod"
    NAMESPACE = "Namespace"
    NODE = "Node"
    NETWORK_POLICY = "NetworkPolicy"
    SERVICE = "Service"
    ENDPOINT_SLICE = "EndpointSlice"


FIREWALL_KINDS = (Kind.NAMESPACE, Kind.POD, Kind.NODE, Kind.NETWORK_POLICY)
PROXY_KINDS = (Kind.SERVICE, Kind.ENDPOINT_SLICE, Kind.NODE)
"""What each controller depends on: nothing else is followed."""


class Key(NamedTuple):
    """The identity of an object; `namespace` is "" for kinds that have none."""

    kind: Kind
    namespace: str
    name: str

    @property
    def object_name(self) -> ObjectName:
        """Namespace and name."""
        return self.namespace, self.name

    def __str__(self) -> str:
        """
        >>> str(Key(Kind.POD, "web", "front")), str(Key(Kind.NODE, "", "n1"))
        ('Pod web/front', 'Node n1')
        """
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.value} {name}"


class Fact(NamedTuple):
    """An object as it is now, decoded into a value of the model; `value` None says that there is none."""

    key: Key
    value: object | None


def lists(snapshot: Snapshot) -> dict[Kind, Mapping[ObjectName, object]]:
    """The complete list of every kind."""
    return {
        Kind.NAMESPACE: {("", name): each for name, each in snapshot.namespaces.items()},
        Kind.NODE: {("", name): each for name, each in snapshot.nodes.items()},
        Kind.POD: snapshot.pods,
        Kind.NETWORK_POLICY: snapshot.policies,
        Kind.SERVICE: snapshot.services,
        Kind.ENDPOINT_SLICE: snapshot.endpoint_slices,
    }
