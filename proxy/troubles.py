"""What services do not get because of what is on this node, as notices: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from netpol.model.networks import Address
from netpol.model.notices import Notice
from netpol.model.service_annotations import ServiceAnnotation
from netpol.model.snapshot import ObjectName
from proxy.model import Origin, ServerKey
from proxy.services.served import Served

_ADDRESS_FIELD = {Origin.EXTERNAL: "spec.externalIPs", Origin.LOAD_BALANCER: "status.loadBalancer.ingress"}


class Found(Protocol):
    """What was found while services were brought to the kernel."""

    @property
    def conflicts(self) -> frozenset[ServerKey]:
        """The servers that are left to others."""

    @property
    def unreachable(self) -> Mapping[Address, str]:
        """The pods that cannot answer directly, and why."""


def troubles(
    found: Found, services: Mapping[ServerKey, ObjectName], served: Mapping[ObjectName, Served]
) -> dict[ObjectName, tuple[Notice, ...]]:
    """The notices of each service that has any, in an order of their own."""
    notices: dict[ObjectName, list[Notice]] = {}
    for notice in (*_conflicts(found, services, served), *_unreachable(found, served)):
        notices.setdefault((notice.namespace, notice.name), []).append(notice)
    return {name: tuple(sorted(each, key=str)) for name, each in notices.items()}


def _conflicts(
    found: Found, services: Mapping[ServerKey, ObjectName], served: Mapping[ObjectName, Served]
) -> Iterator[Notice]:
    for key in found.conflicts:
        name = services.get(key)
        if name is None or name not in served:
            continue
        if (server := served[name].servers.get(key)) is not None:
            field = _ADDRESS_FIELD.get(server.origin, "spec")
            yield Notice("Service", *name, field, f"{key} is a virtual server of somebody else on this node")


def _unreachable(found: Found, served: Mapping[ObjectName, Served]) -> Iterator[Notice]:
    if not found.unreachable:
        return
    for name, each in served.items():
        for pod in each.tunnels.keys() & found.unreachable.keys():
            yield Notice("Service", *name, ServiceAnnotation.DIRECT_RETURN.field, found.unreachable[pod])
