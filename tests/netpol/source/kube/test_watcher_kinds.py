"""Kinds that are not served, or by another API, or served with objects that make no sense."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from api_server import ApiServer
from api_store import Age
from builders import BOTH, INGRESS, beta, pod, policy, rule
from following import Following, manifest

from netpol.model.facts import Kind
from netpol.model.objects import Pod
from netpol.model.policies import Policy, Semantics
from netpol.settings import NetworkPolicyApi, PolicyOptions
from netpol.source.kube.watcher import Pace

NETWORKING, EXTENSIONS = "/apis/networking.k8s.io/v1", "/apis/extensions/v1beta1"
ALLOW = policy("x/allow", "app=web", ingress=[rule(ports=["80/TCP"])])


@pytest.fixture(name="server")
def _server() -> Iterator[ApiServer]:
    with ApiServer(Age.OLD) as server:
        server.store.put(manifest(ALLOW))
        yield server


def policies(
    server: ApiServer, api: NetworkPolicyApi = NetworkPolicyApi.AUTO, options: PolicyOptions | None = None
) -> Following:
    return Following(server, Kind.NETWORK_POLICY, policy_api=api, options=options)


def semantics(following: Following, name: str = "x/allow") -> Semantics | None:
    value = following.value(name)
    return value.semantics if isinstance(value, Policy) else None


@pytest.mark.parametrize(
    ("api", "served", "expected"),
    [
        (NetworkPolicyApi.AUTO, {NETWORKING, EXTENSIONS}, Semantics.V1),
        (NetworkPolicyApi.AUTO, {EXTENSIONS}, Semantics.ANNOTATION),
        (NetworkPolicyApi.V1BETA1, {NETWORKING, EXTENSIONS}, Semantics.ANNOTATION),
        (NetworkPolicyApi.V1, {NETWORKING, EXTENSIONS}, Semantics.V1),
    ],
)
def test_the_endpoint_says_what_policies_mean(
    server: ApiServer, api: NetworkPolicyApi, served: set[str], expected: Semantics
) -> None:
    server.served = served
    with policies(server, api) as following:
        following.until_it_has("x/allow")
        assert semantics(following) is expected
        server.wait_for_watch("networkpolicies")
        endpoints = {asked.path for asked in server.asked if asked.path.endswith("networkpolicies")}
        assert len(endpoints) == 1, "both endpoints are one store (M5)"


def test_beta_policies_may_be_given_the_later_rules(server: ApiServer) -> None:
    options = PolicyOptions(v1beta1_semantics=Semantics.V1)
    with policies(server, NetworkPolicyApi.V1BETA1, options) as following:
        following.until_it_has("x/allow")
        assert semantics(following) is Semantics.V1


def test_the_watch_moves_to_the_api_that_is_served_now(server: ApiServer) -> None:
    server.served = {EXTENSIONS}
    with policies(server) as following:
        following.until(lambda: semantics(following) is Semantics.ANNOTATION)
        server.wait_for_watch("networkpolicies")
        server.served = {NETWORKING}
        server.cut("networkpolicies")
        following.until(lambda: semantics(following) is Semantics.V1)
        assert following.value("x/allow") == ALLOW


def test_a_kind_that_disappears_keeps_its_objects(server: ApiServer) -> None:
    with policies(server) as following:
        following.until_it_has("x/allow")
        server.wait_for_watch("networkpolicies")
        server.served = set()
        server.end("networkpolicies")
        following.until(lambda: following.failures("not-served") >= 8)
        assert following.now > Pace().settle
        assert following.has("x/allow")
        server.served = {EXTENSIONS}
        following.until(lambda: semantics(following) is Semantics.ANNOTATION)


def test_policies_that_no_api_serves_are_waited_for(server: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    """Every server has an API for them; rules that another run of the agent left are not to be taken away."""
    server.served = set()
    with policies(server) as following:
        following.until(lambda: following.now > 10 * Pace().settle)
        assert not following.bus.in_sync([Kind.NETWORK_POLICY])
        assert caplog.text.count("the watch failed") == 1
        assert "does not serve networkpolicies.networking.k8s.io or networkpolicies.extensions" in (
            following.health.liveness().text
        )
        assert max(following.waits) <= Pace().probe
        server.served = {NETWORKING}
        following.until_it_has("x/allow")


def test_namespaces_that_are_not_served_are_waited_for(server: ApiServer) -> None:
    server.served = set()
    with Following(server, Kind.NAMESPACE) as following:
        following.until(lambda: following.now > 10 * Pace().settle)
        assert not following.bus.in_sync([Kind.NAMESPACE])


def test_a_pod_never_understood_is_absent(server: ApiServer) -> None:
    with Following(server) as pods:
        server.wait_for_watch("pods")
        bad = manifest(pod("x/bad", "10.0.0.1"))
        bad["status"]["podIP"] = "nonsense"
        server.store.put(bad)
        server.store.put(manifest(pod("x/good", "10.0.0.2")))
        pods.until_it_has("x/good")
        assert pods.gauge("unreadable_objects") == 1
        assert pods.gauge("notices") == 1
        server.store.put(manifest(pod("x/bad", "10.0.0.1")))
        pods.until_it_has("x/good", "x/bad")
        assert pods.gauge("unreadable_objects") == 0
        assert pods.gauge("notices") == 0


@pytest.mark.parametrize("way", ["event", "list"])
def test_a_pod_not_understood_any_more_stays_as_it_was(server: ApiServer, way: str) -> None:
    server.store.put(manifest(pod("x/a", "10.0.0.1")))
    with Following(server) as pods:
        pods.until_it_has("x/a")
        server.wait_for_watch("pods")
        bad = manifest(pod("x/a", "10.0.0.9"))
        bad["status"]["podIP"] = "nonsense"
        if way == "event":
            server.store.put(bad)
        else:
            server.store.load([bad])
            server.end("pods")
        pods.until(lambda: pods.gauge("unreadable_objects") == 1)
        assert pods.value("x/a") == pod("x/a", "10.0.0.1")
        server.store.delete("Pod", "x", "a")
        pods.until_it_has()
        assert pods.gauge("unreadable_objects") == 0


def test_another_pod_of_the_name_does_not_inherit(server: ApiServer) -> None:
    server.store.put(manifest(pod("x/a", "10.0.0.1")))
    with Following(server) as pods:
        pods.until_it_has("x/a")
        server.wait_for_watch("pods")
        other = manifest(pod("x/a", "10.0.0.9"))
        other["status"]["podIP"] = "nonsense"
        other["metadata"]["uid"] = "another"
        server.store.put(other)
        pods.until_it_has()


def test_a_policy_never_understood_is_closed(server: ApiServer) -> None:
    with policies(server) as following:
        server.wait_for_watch("networkpolicies")
        raw = b'{"metadata":{"name":"odd","namespace":"x","uid":{},"resourceVersion":"VERSION"},"spec":%s}'
        server.store.put_raw("networkpolicies", "x", "odd", raw % b'{"podSelector":{},"ingress":[{}]}')
        following.until_it_has("x/allow", "x/odd")
        assert following.value("x/odd") == Policy("x", "odd", directions=INGRESS)
        server.store.put_raw("networkpolicies", "x", "odd", raw % b'"nonsense"')
        following.until(lambda: following.value("x/odd") == Policy("x", "odd", directions=BOTH))
        assert following.gauge("unreadable_objects") == 1


def test_a_spec_that_makes_no_sense_is_told_of_and_mended(server: ApiServer) -> None:
    with policies(server) as following:
        server.wait_for_watch("networkpolicies")
        odd = manifest(policy("x/odd"))
        odd["spec"]["ingress"] = [{"from": [{"unknown": {}}]}]
        server.store.put(odd)
        following.until_it_has("x/allow", "x/odd")
        assert following.gauge("notices") > 0
        assert following.gauge("unreadable_objects") == 0
        server.store.put(manifest(policy("x/odd")))
        following.until(lambda: following.gauge("notices") == 0)


def test_an_object_without_a_name_does_not_stop_a_list(server: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    server.store.load([manifest(pod("x/a", "10.0.0.1"))])
    server.store.put_raw("pods", "x", "odd", b'{"metadata":{"name":["odd"],"resourceVersion":"VERSION"}}')
    with Following(server) as pods:
        pods.until_it_has("x/a")
        assert isinstance(pods.value("x/a"), Pod)
    assert "an object cannot be read" in caplog.text


def test_beta_policies_live_their_life(server: ApiServer) -> None:
    with policies(server, NetworkPolicyApi.V1BETA1) as following:
        server.wait_for_watch("networkpolicies")
        server.store.put(manifest(beta("y/open", ingress=[rule()])))
        following.until(lambda: following.value("y/open") == beta("y/open", ingress=[rule()]))
        server.store.delete("NetworkPolicy", "y", "open")
        following.until_it_has("x/allow")
