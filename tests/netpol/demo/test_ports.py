"""The ports worth a probe, in the order in which they are kept where there are too many."""

from __future__ import annotations

from builders import pod, policy, rule

from netpol.demo.ports import ports_worth_probing
from netpol.model.snapshot import Snapshot
from netpol.source.fields import Fields


def worth(snapshot: Snapshot, *objects: Fields) -> list[str]:
    return [str(port) for port in ports_worth_probing(snapshot, objects)]


def container(*ports: object) -> dict[str, object]:
    return {"kind": "Pod", "spec": {"containers": [{"ports": list(ports)}, {}, "no container"]}}


def test_there_is_always_one() -> None:
    assert worth(Snapshot.of()) == ["80/TCP"]


def test_policies_name_ports_by_number_range_and_name() -> None:
    snapshot = Snapshot.of(
        pods=[pod("x/a", ports="dns=53/UDP web=8080/TCP"), pod("x/b", ports="web=9090/TCP")],
        policies=[
            policy("x/p", ingress=[rule(ports=["443/TCP", "8000-8100/TCP", "web/TCP", "none/TCP", "*/UDP"]), rule()]),
            policy("x/q", egress=[rule(ports=["132/SCTP"])]),
        ],
    )
    assert worth(snapshot) == [
        "80/TCP",
        "132/SCTP",
        "443/TCP",
        "8000/TCP",
        "8080/TCP",
        "9090/TCP",
    ]


def test_containers_declare_ports() -> None:
    objects: list[Fields] = [
        container({"containerPort": 53, "protocol": "UDP"}, {"containerPort": 80}, {"containerPort": 22}),
        container({"containerPort": "http"}, {"containerPort": 0}, {"containerPort": 1, "protocol": "ICMP"}, "no port"),
        {"kind": "Node", "spec": {"containers": [{"ports": [{"containerPort": 99}]}]}},
    ]
    assert worth(Snapshot.of(), *objects) == ["80/TCP", "22/TCP", "53/UDP"]
