"""Notices of what a service does not get because of what is on the node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy_builders import addresses, server

from netpol.model.networks import Address
from netpol.model.notices import Notice
from proxy.model import Origin, ServerKey, VirtualServer
from proxy.services.served import Served
from proxy.troubles import troubles

EXTERNAL, BALANCED = server("198.51.100.1:80/TCP"), server("198.51.100.2:80/TCP")
(POD,) = addresses("10.0.0.1")
WEB, SHOP = ("shop", "web"), ("shop", "till")
SERVED = {
    WEB: Served(servers={EXTERNAL: VirtualServer(EXTERNAL, Origin.EXTERNAL)}, tunnels={POD: frozenset()}),
    SHOP: Served(servers={BALANCED: VirtualServer(BALANCED, Origin.LOAD_BALANCER)}),
}
SERVICES: Mapping[ServerKey, tuple[str, str]] = {EXTERNAL: WEB, BALANCED: SHOP}


@dataclass(frozen=True)
class Found:
    conflicts: frozenset[ServerKey] = frozenset()
    unreachable: Mapping[Address, str] = field(default_factory=dict)


def test_each_service_is_told_of_its_own() -> None:
    found = Found(frozenset({EXTERNAL, BALANCED}), {POD: "pod 10.0.0.1 is not to be seen"})
    message = "is a virtual server of somebody else on this node"
    assert troubles(found, SERVICES, SERVED) == {
        WEB: (
            Notice(
                "Service", *WEB, "metadata.annotations[kube-router.io/service.dsr]", "pod 10.0.0.1 is not to be seen"
            ),
            Notice("Service", *WEB, "spec.externalIPs", f"{EXTERNAL} {message}"),
        ),
        SHOP: (Notice("Service", *SHOP, "status.loadBalancer.ingress", f"{BALANCED} {message}"),),
    }


def test_where_nothing_is_amiss_nothing_is_told() -> None:
    assert troubles(Found(), SERVICES, SERVED) == {}


def test_a_service_that_is_gone_is_told_nothing() -> None:
    assert troubles(Found(frozenset({EXTERNAL})), SERVICES, {}) == {}
    assert troubles(Found(frozenset({EXTERNAL})), {}, SERVED) == {}
