"""Manifests of services and their endpoints, in few words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from world_manifests import Manifest

NODE = "one"
SLICE_PORTS = "t=8080/TCP u=8080/UDP"
"""Where the lab's pods serve."""


def service(
    name: str,
    *cluster: str,
    ports: str = "80/TCP",
    annotations: Mapping[str, str] | None = None,
    ingress: Sequence[str] = (),
    **spec: object,
) -> Manifest:
    """A Service `namespace/name` with these cluster addresses; ports such as `"http=80:30080/TCP dns=53/UDP"`.

    `ingress` are addresses of its load balancer.
    """
    namespace, _, own = name.partition("/")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": own, "annotations": dict(annotations or {})},
        "spec": {"clusterIPs": list(cluster), "ports": [_service_port(each) for each in ports.split()], **spec},
        "status": {"loadBalancer": {"ingress": [{"ip": each} for each in ingress]}},
    }


def endpoint_slice(name: str, service: str, *endpoints: Manifest, ports: str = "8080/TCP") -> Manifest:
    """A slice `namespace/name` of the service `namespace/...`; ports such as `"http=8080/TCP"`."""
    namespace, _, own = name.partition("/")
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace,
            "name": own,
            "labels": {"kubernetes.io/service-name": service.rpartition("/")[2]},
        },
        "addressType": "IPv6" if any(":" in each["addresses"][0] for each in endpoints) else "IPv4",
        "endpoints": list(endpoints),
        "ports": [
            {"name": name, "port": int(number), "protocol": protocol} for name, number, protocol in _parts(ports)
        ],
    }


def endpoint(address: str, node: str = NODE, hints: Manifest | None = None, **conditions: bool) -> Manifest:
    """An endpoint of a slice, ready unless said otherwise."""
    stated: Manifest = {"addresses": [address], "nodeName": node, "conditions": {"ready": True, **conditions}}
    return stated if hints is None else {**stated, "hints": hints}


def of_either_protocol(name: str, *cluster: str) -> Manifest:
    """A service of either protocol, without node ports."""
    return service(name, *cluster, ports="t=80/TCP u=53/UDP")


def _service_port(text: str) -> Manifest:
    ((name, numbers, protocol),) = _parts(text)
    number, _, node_port = numbers.partition(":")
    stated: Manifest = {"name": name, "port": int(number), "protocol": protocol}
    return {**stated, "nodePort": int(node_port)} if node_port else stated


def _parts(text: str) -> Iterator[tuple[str, str, str]]:
    for each in text.split():
        name, _, rest = each.rpartition("=")
        numbers, _, protocol = rest.partition("/")
        yield name, numbers, protocol
