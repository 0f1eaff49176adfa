"""The how-to's DaemonSet with its image swapped: services from everywhere, and schedulers switched while they run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest
from testbed.callers import Caller, Callers
from testbed.cluster_fixtures import fresh_namespace
from testbed.kube_router import CNI, CNI_FILE, rolled_out
from testbed.live_cluster import LiveCluster
from testbed.node_files import NODE, NODE_V4, OUTSIDE_V4
from testbed.workloads import PORT, LiveNamespace, deployment
from vm.servers import Reply
from waiting import wait_until

from netpol.lab.prober import Outcome

pytestmark = pytest.mark.vm_e2e

ARGUMENTS = [
    *("--run-router=false", "--run-firewall=false", "--run-service-proxy=true"),
    *("--kubeconfig=/var/lib/kube-router/kubeconfig", "--masquerade-all"),
    *("--ipvs-sync-period=5s", "--iptables-sync-period=10s", "--cluster-cidr=10.20.0.0/16", "--metrics-port=80"),
]
NAME = "go-cloudmsg"
EXTERNAL = "203.0.113.20"
REPLICAS = 3
TENANT, TENANT_EXTERNAL = "tenant", "203.0.113.30"
DELETED_SECONDS = 180
"""How long what is in a namespace may take to be deleted with it; the cluster goes through all kinds of objects."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A service in front of three pods, and who asks it where."""

    namespace: LiveNamespace
    cluster_ip: str
    node_port: int
    callers: Callers
    client: Caller

    @property
    def web(self) -> list[str]:
        """The names of the pods that serve, which another test may have replaced."""
        return sorted(pod.name for pod in self.namespace.pods_of(NAME))

    def doors(self) -> list[tuple[Caller, str, int]]:
        """Each caller with an address and a port that it may ask at."""
        node, outside = self.callers.node(), self.callers.outside()
        return [(caller, *way) for caller in (self.client, node, outside) for way in self.ways]

    @property
    def ways(self) -> list[tuple[str, int]]:
        """Each address of the service, with its port there."""
        return [(self.cluster_ip, 80), (NODE_V4, self.node_port), (EXTERNAL, 80)]

    def schedule(self, scheduler: str) -> None:
        """As the how-to has it; every virtual server of the service is scheduled so."""
        wanted = {"metadata": {"annotations": {"kube-router.io/service.scheduler": scheduler}}}
        self.namespace.kubectl("patch", "svc", NAME, "-p", json.dumps(wanted))
        # A command in the agent's pod would take seconds to start.
        wanted_of_each = {f"-A -t {at}:{port} -s {scheduler}" for at, port in self.ways}
        wait_until(lambda: wanted_of_each <= virtual_servers(self.namespace.cluster), f"{scheduler} everywhere")

    def schedulers(self, service: str = NAME) -> list[str]:
        """Those of a service's virtual servers, as `netpol services` says."""
        return [each["scheduler"] for each in self.listed() if each["name"] == service]

    def listed(self) -> list[dict[str, str]]:
        """The virtual servers of the namespace, as `netpol services` has them for programs."""
        command = ("exec", "daemonset/kube-router", "--", "netpol", "services", "-o", "json", "-n", str(self.namespace))
        found: list[dict[str, str]] = json.loads(self.namespace.cluster.kubectl("-n", "kube-system", *command))
        return found


@pytest.fixture(scope="module", name="shop")
def _shop(live_cluster: LiveCluster, own_image: str) -> Iterator[Shop]:
    with (
        rolled_out(live_cluster, own_image, ARGUMENTS),
        fresh_namespace(live_cluster) as namespace,
        ExitStack() as stack,
    ):
        namespace.apply(deployment(NAME, replicas=REPLICAS), deployment("client"), _service())
        namespace.pods_of(NAME)
        (client,) = namespace.pods_of("client")
        spec = json.loads(namespace.kubectl("get", "svc", NAME, "-o", "json"))["spec"]
        callers = Callers(live_cluster, stack)
        shop = Shop(namespace, spec["clusterIP"], spec["ports"][0]["nodePort"], callers, callers.pod(client))
        everybody = _each(shop.web, 1)
        wait_until(lambda: shop.client.answering(shop.cluster_ip, times=REPLICAS) == everybody, "three endpoints")
        yield shop


def _service() -> dict[str, object]:
    spec = {
        "type": "NodePort",
        "selector": {"deployment": NAME},
        "externalIPs": [EXTERNAL],
        "ports": [{"port": 80, "targetPort": PORT}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": spec}


def virtual_servers(cluster: LiveCluster) -> set[str]:
    """A line for each virtual server of the node and for each endpoint, as ipvsadm has them."""
    return set(cluster.run("ipvsadm", "--save", "--numeric").splitlines())


def _is_even(web: list[str], caller: Caller, address: str, port: int) -> bool:
    """On a busy machine a pod may fail its readiness probe, and miss a turn until the next."""
    return caller.answering(address, port, times=2 * REPLICAS) == _each(web, 2)


def _is_refused(caller: Caller, address: str) -> bool:
    return caller.ask(address, seconds=1) is Outcome.REFUSED


def _each(web: list[str], times: int) -> Counter[str]:
    return Counter(dict.fromkeys(web, times))


def test_a_service_starts_with_round_robin(shop: Shop) -> None:
    """Also one that was never annotated, whatever others are told meanwhile."""
    plain = {**_service(), "metadata": {"name": "plain"}}
    plain["spec"] = {"selector": {"deployment": NAME}, "ports": [{"port": 80, "targetPort": PORT}]}
    shop.namespace.apply(plain)
    wait_until(lambda: shop.schedulers("plain") == ["rr"], "a virtual server")


def test_round_robin_is_even_wherever_it_is_asked(shop: Shop) -> None:
    shop.schedule("rr")
    web = shop.web
    for caller, address, port in shop.doors():
        wait_until(partial(_is_even, web, caller, address, port), f"{caller.namespace.name} at {address}:{port}")


def test_whoever_asks_is_masqueraded(shop: Shop) -> None:
    reply = shop.callers.outside().ask(NODE_V4, shop.node_port)
    assert isinstance(reply, Reply)
    assert reply.name in shop.web
    assert reply.peer != OUTSIDE_V4


def test_least_connections_fill_up_who_has_least(shop: Shop) -> None:
    shop.schedule("lc")
    web = shop.web
    for caller, address, port in shop.doors()[::4]:
        with ExitStack() as held:
            busy = [held.enter_context(caller.hold(address, port)) for _ in range(2 * REPLICAS)]
            answered = [each.ask() for each in busy]
            names = [reply.name for reply in answered if isinstance(reply, Reply)]
            assert Counter(names) == _each(web, 2)
            for each, name in zip(busy, names, strict=True):
                if name == web[0]:
                    each.close()
            # The kernel takes a closing connection for inactive once it has seen both ends close.
            following = [held.enter_context(caller.hold(address, port)).ask() for _ in range(2)]
            assert [reply.name for reply in following if isinstance(reply, Reply)] == [web[0]] * 2


def test_by_source_each_client_stays_with_one_pod(shop: Shop) -> None:
    shop.schedule("sh")
    for caller, address, port in shop.doors():
        assert len(caller.answering(address, port, times=6)) == 1


def test_by_destination_everybody_is_sent_to_one_pod(shop: Shop) -> None:
    shop.schedule("dh")
    at: dict[str, set[str]] = {}
    for caller, address, port in shop.doors():
        at.setdefault(address, set()).update(caller.answering(address, port, times=3))
    assert {address: len(pods) for address, pods in at.items()} == {shop.cluster_ip: 1, NODE_V4: 1, EXTERNAL: 1}


def test_a_switch_breaks_no_connection_and_no_request(shop: Shop) -> None:
    outside = shop.callers.outside()
    with ExitStack() as held:
        open_since = [held.enter_context(outside.hold(NODE_V4, shop.node_port)) for _ in range(4)]
        before = [each.ask() for each in open_since]
        for scheduler in ("rr", "lc", "sh", "dh", "rr"):
            shop.schedule(scheduler)
            assert sum(outside.answering(shop.cluster_ip, times=4).values()) == 4
            assert [each.ask() for each in open_since] == before


def test_a_service_without_endpoints_is_refused_at_once_and_comes_back(shop: Shop) -> None:
    shop.schedule("rr")
    kubectl, callers = shop.namespace.kubectl, (shop.client, shop.callers.node(), shop.callers.outside())
    kubectl("scale", f"deployment/{NAME}", "--replicas=0")
    for caller in callers:
        wait_until(partial(_is_refused, caller, shop.cluster_ip), "a refusal")
    kubectl("scale", f"deployment/{NAME}", f"--replicas={REPLICAS}")
    names = {pod.name for pod in shop.namespace.pods_of(NAME)}
    wait_until(lambda: set(shop.client.answering(shop.cluster_ip, times=REPLICAS)) == names, "all of them")


def test_a_deleted_namespace_takes_its_services_with_it_and_leaves_others(shop: Shop) -> None:
    cluster, theirs = shop.namespace.cluster, "-A -t 198.18.0.1:80 -s wlc"
    cluster.run("ipvsadm", *theirs.split())
    shop.schedule("rr")
    others = {theirs, *(f"-A -t {at}:{port} -s rr" for at, port in shop.ways)}
    with fresh_namespace(cluster) as deleted:
        deleted.apply(*_tenant(shop))
        spec = json.loads(deleted.kubectl("get", "svc", TENANT, "-o", "json"))["spec"]
        ways = [(spec["clusterIP"], 80), (NODE_V4, spec["ports"][0]["nodePort"]), (TENANT_EXTERNAL, 80)]
        for at, port in ways:
            wait_until(partial(_is_answered, shop.client, at, port), f"the tenant is served at {at}")
            assert _held(cluster, at, port) == {"virtual server", "address", "member"}
    for at, port in ways:
        # A node port is at the node's own address, which stays.
        left = {"address"} if at == NODE_V4 else set[str]()
        wait_until(partial(_holds, cluster, at, port, left), f"the tenant has nothing at {at}", DELETED_SECONDS)
    assert others <= virtual_servers(cluster)
    for caller, at, port in shop.doors()[::4]:
        assert sum(caller.answering(at, port, times=REPLICAS).values()) == REPLICAS
    cluster.run("ipvsadm", *theirs.replace("-A", "-D").split()[:3])


def _tenant(shop: Shop) -> list[dict[str, object]]:
    """A service of another namespace, in front of a pod that the shop has too."""
    (address, *_), port = shop.namespace.pods_of(NAME)[0].addresses, {"port": 80, "targetPort": PORT}
    spec = {"type": "NodePort", "externalIPs": [TENANT_EXTERNAL], "ports": [port]}
    behind = {"addresses": [address], "conditions": {"ready": True}, "nodeName": NODE}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": TENANT}, "spec": spec},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": TENANT, "labels": {"kubernetes.io/service-name": TENANT}},
            "addressType": "IPv4",
            "endpoints": [behind],
            "ports": [{"port": PORT, "protocol": "TCP"}],
        },
    ]


def _is_answered(caller: Caller, at: str, port: int) -> bool:
    return isinstance(caller.ask(at, port, seconds=1), Reply)


def _held(cluster: LiveCluster, at: str, port: int) -> set[str]:
    """In what of the node's kernel the address of a service is, or its port there."""
    found = {
        "virtual server": any(f" {at}:{port} " in f"{line} " for line in virtual_servers(cluster)),
        "address": f" {at}/" in cluster.run("ip", "-o", "-4", "addr"),
        "member": f" {at},tcp:{port} " in cluster.run("ipset", "save").replace("\n", " \n"),
    }
    return {each for each, is_held in found.items() if is_held}


def _holds(cluster: LiveCluster, at: str, port: int, kinds: set[str]) -> bool:
    return _held(cluster, at, port) == kinds


def test_the_mounted_configuration_is_left_as_it_is(shop: Shop) -> None:
    kubectl = shop.namespace.cluster.kubectl
    written = kubectl("-n", "kube-system", "exec", "daemonset/kube-router", "--", "cat", CNI_FILE)
    assert json.loads(written) == CNI
    log = kubectl("-n", "kube-system", "logs", "daemonset/kube-router")
    assert "without effect" not in log
