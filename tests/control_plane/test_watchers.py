"""The sources follow real API servers of both releases, whatever becomes of those meanwhile."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

import pytest
import yaml
from testbed.api_client import ApiClient, Object
from testbed.api_servers import ADMIN, OLD, STRANGER, TOKENS, ApiServer
from testbed.followed import Followed
from testbed.kubectl import Kubectl

from netpol.model.facts import FIREWALL_KINDS, Kind
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy, Semantics
from netpol.settings import NetworkPolicyApi
from netpol.source.kube.watcher import Pace

pytestmark = pytest.mark.control_plane

V1, BETA = "/apis/networking.k8s.io/v1", "/apis/extensions/v1beta1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
NAMESPACES, NODES = "/api/v1/namespaces", "/api/v1/nodes"
ROOT = Path(__file__).parents[2]

HASTY = Pace(watch=1, lived=0, settle=1.5, most_wait=0.3)
"""Watches end all the time, and what is waited for is not waited for long."""


def make_node(client: ApiClient, name: str) -> None:
    client.create(NODES, {"metadata": {"name": name}, "spec": {"podCIDR": "10.1.0.0/24"}})
    addresses = [{"type": "InternalIP", "address": "192.0.2.7"}]
    client.patch(f"{NODES}/{name}/status", {"status": {"addresses": addresses}})


def make_pod(client: ApiClient, namespace: str, name: str, address: str) -> None:
    container = {"name": "c", "image": "none", "ports": [{"name": "http", "containerPort": 8080}]}
    spec = {"nodeName": "one", "containers": [container]}
    client.create(f"{NAMESPACES}/{namespace}/pods", {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec})
    give_address(client, namespace, name, address)


def give_address(client: ApiClient, namespace: str, name: str, address: str) -> None:
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    client.patch(f"{NAMESPACES}/{namespace}/pods/{name}/status", {"status": status})


def make_policy(client: ApiClient, namespace: str, name: str, api: str = V1) -> None:
    policy: Object = {"metadata": {"name": name}, "spec": {"podSelector": {}}}
    client.create(f"{api}/namespaces/{namespace}/networkpolicies", policy)


def make_world(server: ApiServer, namespace: str) -> ApiClient:
    """A namespace with a pod and a policy, and a node."""
    client = server.client()
    client.create(NAMESPACES, {"metadata": {"name": namespace, "labels": {"team": "red"}}})
    make_node(client, f"node-of-{namespace}")
    make_pod(client, namespace, "web", "10.1.0.5")
    make_policy(client, namespace, "closed")
    return client


def has_world(followed: Followed, namespace: str) -> bool:
    return followed.in_sync() and all(
        followed.value(*key)
        for key in (
            (Kind.NAMESPACE, "", namespace),
            (Kind.NODE, "", f"node-of-{namespace}"),
            (Kind.POD, namespace, "web"),
            (Kind.NETWORK_POLICY, namespace, "closed"),
        )
    )


def pod_of(followed: Followed, namespace: str, name: str = "web") -> Pod | None:
    found = followed.value(Kind.POD, namespace, name)
    assert found is None or isinstance(found, Pod)
    return found


def app_of(followed: Followed, namespace: str) -> str:
    found = pod_of(followed, namespace)
    return found.labels["app"] if found else ""


def addresses_of(followed: Followed, namespace: str, name: str = "web") -> list[str]:
    found = pod_of(followed, namespace, name)
    return [str(address) for address in found.addresses] if found else []


def until_addressed(followed: Followed, namespace: str, address: str, name: str = "web") -> None:
    followed.until(f"{name} has {address}", lambda: addresses_of(followed, namespace, name) == [address])


def is_closed(followed: Followed, namespace: str) -> bool:
    found = followed.value(Kind.NAMESPACE, "", namespace)
    assert isinstance(found, Namespace)
    return found.default_deny


def until_closed(followed: Followed, namespace: str, closed: bool) -> None:
    followed.until(f"closed: {closed}", lambda: is_closed(followed, namespace) is closed)


def semantics_of(followed: Followed, namespace: str, name: str) -> Semantics | None:
    found = followed.value(Kind.NETWORK_POLICY, namespace, name)
    assert found is None or isinstance(found, Policy)
    return found.semantics if found else None


def rules_of(followed: Followed, namespace: str, name: str) -> int:
    found = followed.value(Kind.NETWORK_POLICY, namespace, name)
    assert isinstance(found, Policy)
    return len(found.ingress)


def least_role() -> list[Object]:
    """The rules of the role that the manifests give the agent."""
    text = (ROOT / "manifests" / "netpol-firewall.yaml").read_text()
    (role,) = [document for document in yaml.safe_load_all(text) if document["kind"] == "ClusterRole"]
    rules: list[Object] = role["rules"]
    return rules


def bind(client: ApiClient, name: str, rules: list[Object]) -> None:
    """The stranger may do what these rules say."""
    client.create(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    stranger = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": STRANGER}
    client.create(f"{RBAC}/clusterrolebindings", {"metadata": {"name": name}, "roleRef": role, "subjects": [stranger]})


def test_every_kind_is_followed_from_its_list_on(api_server: ApiServer, namespace: str) -> None:
    client = make_world(api_server, namespace)
    with Followed(api_server.kubeconfig()) as followed:
        followed.until("the lists are in", lambda: has_world(followed, namespace))
        found = followed.value(Kind.NAMESPACE, "", namespace)
        assert isinstance(found, Namespace)
        assert found.labels["team"] == "red"
        node = followed.value(Kind.NODE, "", f"node-of-{namespace}")
        assert isinstance(node, Node)
        assert node.addresses == (ipaddress.ip_address("192.0.2.7"),)
        assert node.pod_cidrs == (ipaddress.ip_network("10.1.0.0/24"),)
        pod = pod_of(followed, namespace)
        assert pod is not None
        assert (addresses_of(followed, namespace), pod.node) == (["10.1.0.5"], "one")
        assert [(port.name, port.number) for port in pod.ports] == [("http", 8080)]

        pods = f"{NAMESPACES}/{namespace}/pods"
        client.patch(f"{pods}/web", {"metadata": {"labels": {"app": "db"}}})
        followed.until("the label", lambda: app_of(followed, namespace) == "db")
        make_pod(client, namespace, "late", "10.1.0.6")
        until_addressed(followed, namespace, "10.1.0.6", "late")
        client.delete(f"{pods}/late", gracePeriodSeconds=0)
        followed.until("the pod is gone", lambda: pod_of(followed, namespace, "late") is None)
        client.delete(f"{V1}/namespaces/{namespace}/networkpolicies/closed")
        followed.until("the policy is gone", lambda: followed.value(Kind.NETWORK_POLICY, namespace, "closed") is None)
        assert {kind: followed.lists(kind) for kind in Kind} == {kind: kind in FIREWALL_KINDS for kind in Kind}


def test_watches_that_end_miss_nothing_and_list_nothing_anew(api_server: ApiServer, namespace: str) -> None:
    client = make_world(api_server, namespace)
    with Followed(api_server.kubeconfig(), pace=HASTY) as followed:
        followed.until("the lists are in", lambda: has_world(followed, namespace))
        # Changes come for some seconds, while every watch ends each second.
        wanted = [f"10.1.1.{number}" for number in range(40)]
        for address in wanted:
            give_address(client, namespace, "web", address)
            until_addressed(followed, namespace, address)
        history = followed.history(Kind.POD, namespace, "web")
        assert [str(pod.addresses[0]) for pod in history if isinstance(pod, Pod)] == ["10.1.0.5", *wanted]
        assert [followed.lists(kind) for kind in FIREWALL_KINDS] == [1] * len(FIREWALL_KINDS)


def test_bookmarks_are_taken(current_server: ApiServer, namespace: str) -> None:
    client = make_world(current_server, namespace)
    with Followed(current_server.kubeconfig(), pace=Pace(watch=4)) as followed:
        followed.until("every kind is watched", followed.is_connected)
        give_address(client, namespace, "web", "10.1.0.9")
        followed.until("a bookmark", followed.bookmarks)


def test_a_version_that_was_compacted_is_listed_anew(api_server: ApiServer, namespace: str) -> None:
    client = make_world(api_server, namespace)
    with Followed(api_server.kubeconfig(), pace=Pace(most_wait=0.3)) as followed:
        followed.until("the lists are in", lambda: has_world(followed, namespace))
        followed.until("every kind is watched", followed.is_connected)
        # Other kinds' objects make all that the watchers have seen a matter of the past.
        for number in range(5):
            client.create(f"{NAMESPACES}/default/configmaps", {"metadata": {"name": f"{namespace}-{number}"}})
        api_server.etcd.compact()
        api_server.restart()
        followed.until("a version is gone", lambda: followed.failures("gone"))
        followed.until("every kind is watched", followed.is_connected)
        give_address(client, namespace, "web", "10.1.0.9")
        until_addressed(followed, namespace, "10.1.0.9")
        assert None not in followed.history(Kind.POD, namespace, "web")
        assert followed.lists(Kind.POD) > 1


def test_what_is_known_stays_while_the_server_is_away(api_server: ApiServer, namespace: str) -> None:
    client = make_world(api_server, namespace)
    with Followed(api_server.kubeconfig(), pace=Pace(most_wait=0.3)) as followed:
        followed.until("the lists are in", lambda: has_world(followed, namespace))
        before = len(followed.facts)
        api_server.kill()
        followed.until("every kind has failed", lambda: followed.failures("unreachable") >= len(FIREWALL_KINDS))
        assert has_world(followed, namespace)
        assert len(followed.facts) == before
        assert "source.kube" in followed.health.readiness().text
        api_server.start()
        followed.until("every kind is watched", followed.is_connected)
        client.delete(f"{NAMESPACES}/{namespace}/pods/web", gracePeriodSeconds=0)
        followed.until("the pod is gone", lambda: pod_of(followed, namespace) is None)
        assert "source.kube" not in followed.health.readiness().text


def test_a_store_that_was_emptied_opens_nothing_at_once(api_server: ApiServer, namespace: str) -> None:
    make_world(api_server, namespace)
    with Followed(api_server.kubeconfig(), pace=Pace(settle=4, most_wait=0.3)) as followed:
        followed.until("the lists are in", lambda: has_world(followed, namespace))
        api_server.wipe()
        followed.until("an empty list is not believed", lambda: followed.failures("empty"))
        assert pod_of(followed, namespace) is not None
        assert semantics_of(followed, namespace, "closed") is Semantics.V1
        # A cluster may well have no pods and no policies. It has nodes.
        followed.until("no pods are believed", lambda: pod_of(followed, namespace) is None)
        assert followed.value(Kind.NODE, "", f"node-of-{namespace}")
        assert "source.kube.Node" in followed.health.readiness().text
        client = make_world(api_server, f"{namespace}-again")
        followed.until("the new world", lambda: has_world(followed, f"{namespace}-again"))
        assert followed.value(Kind.NODE, "", f"node-of-{namespace}") is None
        give_address(client, f"{namespace}-again", "web", "10.1.0.9")
        until_addressed(followed, f"{namespace}-again", "10.1.0.9")


def test_the_role_of_the_manifests_is_enough(api_server: ApiServer, namespace: str) -> None:
    client = make_world(api_server, namespace)
    with Followed(api_server.kubeconfig(STRANGER), pace=Pace(most_wait=0.3)) as followed:
        followed.until("every kind was refused", lambda: followed.failures("forbidden") >= len(FIREWALL_KINDS))
        assert not followed.in_sync()
        bind(client, namespace, least_role())
        try:
            followed.until("the lists are in", lambda: has_world(followed, namespace))
            followed.until("every kind is watched", followed.is_connected)
        finally:
            client.delete(f"{RBAC}/clusterrolebindings/{namespace}")


@pytest.mark.parametrize("taken_away", ["namespaces", "nodes", "pods", "networkpolicies"])
@pytest.mark.parametrize("verb", ["list", "watch"])
def test_no_permission_of_the_role_is_too_many(
    current_server: ApiServer, namespace: str, taken_away: str, verb: str
) -> None:
    client = make_world(current_server, namespace)
    rules = [
        {
            **rule,
            "resources": [resource],
            "verbs": [each for each in rule["verbs"] if (resource, each) != (taken_away, verb)],
        }
        for rule in least_role()
        for resource in rule["resources"]
    ]
    bind(client, namespace, rules)
    try:
        with Followed(current_server.kubeconfig(STRANGER), pace=Pace(most_wait=0.3)) as followed:
            followed.until("it is forbidden", lambda: followed.failures("forbidden"))
            assert not followed.is_connected()
    finally:
        client.delete(f"{RBAC}/clusterrolebindings/{namespace}")


def test_what_kubectl_annotates_acts(api_server: ApiServer, namespace: str) -> None:
    make_world(api_server, namespace)
    kubectl = Kubectl(api_server.kubeconfig())
    key = "net.beta.kubernetes.io/network-policy"
    closed, open_ = ('{"ingress": {"isolation": "DefaultDeny"}}', '{"ingress": {}}')
    with Followed(api_server.kubeconfig()) as followed:
        followed.until("the lists are in", lambda: has_world(followed, namespace))
        assert not is_closed(followed, namespace)
        for value, expected in ((closed, True), (open_, False), (closed, True)):
            kubectl("annotate", "--overwrite", "ns", namespace, f"{key}={value}")
            until_closed(followed, namespace, expected)
        kubectl("annotate", "ns", namespace, f"{key}-")
        until_closed(followed, namespace, closed=False)


def test_beta_policies_live_their_life(old_server: ApiServer, namespace: str) -> None:
    client = make_world(old_server, namespace)
    policies = f"{BETA}/namespaces/{namespace}/networkpolicies"
    with Followed(old_server.kubeconfig(), NetworkPolicyApi.V1BETA1) as followed:
        # One store under two names (M5): what was made by the other is there.
        followed.until("the lists are in", lambda: has_world(followed, namespace))
        assert semantics_of(followed, namespace, "closed") is Semantics.ANNOTATION
        make_policy(client, namespace, "beta", BETA)
        followed.until("it is there", lambda: semantics_of(followed, namespace, "beta") is Semantics.ANNOTATION)
        client.patch(f"{policies}/beta", {"spec": {"ingress": [{}]}})
        followed.until("it has a rule", lambda: rules_of(followed, namespace, "beta") == 1)
        client.delete(f"{policies}/beta")
        followed.until("it is gone", lambda: semantics_of(followed, namespace, "beta") is None)


def test_the_api_of_policies_is_found_and_found_again(old_server: ApiServer, namespace: str) -> None:
    make_world(old_server, namespace)
    with Followed(old_server.kubeconfig(), pace=Pace(most_wait=0.3)) as followed:
        followed.until("the lists are in", lambda: has_world(followed, namespace))
        assert semantics_of(followed, namespace, "closed") is Semantics.V1
        old_server.restart(["--runtime-config=networking.k8s.io/v1=false"])
        try:
            followed.until("beta", lambda: semantics_of(followed, namespace, "closed") is Semantics.ANNOTATION)
        finally:
            old_server.restart()
        followed.until("v1 again", lambda: semantics_of(followed, namespace, "closed") is Semantics.V1)
        assert None not in followed.history(Kind.NETWORK_POLICY, namespace, "closed")


def test_an_address_that_is_none_stops_nothing(old_server: ApiServer, namespace: str) -> None:
    assert old_server.release is OLD
    client = make_world(old_server, namespace)
    with Followed(old_server.kubeconfig()) as followed:
        followed.until("the lists are in", lambda: has_world(followed, namespace))
        nonsense = {"status": {"podIP": "nonsense"}}
        client.patch(f"{NAMESPACES}/{namespace}/pods/web/status", nonsense)
        make_pod(client, namespace, "next", "10.1.0.7")
        until_addressed(followed, namespace, "10.1.0.7", "next")
        # What is not understood keeps its last good value.
        assert addresses_of(followed, namespace) == ["10.1.0.5"]


def test_a_token_that_is_renewed_in_its_file_is_used(api_server: ApiServer, namespace: str, tmp_path: Path) -> None:
    client = make_world(api_server, namespace)
    token = tmp_path / "token"
    token.write_text(TOKENS[ADMIN][0])
    configuration = json.loads(api_server.kubeconfig().read_text())
    configuration["users"][0]["user"] = {"tokenFile": str(token)}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(configuration))
    with Followed(kubeconfig, pace=HASTY) as followed:
        followed.until("the lists are in", lambda: has_world(followed, namespace))
        token.write_text("revoked")
        followed.until("it is refused", lambda: followed.failures("unauthorized"))
        assert has_world(followed, namespace)
        token.write_text(TOKENS[ADMIN][0])
        followed.until("every kind is watched", followed.is_connected)
        give_address(client, namespace, "web", "10.1.0.9")
        until_addressed(followed, namespace, "10.1.0.9")
