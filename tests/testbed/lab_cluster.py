"""A lab whose first node has a real API server on its loopback: requests go in, packets come out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import builders
import yaml
from builders import address, world
from cluster import PATIENCE, protocol_and_port
from testbed.api_client import ApiClient, Object, Refused
from testbed.api_servers import CURRENT, OLD, STRANGER, ApiServer, Release
from world_manifests import manifests

from netpol.dataplane.conntrack import NetlinkFlows
from netpol.lab.lab import Lab
from netpol.lab.listeners import Place
from netpol.lab.prober import Outcome, Probe, probe
from netpol.lab.topology import Outside
from netpol.model.networks import Family
from netpol.model.objects import Namespace, Node, Pod

BETA = replace(OLD, name="beta", flags=(*OLD.flags, "--runtime-config=networking.k8s.io/v1=false"))
"""A server that serves policies as releases before 1.7 did: of extensions/v1beta1 alone."""

CORE, RBAC = "/api/v1", "/apis/rbac.authorization.k8s.io/v1"
POLICIES = {BETA: "/apis/extensions/v1beta1", CURRENT: "/apis/networking.k8s.io/v1"}
FAMILIES = {BETA: (Family.IPV4,), CURRENT: tuple(Family)}
"""The old release knows one address of a pod."""

ANNOTATION = "net.beta.kubernetes.io/network-policy"
DEFAULT_DENY = '{"ingress": {"isolation": "DefaultDeny"}}'
ROLE = "netpol"
MANIFEST = Path(__file__).parents[2] / "manifests" / "netpol-firewall.yaml"

FRONTEND = builders.pod(
    "production/frontend",
    "10.1.0.10",
    "fd01::10",
    labels="app=guestbook tier=frontend",
    ports="http=80/TCP",
    node="one",
)
BACKEND = builders.pod(
    "production/backend",
    "10.1.0.11",
    "fd01::11",
    labels="app=guestbook tier=backend",
    ports="redis=6379/TCP",
    node="one",
)
BATCH = builders.pod("production/batch", "10.1.0.12", "fd01::12", labels="app=batch", ports="http=81/TCP", node="one")
FRONT_TWO = builders.pod(
    "production/front-two", "10.2.0.10", "fd02::10", labels="app=guestbook tier=frontend", node="two"
)
CLIENT = builders.pod("staging/client", "10.1.0.13", "fd01::13", labels="app=client", node="one")
IMPOSTOR = builders.pod("staging/impostor", "10.2.0.11", "fd02::11", labels="app=guestbook tier=frontend", node="two")
"""Of another namespace, with the labels of the frontend."""

PODS = (FRONTEND, BACKEND, BATCH, FRONT_TWO, CLIENT, IMPOSTOR)
NAMESPACES = (builders.namespace("production", "team=red"), builders.namespace("staging", "team=blue"))
NODES = (
    builders.node("one", "192.168.50.1", "fd50::1", pod_cidrs=["10.1.0.0/24", "fd01::/64"]),
    builders.node("two", "192.168.50.2", "fd50::2", pod_cidrs=["10.2.0.0/24", "fd02::/64"]),
)
OUTSIDE = (
    Outside("client", (address("203.0.113.9"), address("2001:db8:9::9"))),
    Outside("server", (address("198.51.100.7"), address("2001:db8:7::7"))),
)
OWN_NODE = "node/one"
EVERYBODY = frozenset({*map(str, PODS), *map(str, OUTSIDE), OWN_NODE})
NOBODY = frozenset({OWN_NODE})
"""Who reaches a pod of node one that nothing is allowed to reach (G8)."""


class LabCluster:
    """The guestbook and its neighbours on two nodes, known to an API server that lives on node one.

    The server, etcd, kubectl and whatever else talks to them have to be in the network of
    `home`, as the test's thread is inside the `with`.
    """

    def __init__(self, release: Release, directory: Path) -> None:
        self.release = release
        self._open = ExitStack()
        self.lab = self._open.enter_context(Lab(NODES, PODS, OUTSIDE))
        self.home = self.lab.namespace(OWN_NODE)
        self.families = FAMILIES[release]
        with self.home.entered():
            self.server = ApiServer(release, directory)
        self.client: ApiClient = self.server.client()

    def __enter__(self) -> Self:
        with self._open, self.home.entered():
            self._open.enter_context(self.server)
            self._open = self._open.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    # --- objects

    def register(self, nodes: Iterable[Node] = NODES) -> None:
        """The server knows the whole world, by default with its nodes.

        They come last: an agent believes no list of a server that does not know its node, so it gets all or nothing.
        """
        for namespace in NAMESPACES:
            self.create_namespace(namespace)
        for pod in PODS:
            self.create_pod(pod)
        for node in nodes:
            self.create_node(node)

    def clear(self) -> None:
        """The server knows nothing of it any more, nor of any policy."""
        for name in [each.name for each in NAMESPACES]:
            with suppress(Refused):
                self.delete_namespace(name)
        for name in [each.name for each in NODES]:
            with suppress(Refused):
                self.client.delete(f"{CORE}/nodes/{name}")

    def forget_connections(self) -> None:
        """The node that the agent is on knows no connection any more; called in its namespace."""
        with NetlinkFlows() as connections:
            for family in Family:
                connections.delete(family, connections.read(family))

    def create_namespace(self, thing: Namespace) -> None:
        """The namespace exists."""
        (manifest,) = manifests(world(thing))
        self.client.create(f"{CORE}/namespaces", manifest)

    def delete_namespace(self, name: str) -> None:
        """It is gone, with its pods and policies: what the controllers of a cluster see to."""
        self.client.delete(self.policies(name))
        self.client.delete(f"{CORE}/namespaces/{name}/pods", gracePeriodSeconds=0)
        path = f"{CORE}/namespaces/{name}"
        dying = self.client.delete(path)
        if "metadata" in dying:
            self.client.replace(f"{path}/finalize", {**self.client.get(path), "spec": {"finalizers": []}})
        # The old release waits to be asked again, the current one has done it by now.
        with suppress(Refused):
            self.client.delete(path)

    def create_pod(self, thing: Pod) -> None:
        """The pod exists, and runs at its addresses."""
        (manifest,) = manifests(world(thing))
        for container in manifest["spec"]["containers"]:
            container["image"] = "none"
        pods = f"{CORE}/namespaces/{thing.namespace}/pods"
        self.client.create(pods, manifest)
        self.client.patch(f"{pods}/{thing.name}/status", {"status": manifest["status"]})

    def delete_pod(self, thing: Pod) -> None:
        """It is gone at once."""
        self.client.delete(f"{CORE}/namespaces/{thing.namespace}/pods/{thing.name}", gracePeriodSeconds=0)

    def create_node(self, thing: Node) -> None:
        """The node exists, with its addresses and pod ranges."""
        (manifest,) = manifests(world(thing))
        self.client.create(f"{CORE}/nodes", manifest)
        self.client.patch(f"{CORE}/nodes/{thing.name}/status", {"status": manifest["status"]})

    def annotate(self, name: str, value: str | None) -> None:
        """The namespace has the annotation, or none."""
        self.client.patch(f"{CORE}/namespaces/{name}", {"metadata": {"annotations": {ANNOTATION: value}}})

    def policies(self, of: str) -> str:
        """Where this server has the policies of a namespace."""
        return f"{POLICIES[self.release]}/namespaces/{of}/networkpolicies"

    def create_policy(self, name: str, **spec: object) -> None:
        """A policy `namespace/name` with this spec exists."""
        place, _, own = name.partition("/")
        self.client.create(self.policies(place), {"metadata": {"name": own}, "spec": {"podSelector": {}, **spec}})

    def patch_policy(self, name: str, **spec: object) -> None:
        """Its spec has these fields."""
        place, _, own = name.partition("/")
        self.client.patch(f"{self.policies(place)}/{own}", {"spec": spec})

    def delete_policy(self, name: str) -> None:
        """It is gone."""
        place, _, own = name.partition("/")
        self.client.delete(f"{self.policies(place)}/{own}")

    def bind_role(self) -> None:
        """The stranger may do what the manifests let the agent do, to the letter."""
        documents = yaml.safe_load_all(MANIFEST.read_text())
        (role,) = [each for each in documents if each["kind"] == "ClusterRole"]
        assert role["metadata"]["name"] == ROLE
        self.client.create(f"{RBAC}/clusterroles", role)
        subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": STRANGER}]
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE}
        binding: Object = {"metadata": {"name": ROLE}, "roleRef": reference, "subjects": subjects}
        self.client.create(f"{RBAC}/clusterrolebindings", binding)

    def unbind_role(self) -> None:
        """The stranger may do nothing."""
        for kind in ("clusterrolebindings", "clusterroles"):
            with suppress(Refused):
                self.client.delete(f"{RBAC}/{kind}/{ROLE}")

    # --- packets

    def question(self, source: str, place: str, family: Family = Family.IPV4) -> Probe:
        """The probe from one of everybody to a place such as `production/backend 6379/TCP`."""
        return Probe(self.lab.endpoint(source, family), self.place(place, family))

    def place(self, text: str, family: Family = Family.IPV4) -> Place:
        """What is called such as `production/backend 6379/TCP`."""
        destination, _, port = text.partition(" ")
        return Place(self.lab.endpoint(destination, family), *protocol_and_port(port))

    def assert_reached(self, expected: Mapping[str, Iterable[str]], sources: Iterable[str] = EVERYBODY) -> None:
        """Each place is reached by those named and by no other of `sources`; AssertionError tells what differs."""
        questions: dict[Probe, tuple[str, str, int]] = {}
        allowed: set[Probe] = set()
        for place, named in expected.items():
            meant = set(named)
            assert meant <= EVERYBODY, meant - EVERYBODY
            for source in set(sources) - {place.partition(" ")[0]}:
                for family in self.families:
                    question = self.question(source, place, family)
                    questions[question] = (source, place, family.value)
                    if source in meant:
                        allowed.add(question)
        outcomes = probe(questions, expected=allowed, patience=PATIENCE)
        wrong = {
            questions[question]: outcome.value
            for question, outcome in outcomes.items()
            if outcome is not (Outcome.REACHED if question in allowed else Outcome.SILENT)
        }
        assert wrong == {}, json.dumps({str(key): value for key, value in sorted(wrong.items())}, indent=1)
