"""What a service is reached by, from where."""

from __future__ import annotations

from collections.abc import Iterator

import builders
import pytest
from vm.conversation import answering, ask
from vm.directory_agent import DirectoryAgent
from vm.families import BALANCER, CLUSTER, EXTERNAL, FAMILIES, GATEWAY, NODE_PORT, PRIMARY
from vm.service_lab import PORT, ServiceLab
from vm.service_manifests import endpoint, endpoint_slice, service
from waiting import wait_until

from netpol.lab.prober import Outcome
from netpol.model.networks import Family, family_of
from netpol.model.ports import Protocol
from proxy.names import served_set

pytestmark = pytest.mark.vm

PROTOCOLS = pytest.mark.parametrize(
    "protocol", [Protocol.TCP, Protocol.UDP, Protocol.SCTP], ids=lambda protocol: protocol.value
)
CLIENTS = ("x/client", "x/web-0", "x/far", "node/one", "node/two", "outside/near", "outside/far")

HOSTS = ("x/far", "node/one", "node/two")

OTHER = {Family.IPV4: "10.96.0.11", Family.IPV6: "fd00:96::11"}
LATER = {Family.IPV4: "192.0.2.101", Family.IPV6: "2001:db8::101"}
API_PORT, OTHER_PORT = 6443, 9090

SERVICE_PORTS = "t=80:30080/TCP u=80:30080/UDP s=80:30080/SCTP"
SLICE_PORTS = "t=8080/TCP u=8080/UDP s=8080/SCTP"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectoryAgent]:
    with ServiceLab() as lab, DirectoryAgent(lab, tmp_path_factory.mktemp("agent")) as agent:
        lab.serve(lab.web, PORT, [Protocol.SCTP])
        lab.serve(HOSTS, API_PORT)
        lab.serve(["x/web-2"], OTHER_PORT)
        yield agent


@pytest.fixture
def agent(running: DirectoryAgent) -> DirectoryAgent:
    """A service that has everything, in front of web-1 and web-2; web-0 is a client like others."""
    web = service(
        "x/web",
        *CLUSTER.values(),
        ports=SERVICE_PORTS,
        type="LoadBalancer",
        ingress=tuple(BALANCER.values()),
        externalIPs=[*EXTERNAL.values()],
    )
    running.run_with()
    running.only(web, *running.slices("x/web", ["x/web-1", "x/web-2"], SLICE_PORTS))
    return running


IN_TURN = {"x/web-1": 2, "x/web-2": 2}


def reached(agent: DirectoryAgent, address: str, port: int, protocol: Protocol, family: Family) -> dict[str, object]:
    """Who answered each client's questions, and how often."""
    asked = builders.address(address)
    return {name: dict(answering(agent.lab.endpoint(name, family), asked, port, protocol, times=4)) for name in CLIENTS}


@FAMILIES
@PROTOCOLS
@pytest.mark.parametrize("addresses", [CLUSTER, EXTERNAL, BALANCER], ids=["cluster", "external", "balancer"])
def test_everybody_reaches_every_endpoint_in_turn(
    agent: DirectoryAgent, addresses: dict[Family, str], protocol: Protocol, family: Family
) -> None:
    assert reached(agent, addresses[family], 80, protocol, family) == dict.fromkeys(CLIENTS, IN_TURN)


@FAMILIES
@PROTOCOLS
def test_everybody_reaches_the_node_port(agent: DirectoryAgent, protocol: Protocol, family: Family) -> None:
    assert reached(agent, PRIMARY[family], NODE_PORT, protocol, family) == dict.fromkeys(CLIENTS, IN_TURN)


@FAMILIES
def test_the_node_port_is_of_the_nodes_own_address_alone(agent: DirectoryAgent, family: Family) -> None:
    for address in (GATEWAY[family], CLUSTER[family], EXTERNAL[family]):
        client = agent.lab.endpoint("x/client", family)
        assert ask(client, builders.address(address), NODE_PORT) is Outcome.REFUSED
    assert ask(agent.lab.endpoint("outside/near", family), builders.address(PRIMARY[family]), 80) is Outcome.REFUSED


def test_ports_lead_to_their_own_endpoints_each_under_its_number(agent: DirectoryAgent) -> None:
    lab = agent.lab
    pods = {name: str(lab.endpoint(name).address) for name in lab.web}
    named = (
        service("x/named", OTHER[Family.IPV4], ports="http=80/TCP admin=81/TCP"),
        endpoint_slice("x/named-1", "x/named", endpoint(pods["x/web-0"]), ports="http=8080/TCP"),
        endpoint_slice("x/named-2", "x/named", endpoint(pods["x/web-2"]), ports=f"http={OTHER_PORT}/TCP"),
        endpoint_slice("x/named-3", "x/named", endpoint(pods["x/web-1"]), ports="admin=8080/TCP"),
    )
    client, vip = lab.endpoint("outside/near"), builders.address(OTHER[Family.IPV4])
    with agent.having(*named):
        assert answering(client, vip, 80, times=4) == {"x/web-0": 2, "x/web-2": 2}
        assert answering(client, vip, 81, times=2) == {"x/web-1": 2}


@FAMILIES
def test_endpoints_may_be_on_another_node_and_nodes_themselves(agent: DirectoryAgent, family: Family) -> None:
    lab = agent.lab
    ends = [endpoint(str(lab.endpoint(name, family).address), name.rpartition("/")[2]) for name in HOSTS]
    api = service("x/api", OTHER[family], ports="443/TCP")
    with agent.having(api, endpoint_slice("x/api-1", "x/api", *ends, ports=f"{API_PORT}/TCP")):
        for name in CLIENTS:
            client = lab.endpoint(name, family)
            found = answering(client, builders.address(OTHER[family]), 443, times=6)
            assert found == dict.fromkeys(HOSTS, 2), name


def test_a_service_of_one_family_has_nothing_of_the_other(agent: DirectoryAgent) -> None:
    single = service("x/single", OTHER[Family.IPV6]), *agent.slices("x/single")
    client = agent.lab.endpoint("x/client", Family.IPV6)
    with agent.having(*single):
        assert answering(client, builders.address(OTHER[Family.IPV6]), 80, times=3).total() == 3
        added = [line for line in agent.virtual_servers().splitlines() if "fd00:96::11" in line]
        assert [line.split()[:3] for line in added if line.startswith("-A")] == [["-A", "-t", "[fd00:96::11]:80"]]
        assert all("[fd01::" in line for line in added if line.startswith("-a"))
        assert len(added) == 4


def test_services_without_addresses_and_those_of_another_proxy_are_left_alone(agent: DirectoryAgent) -> None:
    before = agent.virtual_servers(), agent.lab.run("ip", "-br", "addr", "show", "dev", "kube-dummy-if")
    others = service("x/others", OTHER[Family.IPV4], externalIPs=["203.0.113.30"])
    others["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "cilium"}
    alone = (
        service("x/headless", "None", externalIPs=["203.0.113.31"]),
        service("x/name", OTHER[Family.IPV4], type="ExternalName", externalName="example.org"),
        others,
        *(one for name in ("x/headless", "x/name", "x/others") for one in agent.slices(name)),
    )
    with agent.having(*alone):
        assert before == (
            agent.virtual_servers(),
            agent.lab.run("ip", "-br", "addr", "show", "dev", "kube-dummy-if"),
        )
        assert agent.metric("netpol_notices", kind="Service") == 0


def test_node_ports_are_on_every_own_address_where_asked_for_and_follow_them(agent: DirectoryAgent) -> None:
    agent.run_with("--nodeport-bindon-all-ip")
    for family in Family:
        for name in ("x/client", "node/one"):
            assert_in_turn(agent, name, PRIMARY[family])
            assert_in_turn(agent, name, GATEWAY[family])
        assert_in_turn(agent, "outside/near", PRIMARY[family])
        near, vip = agent.lab.endpoint("outside/near", family), builders.address(CLUSTER[family])
        assert ask(near, vip, NODE_PORT) is Outcome.REFUSED
        assert_an_address_is_followed(agent, family)


def assert_in_turn(agent: DirectoryAgent, client: str, address: str) -> None:
    asked = builders.address(address)
    source = agent.lab.endpoint(client, family_of(asked))
    assert answering(source, asked, NODE_PORT, times=4) == IN_TURN, (client, address)


def assert_an_address_is_followed(agent: DirectoryAgent, family: Family) -> None:
    """The node gets it, and loses it again."""
    lab, later = agent.lab, LATER[family]
    place = f"{later}/{family.bits}", "dev", "eth0"
    lab.run("ip", "route", "add", later, "via", PRIMARY[family], on="outside/near")
    assert f"{later}" not in agent.virtual_servers()
    lab.run("ip", "addr", "add", *place)
    wait_until(lambda: f"{later}" in agent.virtual_servers(), "it is served too")
    wait_until(lambda: later in agent.lab.run("ipset", "list", served_set(family)), "it lets clients in")
    assert_in_turn(agent, "outside/near", later)
    lab.run("ip", "addr", "del", *place)
    wait_until(lambda: f"{later}" not in agent.virtual_servers(), "it is served no more")
