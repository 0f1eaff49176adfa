"""Policies on what goes through services, judged by the real client and the real endpoint (G5, G8, G9, X4, X5)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import builders
import pytest
from builders import EGRESS, beta, namespace, pods, policy, rule
from vm.both_controllers import BothControllers, told
from vm.line import Line
from vm.service_lab import NODE_ADDRESSES, OUTSIDE, ServiceLab
from vm.service_manifests import SLICE_PORTS, endpoint, endpoint_slice, of_either_protocol, service
from vm.watcher import Watcher
from vm.ways import NODE_PORTS, SERVICE_PORTS, outcomes, ways
from world_manifests import Manifest

from netpol.lab.listeners import Place
from netpol.lab.prober import Outcome, Probe, probe
from netpol.lab.topology import Endpoint
from netpol.model.networks import Family, IPBlock, parse_network
from netpol.model.ports import Protocol

pytestmark = pytest.mark.vm

CLUSTER = "10.96.0.10", "fd00:96::10"
WORLD = "203.0.113.10", "2001:db8:113::10", "203.0.113.20", "2001:db8:113::20"
ALL_WAYS = [*ways(*CLUSTER, *WORLD), *ways(*NODE_ADDRESSES["one"], ports=NODE_PORTS)]
VIA_CLUSTER = ways(*CLUSTER)
BOTH_PROTOCOLS = ["8080/TCP", "8080/UDP"]
TO_WEB = policy("x/client", "app=client", egress=[rule([pods("app=web")], BOTH_PROTOCOLS)], directions=EGRESS)
NOWHERE = policy("x/client", "app=client", directions=EGRESS)
ONE = service(
    "x/one",
    *CLUSTER,
    ports=SERVICE_PORTS,
    type="LoadBalancer",
    externalIPs=list(WORLD[:2]),
    ingress=WORLD[2:],
    annotations={"kube-router.io/service.hairpin": ""},
)
REACHED, SILENT, REFUSED = {"x/web-0"}, {"silent"}, {"refused"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BothControllers]:
    with ServiceLab() as lab, BothControllers(lab, tmp_path_factory.mktemp("agent")) as agent:
        lab.serve(["node/one"])
        yield agent


@pytest.fixture
def agent(running: BothControllers) -> BothControllers:
    """Service `x/one` leads to `x/web-0` by every way there is; nothing is isolated."""
    running.only(
        running.labelled("x/client", "app=client"),
        running.labelled("x/web-0", "app=web", "http=8080/TCP dns=8080/UDP"),
        running.labelled("x/web-1", "app=guest"),
        running.labelled("x/web-2", "app=client tier=spare"),
        running.labelled("x/far", "app=far"),
        ONE,
        *running.slices("x/one", ["x/web-0"], ports=SLICE_PORTS),
    )
    return running


def block(*addresses: str) -> list[IPBlock]:
    """These addresses, each by itself."""
    return [IPBlock(parse_network(f"{each}/{128 if ':' in each else 32}")) for each in addresses]


def at_node(name: str, *addresses: str) -> list[Manifest]:
    """The service's slices, with an endpoint at the address of their family."""
    service = f"x/{name}"
    return [
        endpoint_slice(f"{service}-{4 if '.' in each else 6}", service, endpoint(each), ports=SLICE_PORTS)
        for each in addresses
    ]


# --- who may come to an endpoint


def test_every_way_leads_to_the_endpoint_where_nothing_is_isolated(agent: BothControllers) -> None:
    clients = "x/client", "x/web-0", "x/far", "node/one", "node/two", "outside/near"
    assert outcomes(agent.lab, ALL_WAYS, *clients) == dict.fromkeys(clients, REACHED)


def test_an_annotated_namespace_is_open_to_whom_its_policies_name(agent: BothControllers) -> None:
    """B3 to B12, G8, G9: whoever asks by whichever way, it is the client's own address and labels that count."""
    guestbook = beta("x/backend", "app=web", ingress=[rule([pods("app=client")], BOTH_PROTOCOLS)])
    clients = "x/client", "x/web-0", "x/web-1", "x/far", "node/one", "node/two", "outside/near"
    with agent.having(*told(guestbook)):
        agent.put(*told(namespace("x", deny=True)))
        closed = outcomes(agent.lab, ALL_WAYS, *clients)
        frontend = beta("x/backend", "app=web", ingress=[rule(None, ["8080/TCP"])])
        agent.put(*told(frontend))
        opened = {
            protocol: outcomes(
                agent.lab, [way for way in ALL_WAYS if way.protocol is protocol], "x/far", "outside/near"
            )
            for protocol in (Protocol.TCP, Protocol.UDP)
        }
        agent.put(*told(namespace("x")))
        switched_off = outcomes(agent.lab, VIA_CLUSTER, "x/web-1", "outside/near")
    assert closed == {
        "x/client": REACHED,
        "x/web-0": REACHED,
        "x/web-1": SILENT,
        "x/far": SILENT,
        "node/one": REACHED,
        "node/two": SILENT,
        "outside/near": SILENT,
    }
    assert opened == {
        Protocol.TCP: {"x/far": REACHED, "outside/near": REACHED},
        Protocol.UDP: {"x/far": SILENT, "outside/near": SILENT},
    }
    assert switched_off == {"x/web-1": REACHED, "outside/near": REACHED}


def test_clients_outside_are_told_apart_although_they_are_masqueraded(agent: BothControllers) -> None:
    """X4: on the endpoint's own node it is before that that they are judged."""
    near = policy("x/web", "app=web", ingress=[rule(block(*OUTSIDE["near"]), BOTH_PROTOCOLS)])
    with agent.having(*told(near)):
        found = outcomes(agent.lab, ALL_WAYS, "outside/near", "outside/far", "node/two")
    assert found == {"outside/near": REACHED, "outside/far": SILENT, "node/two": SILENT}


def test_who_comes_from_a_source_range_still_has_to_be_allowed(agent: BothControllers) -> None:
    balanced = ways(*WORLD[2:])
    only_far = policy("x/web", "app=web", ingress=[rule(block(*OUTSIDE["far"]))])
    near = [f"{each}/{128 if ':' in each else 32}" for each in OUTSIDE["near"]]
    restricted = {**ONE, "spec": {**ONE["spec"], "loadBalancerSourceRanges": near}}
    both_hosts = policy("x/web", "app=web", ingress=[rule(block(*OUTSIDE["far"], *OUTSIDE["near"]))])
    with agent.having(*told(only_far)):
        agent.put(restricted)
        neither = outcomes(agent.lab, balanced, "outside/near", "outside/far")
        agent.put(*told(both_hosts))
        one = outcomes(agent.lab, balanced, "outside/near", "outside/far")
        agent.put(ONE)
    assert neither == {"outside/near": SILENT, "outside/far": SILENT}
    assert one == {"outside/near": REACHED, "outside/far": SILENT}


# --- where a pod may go


def test_egress_is_judged_by_the_endpoint_and_its_port(agent: BothControllers) -> None:
    """G5, V7: a rule about the service's address or port says nothing."""
    to_guests = policy("x/client", "app=client", egress=[rule([pods("app=guest")])], directions=EGRESS)
    by_name = policy("x/client", "app=client", egress=[rule(None, ["http/TCP"])], directions=EGRESS)
    to_address = policy("x/client", "app=client", egress=[rule(block(*CLUSTER), ["80/TCP", "53/UDP"])])
    empty = of_either_protocol("x/empty", "10.96.0.30", "fd00:96::30")
    asked = {}
    with agent.having(*told(TO_WEB), empty):
        asked["web"] = outcomes(agent.lab, ALL_WAYS, "x/client")["x/client"]
        asked["without endpoints"] = outcomes(agent.lab, ways("10.96.0.30", "fd00:96::30"), "x/client")["x/client"]
        for name, each in (("guests", to_guests), ("named", by_name), ("address", to_address)):
            agent.put(*told(each))
            asked[name] = outcomes(agent.lab, ALL_WAYS, "x/client")["x/client"]
        agent.put(*told(by_name))
        tcp = [way for way in ALL_WAYS if way.protocol is Protocol.TCP]
        asked["named, TCP"] = outcomes(agent.lab, tcp, "x/client")["x/client"]
    # The kernel sends only so many ICMP errors.
    assert REFUSED <= asked.pop("without endpoints") <= REFUSED | SILENT
    assert asked == {
        "web": REACHED,
        "guests": SILENT,
        "named": REACHED | SILENT,
        "named, TCP": REACHED,
        "address": SILENT,
    }


def test_a_service_of_the_nodes_own_network_is_judged_by_the_services_address(agent: BothControllers) -> None:
    """X5: IPVS hands such packets up without an OUTPUT. With an endpoint among pods it is judged twice."""
    api = of_either_protocol("x/api", "10.96.0.1", "fd00:96::1")
    asked = ways("10.96.0.1", "fd00:96::1")
    at_address = policy("x/client", "app=client", egress=[rule(block("10.96.0.1", "fd00:96::1"), ["80/TCP", "53/UDP"])])
    at_endpoint = policy("x/client", "app=client", egress=[rule(block(*NODE_ADDRESSES["one"]))])
    web = builders.pods("app=web")
    mixed = [
        endpoint_slice(f"x/api-{family.value}", "x/api", endpoint(host), endpoint(pod), ports=SLICE_PORTS)
        for family, host in zip(Family, NODE_ADDRESSES["one"], strict=True)
        for pod in [str(agent.lab.endpoint("x/web-0", family).address)]
    ]
    found = {}
    with agent.having(api, *at_node("api", *NODE_ADDRESSES["one"])):
        found["open"] = outcomes(agent.lab, asked, "x/client")["x/client"]
        for name, each in (("nowhere", NOWHERE), ("its endpoint", at_endpoint), ("its address", at_address)):
            agent.put(*told(each))
            found[name] = outcomes(agent.lab, asked, "x/client")["x/client"]
        agent.put(*mixed)
        found["its address, mixed"] = outcomes(agent.lab, asked * 4, "x/client")["x/client"]
        agent.put(*told(TO_WEB))
        found["the pod, mixed"] = outcomes(agent.lab, asked * 4, "x/client")["x/client"]
        agent.put(*told(policy("x/client", "app=client", egress=[*at_address.egress, rule([web])])))
        found["both, mixed"] = outcomes(agent.lab, asked * 4, "x/client")["x/client"]
        agent.remove(*told(NOWHERE))
    assert found == {
        "open": {"node/one"},
        "nowhere": SILENT,
        "its endpoint": SILENT,
        "its address": {"node/one"},
        "its address, mixed": {"node/one"} | SILENT,
        "the pod, mixed": SILENT,
        "both, mixed": {"node/one"} | REACHED,
    }


def test_a_ping_to_a_services_address_is_judged_as_one_to_the_node(agent: BothControllers) -> None:
    """G10."""
    probes = {
        Probe(
            agent.lab.endpoint(name, family),
            Place(Endpoint("the service", agent.lab.node, builders.address(address)), Protocol.ICMP, None),
        ): name
        for family, address in zip(Family, CLUSTER, strict=True)
        for name in ("x/client", "x/web-1")
    }
    with agent.having(*told(TO_WEB)):
        found = probe(probes, listening=[])
    assert {(name, found[each]) for each, name in probes.items()} == {
        ("x/client", Outcome.SILENT),
        ("x/web-1", Outcome.REACHED),
    }


# --- at no moment


def test_at_no_moment_is_an_isolated_client_let_through(agent: BothControllers) -> None:
    """X5: while services come, change their endpoints and go, whatever the order."""
    asked = [*VIA_CLUSTER, *ways(*NODE_ADDRESSES["one"], ports=NODE_PORTS)]
    slices = {
        name: agent.slices("x/one", pods, ports=SLICE_PORTS)
        for name, pods in {"web": ["x/web-0"], "guest": ["x/web-1"], "all": ["x/web-0", "x/web-1", "x/web-2"]}.items()
    }
    with agent.having(*told(TO_WEB)):
        with Watcher(agent.lab, ["x/client"], asked, ["x/web-1", "x/web-2"]) as watcher:
            for change in ("guest", "all", "node", "web", "gone", "guest", "web"):
                if change == "gone":
                    agent.remove(ONE)
                elif change == "node":
                    agent.put(*at_node("one", *NODE_ADDRESSES["one"]))
                else:
                    agent.put(ONE, *slices[change])
                watcher.go_on()
        assert watcher.heard == REACHED
        assert watcher.seen() == 0


# --- while connections run


def test_what_is_denied_from_now_on_ends_whichever_side_speaks_next(agent: BothControllers) -> None:
    """G11: also where the endpoint saw another address than the client's, and though IPVS remembers the connection."""
    vips = "10.96.0.40", "fd00:96::40"
    asked = {
        "x/client": (9000, ways(*vips, ports={Protocol.TCP: 81, Protocol.UDP: 81})),
        "outside/near": (9001, ways(*vips, ports={Protocol.TCP: 82, Protocol.UDP: 82})),
    }
    spoken = service("x/spoken", *vips, ports="t=81/TCP u=81/UDP tt=82/TCP uu=82/UDP")
    slices = agent.slices("x/spoken", ["x/web-0"], ports="t=9000/TCP u=9000/UDP tt=9001/TCP uu=9001/UDP")
    allowed = policy("x/web", "app=web", ingress=[rule()])
    with agent.having(spoken, *slices, *told(allowed)):
        lines = [
            Line(agent.lab.endpoint(client, way.family), agent.lab.endpoint("x/web-0", way.family), own_port, way)
            for client, (own_port, each) in asked.items()
            for way in each
        ]
        assert all(line.client_speaks() and line.server_speaks() for line in lines)
        agent.put(*told(policy("x/web", "app=web")))
        with ThreadPoolExecutor(len(lines)) as threads:
            heard = [
                *threads.map(Line.server_speaks, lines),
                *threads.map(Line.client_speaks, lines),
                *threads.map(Line.server_speaks, lines),
            ]
        agent.put(*told(allowed))
        for line in lines:
            line.close()
        again = outcomes(agent.lab, VIA_CLUSTER, *asked)
    assert heard == [False] * 24
    assert again == dict.fromkeys(asked, REACHED)


def test_what_is_open_to_the_nodes_own_network_stays_and_ends_with_the_services_address(agent: BothControllers) -> None:
    """G11, X5: what IPVS hands up is judged there by what the client asked for."""
    vips = "10.96.0.41", "fd00:96::41"
    handed_up = service("x/handed-up", *vips, ports="t=81/TCP u=81/UDP")
    slices = [
        endpoint_slice(f"x/handed-up-{number}", "x/handed-up", endpoint(each), ports="t=9100/TCP u=9100/UDP")
        for number, each in enumerate(NODE_ADDRESSES["one"])
    ]
    to_address = policy("x/client", "app=client", egress=[rule(block(*vips), ["81/TCP", "81/UDP"])], directions=EGRESS)
    to_more = policy("x/client", "app=client", egress=[*to_address.egress, rule([pods("app=web")])], directions=EGRESS)
    with agent.having(handed_up, *slices, *told(to_more)):
        lines = [
            Line(agent.lab.endpoint("x/client", way.family), agent.lab.endpoint("node/one", way.family), 9100, way)
            for way in ways(*vips, ports={Protocol.TCP: 81, Protocol.UDP: 81})
        ]
        assert all(line.client_speaks() and line.server_speaks() for line in lines)
        agent.put(*told(to_address))
        stays = [line.client_speaks() and line.server_speaks() for line in lines]
        agent.put(*told(NOWHERE))
        heard = [line.server_speaks() for line in lines] + [line.client_speaks() for line in lines]
        agent.remove(*told(NOWHERE))
        for line in lines:
            line.close()
    assert stays == [True] * 4
    assert heard == [False] * 8
