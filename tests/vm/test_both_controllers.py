"""Firewall and service proxy on one node, in one process and in two, and who tries to get past them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import builders
import pytest
from builders import EGRESS, pods, policy, rule
from testbed.running_agent import SOON_SECONDS
from vm.both_controllers import BothControllers, told
from vm.conversation import Conversation
from vm.directory_agent import DirectoryAgent
from vm.forked_agent import ForkedProcess
from vm.line import Line
from vm.servers import Reply, Servers
from vm.service_lab import NODE_ADDRESSES, OUTSIDE, PORT, ServiceLab
from vm.service_manifests import NODE, SLICE_PORTS, endpoint, endpoint_slice, of_either_protocol, service
from vm.watcher import Watcher
from vm.ways import outcomes, ways
from waiting import wait_until
from world_manifests import Manifest

from netpol.lab.listeners import AF, Place
from netpol.lab.prober import Outcome
from netpol.lab.topology import Endpoint
from netpol.model.networks import Family, IPBlock, parse_network
from netpol.model.ports import Protocol

pytestmark = pytest.mark.vm

CLUSTER = "10.96.0.10", "fd00:96::10"
ONE = of_either_protocol("x/one", *CLUSTER)
TO_WEB = policy("x/client", "app=client", egress=[rule([pods("app=web")], ["8080/TCP", "8080/UDP"])], directions=EGRESS)
NOWHERE = policy("x/client", "app=client", directions=EGRESS)
REACHED, SILENT = {"x/web-0"}, {"silent"}
OURS, PROXYS = "NETPOL-INPUT", "NETPOL-SERVICE-INPUT"
TOOLS = "iptables", "ip6tables"
TRANSPARENT = {Family.IPV4: (socket.SOL_IP, 19), Family.IPV6: (socket.IPPROTO_IPV6, 75)}
"""The options by which a socket sends under any address."""


def one(agent: DirectoryAgent) -> list[Manifest]:
    """`x/one` leads to `x/web-0`, and pods are labelled for policies."""
    labels = {"x/client": "app=client", "x/web-0": "app=web", "x/web-1": "app=guest", "x/web-2": "app=guest"}
    labelled = [agent.labelled(name, each) for name, each in labels.items()]
    return [*labelled, ONE, *agent.slices("x/one", ["x/web-0"], ports=SLICE_PORTS)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BothControllers]:
    flags = "--iptables-sync-period=2s", "--masquerade-all"
    with ServiceLab() as lab, BothControllers(lab, tmp_path_factory.mktemp("agent"), *flags) as agent:
        yield agent


@pytest.fixture
def agent(running: BothControllers) -> BothControllers:
    """It runs, and there is one service; nothing is isolated."""
    running.run_with()
    running.only(*one(running))
    return running


def entrances(lab: ServiceLab) -> list[str]:
    """Where the rules of INPUT lead, of IPv4 and then IPv6."""
    rules = [line for tool in TOOLS for line in lab.run(tool, "-S", "INPUT").splitlines() if line.startswith("-A")]
    return [line.rpartition(" ")[2] for line in rules]


def written(lab: ServiceLab) -> str:
    """All rules of the node, as they are printed."""
    return "\n".join(
        line for tool in TOOLS for line in lab.run(f"{tool}-save").splitlines() if not line.startswith(("#", ":"))
    )


# --- side by side


def test_neither_rewrites_what_the_other_wrote(agent: BothControllers) -> None:
    lab = agent.lab
    assert entrances(lab) == [OURS, PROXYS, OURS, PROXYS]
    before, said = written(lab), len(agent.said)
    until_both_have_compared(agent)
    assert written(lab) == before
    assert "somebody else" not in agent.said[said:]
    for tool in TOOLS:
        lab.run(tool, "-F", "INPUT")
        lab.run(tool, "-I", "INPUT", "-s", "198.18.0.1" if tool == "iptables" else "2001:2::1", "-j", "ACCEPT")
    wait_until(lambda: entrances(lab) == [OURS, PROXYS, "ACCEPT"] * 2, "both are back, in their order")
    mended = written(lab)
    until_both_have_compared(agent)
    assert written(lab) == mended
    for tool in TOOLS:
        lab.run(tool, "-D", "INPUT", "3")


def until_both_have_compared(agent: BothControllers) -> None:
    """Either of them has looked at the whole kernel from here on."""
    for metric in ("netpol_resyncs_total", "kube_router_controller_ipvs_services_sync_time_count"):
        # A look that was under way may have begun before.
        enough = agent.metric(metric) + 2
        agent.until(f"{metric} is {enough}", partial(lambda name, least: agent.metric(name) >= least, metric, enough))


def test_a_killed_agent_leaves_nothing_open_and_the_next_one_opens_nothing(agent: BothControllers) -> None:
    lab = agent.lab
    asked = ways(*CLUSTER)
    guests = agent.slices("x/one", ["x/web-1"], ports=SLICE_PORTS)
    with agent.having(*told(TO_WEB)), Watcher(lab, ["x/client"], asked, ["x/web-1", "x/web-2"]) as watcher:
        agent.kill()
        watcher.go_on()
        agent.put(*guests)
        agent.start()
        watcher.go_on()
        agent.put(*agent.slices("x/one", ["x/web-0"], ports=SLICE_PORTS))
        watcher.go_on()
        assert (watcher.heard, watcher.seen()) == (REACHED, 0)


# --- attacks


def test_nobody_asks_under_the_nodes_own_address(agent: BothControllers) -> None:
    """G8: be it one of the node's services."""
    lab = agent.lab
    with agent.having(*told(policy("x/web", "app=web"))), Watcher(lab, [], [], ["x/web-0"]) as watcher:
        for name in ("x/client", "outside/near"):
            for family, own, vip in zip(Family, NODE_ADDRESSES["one"], CLUSTER, strict=True):
                with lab.lab.namespace(name).entered():
                    spoofing = socket.socket(AF[family], socket.SOCK_DGRAM)
                with spoofing:
                    spoofing.setsockopt(*TRANSPARENT[family], 1)
                    spoofing.bind((own, 0))
                    spoofing.sendto(b"spoofed", (vip, 53))
        time.sleep(0.3)
        assert watcher.seen() == 0


def test_an_endpoint_at_a_services_address_leads_to_no_listener_of_the_node(agent: BothControllers) -> None:
    """X5: the address is on the node, where IPVS would hand the packet up past every rule."""
    lab = agent.lab
    trap = of_either_protocol("x/trap", "10.96.0.66", "fd00:96::66")
    slices = [
        endpoint_slice(f"x/trap-{number}", "x/trap", endpoint(each), ports="t=7443/TCP u=7443/UDP")
        for number, each in enumerate(CLUSTER)
    ]
    everywhere = [
        Place(Endpoint("node/one", lab.node, builders.address("::")), protocol, 7443)
        for protocol in (Protocol.TCP, Protocol.UDP)
    ]
    with Servers(everywhere), agent.having(trap, *slices, *told(NOWHERE)):
        found = outcomes(agent.lab, ways("10.96.0.66", "fd00:96::66"), "x/client", "outside/near")
        direct = outcomes(agent.lab, ways(*CLUSTER, ports={Protocol.TCP: 7443}), "x/web-1", "outside/near")
    assert all(each <= {"silent", "refused"} for each in (*found.values(), *direct.values())), (found, direct)
    assert "10.96.0.10 is a service's own address: nothing is sent on from one to another" in agent.said


def test_fragments_and_ports_used_again_are_no_way_past(agent: BothControllers) -> None:
    """IPVS itself sends on no fragments of IPv6 that came through a bridge with br_netfilter."""
    lab = agent.lab
    (four, six), web = CLUSTER, ways(*CLUSTER)
    client = lab.endpoint("x/client")
    with agent.having(*told(TO_WEB)), Watcher(lab, [], [], ["x/web-1", "x/web-2"]) as watcher:
        with Conversation(client, builders.address(four), 53, Protocol.UDP, dialect=_at_length) as long:
            assert getattr(long.ask(), "name", None) == "x/web-0"
        with Conversation(client, builders.address(four), 80, own_port=5000) as first:
            assert getattr(first.ask(), "name", None) == "x/web-0"
            guest = lab.endpoint("x/web-1").address
            with Conversation(client, guest, PORT, own_port=5000, seconds=0.5) as again:
                assert again.opening is Outcome.SILENT
        agent.put(*agent.slices("x/one", ["x/web-1"], ports=SLICE_PORTS))
        for family, vip in zip(Family, (four, six), strict=True):
            asked = lab.endpoint("x/client", family), builders.address(vip), 53, Protocol.UDP
            with Conversation(*asked, dialect=_at_length, seconds=0.5) as long:
                assert isinstance(long.ask(), Outcome)
        agent.put(*agent.slices("x/one", ["x/web-0"], ports=SLICE_PORTS))
        assert (outcomes(agent.lab, web, "x/client")["x/client"], watcher.seen()) == (REACHED, 0)


def _at_length(opened: socket.socket) -> Reply:
    """Asks by a datagram of several fragments."""
    opened.send(b"?" * 4000)
    return Reply(*opened.recv(100).decode().split())


def test_an_address_that_no_known_pod_has_reaches_no_service(agent: BothControllers) -> None:
    """G12."""
    lab = agent.lab
    stranger = builders.pod("x/stranger", "10.1.0.77", "fd01::77", node=NODE)
    lab.lab.plug(stranger)
    try:
        unknown = outcomes(agent.lab, ways(*CLUSTER), "x/stranger")["x/stranger"]
        with agent.having(*told(stranger)):
            known = outcomes(agent.lab, ways(*CLUSTER), "x/stranger")["x/stranger"]
    finally:
        lab.lab.unplug("x/stranger")
    assert (unknown, known) == (SILENT, REACHED)


def test_forgotten_connections_are_not_picked_up_where_they_are_denied(agent: BothControllers) -> None:
    """G11: IPVS remembers them when conntrack does not."""
    lab = agent.lab
    spoken = service("x/spoken", "10.96.0.40", "fd00:96::40", ports="t=81/TCP u=81/UDP")
    slices = agent.slices("x/spoken", ["x/web-0"], ports="t=9000/TCP u=9000/UDP")
    asked = ways("10.96.0.40", "fd00:96::40", ports={Protocol.TCP: 81, Protocol.UDP: 81})
    with agent.having(spoken, *slices):
        lines = [
            Line(lab.endpoint("outside/near", way.family), lab.endpoint("x/web-0", way.family), 9000, way)
            for way in asked
        ]
        lab.run("conntrack", "-F")
        assert all(line.client_speaks() and line.server_speaks() for line in lines)
        agent.put(*told(policy("x/web", "app=web")))
        lab.run("conntrack", "-F")
        heard = [line.client_speaks() for line in lines]
        lab.run("conntrack", "-F")
        heard += [line.server_speaks() for line in lines if line.way.protocol is Protocol.TCP]
        agent.remove(*told(policy("x/web", "app=web")))
        for line in lines:
            line.close()
    assert heard == [False] * 6


def test_a_flow_that_is_older_than_a_service_does_not_become_one_of_its(agent: BothControllers) -> None:
    """X5: conntrack takes it for judged, and where it leads from now on nobody was asked."""
    lab = agent.lab
    taken = "203.0.113.77"
    lab.run("ip", "addr", "add", f"{taken}/32", "dev", "lo", on="outside/far")
    lab.run("ip", "route", "add", taken, *_way_to_far(lab))
    client = lab.endpoint("x/client")
    allowed = policy("x/client", "app=client", egress=[rule([IPBlock(parse_network(f"{taken}/32"))])])
    edge = service("x/edge", "10.96.0.50", ports=f"u={PORT}/UDP", externalIPs=[taken])
    slices = agent.slices("x/edge", ["x/web-1"], ports=f"u={PORT}/UDP")[:1]
    far = Endpoint("outside/far", lab.lab.namespace("outside/far"), builders.address(taken))
    with (
        Servers([Place(far, Protocol.UDP, PORT)]),
        agent.having(*told(allowed)),
        Watcher(lab, [], [], ["x/web-1"]) as watcher,
        Conversation(client, builders.address(taken), PORT, Protocol.UDP, seconds=0.05) as flow,
    ):
        assert getattr(flow.ask(), "name", None) == "outside/far"
        agent.say(edge, *slices)
        until = time.monotonic() + SOON_SECONDS
        while f"{taken}:{PORT}" not in agent.virtual_servers():
            assert time.monotonic() < until
            for _ in range(20):
                flow.ask()
        assert all(isinstance(flow.ask(), Outcome) for _ in range(20))
        seen = watcher.seen()
    agent.remove(edge, *slices)
    lab.run("ip", "route", "del", taken)
    lab.run("ip", "addr", "del", f"{taken}/32", "dev", "lo", on="outside/far")
    assert seen == 0


def _way_to_far(lab: ServiceLab) -> list[str]:
    """What a route of node one says that leads to `outside/far`."""
    far = str(lab.endpoint("outside/far").address)
    words = lab.run("ip", "route", "get", far).split()
    return ["via", far, "dev", words[words.index("dev") + 1], "onlink"]


# --- what is told of it


def _peer(record: dict[str, Any]) -> str:
    """Who the other end is, and `outside/near` for its addresses."""
    peer = record["peer"]
    return "outside/near" if peer["ip"] in OUTSIDE["near"] else f"{peer.get('namespace')}/{peer.get('name')}"


def test_a_refusal_names_the_client_and_the_endpoint(agent: BothControllers) -> None:
    """Not the node that would have masqueraded, and not the service."""
    closed = policy("x/web", "app=web", ingress=[rule([pods("app=nobody")], ["8080/TCP"])])
    clients = "x/client", "outside/near"
    asked = {"action": "deny", "reason": "implicit-isolation", "dst_port": PORT}
    with agent.having(*told(closed)):
        before = len(agent.records())
        assert outcomes(agent.lab, ways(*CLUSTER), *clients) == dict.fromkeys(clients, SILENT)
        record = agent.until_recorded(before, **asked, direction="ingress", protocol="TCP")
        wait_until(lambda: {_peer(each) for each in agent.records()[before:]} >= {*clients}, "records of both clients")
    assert (record["subject"]["namespace"], record["subject"]["name"]) == ("x", "web-0")
    assert [each["name"] for each in record["isolating"]] == ["web"]
    assert record["nearest_miss"]["name"] == "web"
    with agent.having(*told(NOWHERE)):
        before = len(agent.records())
        outcomes(agent.lab, ways(*CLUSTER), "x/client")
        record = agent.until_recorded(before, **asked, direction="egress", protocol="UDP")
    assert (record["subject"]["name"], record["peer"]["name"]) == ("client", "web-0")


# --- two processes


def test_two_processes_keep_what_one_would(service_lab: ServiceLab, tmp_path: Path) -> None:
    lab = service_lab
    lab.serve(["node/one"])
    api = of_either_protocol("x/api", "10.96.0.1", "fd00:96::1")
    slices = [
        endpoint_slice(f"x/api-{number}", "x/api", endpoint(each), ports=SLICE_PORTS)
        for number, each in enumerate(NODE_ADDRESSES["one"])
    ]
    asked = [*ways(*CLUSTER), *ways("10.96.0.1", "fd00:96::1")]
    proxy = DirectoryAgent(lab, tmp_path, "--cleanup-on-exit")
    proxy.put(*one(proxy), api, *slices, *told(NOWHERE))
    with proxy:
        with _firewall(lab, tmp_path, "--cleanup-on-exit"):
            assert entrances(lab) == [OURS, PROXYS] * 2
            assert outcomes(proxy.lab, asked, "x/client")["x/client"] == SILENT
            assert outcomes(proxy.lab, asked, "outside/near")["outside/near"] == {"x/web-0", "node/one"}
        assert entrances(lab) == [PROXYS] * 2
        assert outcomes(proxy.lab, asked, "x/client")["x/client"] == {"x/web-0", "node/one"}
        with _firewall(lab, tmp_path, "--metrics-port=20300") as firewall:
            assert entrances(lab) == [OURS, PROXYS] * 2
            assert outcomes(proxy.lab, asked, "x/client")["x/client"] == SILENT
            firewall.kill()
            proxy.kill()
            assert outcomes(proxy.lab, asked, "x/client")["x/client"] == SILENT
            assert outcomes(proxy.lab, asked, "outside/near")["outside/near"] == {"x/web-0", "node/one"}
            proxy.start()
            assert outcomes(proxy.lab, asked, "x/client")["x/client"] == SILENT
    assert entrances(lab) == [OURS] * 2
    assert lab.run("ipset", "list", "-n").count("NETPOL-SERVICE-") == 0
    assert "add " not in lab.run("ipset", "save", "NETPOL-SERVICES-4")


@contextmanager
def _firewall(lab: ServiceLab, directory: Path, *flags: str) -> Iterator[ForkedProcess]:
    """The firewall alone, on the manifests of the proxy that is beside it."""
    log = directory / "firewall.log"
    log.unlink(missing_ok=True)
    own = f"--source={directory / 'manifests'}", f"--hostname-override={NODE}", "--iptables-variant=legacy"
    ports = "--health-port=0", "--metrics-addr=127.0.0.1", "--metrics-port=20300", "--audit-log-path="
    process = ForkedProcess(lab.node, ["run", *own, *ports, *flags], log)
    process.until("programs the kernel", lambda: "kernel programmed" in log.read_text(), 60)
    yield process
    if process.status() is None:
        process.stop(SOON_SECONDS)
        assert process.status() == 0, log.read_text()
