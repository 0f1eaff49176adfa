"""What sources tell a service proxy, in short."""

from __future__ import annotations

from netpol.model.facts import Fact, Key, Kind
from netpol.model.objects import Node
from netpol.model.services import EndpointSlice, Service

Told = Service | EndpointSlice | Node


def put(*values: Told) -> list[Fact]:
    """That there are these objects."""
    return [Fact(key_of(each), each) for each in values]


def gone(*values: Told) -> list[Fact]:
    """That there are no such objects."""
    return [Fact(key_of(each), None) for each in values]


def key_of(value: Told) -> Key:
    """The identity of an object."""
    match value:
        case Service():
            return Key(Kind.SERVICE, value.namespace, value.name)
        case EndpointSlice():
            return Key(Kind.ENDPOINT_SLICE, value.namespace, value.name)
        case Node():
            return Key(Kind.NODE, "", value.name)
