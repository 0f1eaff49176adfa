"""What the watchers rely on real API servers to do, of both releases; where they differ, how."""

from __future__ import annotations

import pytest
from testbed.api_client import STRATEGIC_MERGE, ApiClient, Object, Refused
from testbed.api_servers import CURRENT, OLD, STRANGER, ApiServer
from testbed.kubectl import Kubectl

pytestmark = pytest.mark.control_plane

V1, BETA = "/apis/networking.k8s.io/v1", "/apis/extensions/v1beta1"
NAMESPACES = "/api/v1/namespaces"


def made(client: ApiClient, name: str) -> Object:
    return client.create(NAMESPACES, {"metadata": {"name": name}})


def policy(name: str, **spec: object) -> Object:
    return {"kind": "NetworkPolicy", "metadata": {"name": name}, "spec": {"podSelector": {}, **spec}}


def pod(name: str) -> Object:
    container = {"name": "c", "image": "none", "ports": [{"name": "http", "containerPort": 8080}]}
    return {"metadata": {"name": name}, "spec": {"nodeName": "node1", "containers": [container]}}


def version_of(listed: Object) -> str:
    version: str = listed["metadata"]["resourceVersion"]
    return version


def gone(client: ApiClient, path: str, version: str) -> bool:
    """Whether a watch from this version is refused: at once, or by an event where it had begun."""
    try:
        (told,) = client.watched(path, resourceVersion=version)
    except Refused as refused:
        return refused.status == 410
    return (told["type"], told["object"].get("code")) == ("ERROR", 410)


def test_a_collection_comes_in_pages_of_one_moment(client: ApiClient, namespace: str) -> None:
    made(client, namespace)
    policies = f"{V1}/namespaces/{namespace}/networkpolicies"
    for number in range(5):
        client.create(policies, policy(f"p{number}"))
    first = client.get(policies, limit=2)
    client.create(policies, policy("a-later-one"))
    second = client.get(policies, limit=2, **{"continue": first["metadata"]["continue"]})
    third = client.get(policies, limit=2, **{"continue": second["metadata"]["continue"]})
    names = [item["metadata"]["name"] for page in (first, second, third) for item in page["items"]]
    assert names == ["p0", "p1", "p2", "p3", "p4"]
    assert not third["metadata"].get("continue")
    assert version_of(first) == version_of(second) == version_of(third)


def test_a_watch_tells_all_that_happened_after_the_list(client: ApiClient, namespace: str) -> None:
    made(client, namespace)
    policies = f"{V1}/namespaces/{namespace}/networkpolicies"
    listed = client.get(policies)
    client.create(policies, policy("web"))
    client.patch(f"{policies}/web", {"spec": {"podSelector": {"matchLabels": {"app": "web"}}}})
    client.delete(f"{policies}/web")
    events = client.watched(policies, resourceVersion=version_of(listed))
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    # What is gone is told of as it last was.
    assert events[-1]["object"]["spec"]["podSelector"] == {"matchLabels": {"app": "web"}}
    later = client.watched(policies, resourceVersion=version_of(events[1]["object"]))
    assert [event["type"] for event in later] == ["DELETED"]


def test_bookmarks_carry_a_version_and_are_no_objects(current_server: ApiServer, namespace: str) -> None:
    client = current_server.client()
    made(client, namespace)
    made(client, f"{namespace}-beside")
    policies = f"{V1}/namespaces/{namespace}/networkpolicies"
    listed = version_of(client.get(policies))
    query = {"resourceVersion": listed, "allowWatchBookmarks": "true"}
    with client.watching(policies, timeoutSeconds=5, **query) as watched:
        # There is something to tell only where the version has changed since the watch began.
        client.create(f"{V1}/namespaces/{namespace}-beside/networkpolicies", policy("web"))
        bookmarks = list(watched)
    assert {each["type"] for each in bookmarks} == {"BOOKMARK"}
    bookmark = bookmarks[-1]
    assert int(version_of(bookmark["object"])) > int(listed)
    # Who took it for an object would find a policy for every pod there is.
    assert "name" not in bookmark["object"]["metadata"]


def test_a_restarted_server_has_forgotten_what_was_compacted(api_server: ApiServer, namespace: str) -> None:
    client = api_server.client()
    made(client, namespace)
    policies = f"{V1}/namespaces/{namespace}/networkpolicies"
    for number in range(3):
        client.create(policies, policy(f"p{number}"))
    first = client.get(policies, limit=2)
    client.create(policies, policy("a-later-one"))
    # A server that goes on may hold the past in its memory, and the current one does.
    api_server.etcd.compact()
    api_server.restart()
    with pytest.raises(Refused) as refused:
        client.get(policies, limit=2, **{"continue": first["metadata"]["continue"]})
    assert (refused.value.status, refused.value.reason) == (410, "Expired")
    assert gone(client, f"{V1}/networkpolicies", version_of(first))


def test_a_killed_server_serves_again_at_its_address_what_it_held(api_server: ApiServer, namespace: str) -> None:
    client = api_server.client()
    made(client, namespace)
    api_server.kill()
    with pytest.raises(OSError, match=r"refused"):
        client.get(NAMESPACES)
    api_server.start()
    assert client.get(f"{NAMESPACES}/{namespace}")["metadata"]["name"] == namespace


def test_a_wiped_server_is_empty_handed_and_counts_anew(api_server: ApiServer, namespace: str) -> None:
    client = api_server.client()
    made(client, namespace)
    for number in range(30):
        client.create(f"{V1}/namespaces/{namespace}/networkpolicies", policy(f"p{number}"))
    before = client.get(f"{V1}/networkpolicies")
    api_server.wipe()
    after = client.get(f"{V1}/networkpolicies")
    assert after["items"] == []
    with pytest.raises(Refused) as refused:
        client.get(f"{NAMESPACES}/{namespace}")
    assert refused.value.status == 404
    assert before["items"]


def test_a_stranger_may_nothing_until_a_role_is_bound(api_server: ApiServer, namespace: str) -> None:
    admin, stranger = api_server.client(), api_server.client(STRANGER)
    with pytest.raises(Refused) as refused:
        stranger.get("/api/v1/pods")
    assert refused.value.status == 403
    kubectl = Kubectl(api_server.kubeconfig())
    kubectl("create", "clusterrole", namespace, "--verb=list,watch", "--resource=pods")
    kubectl("create", "clusterrolebinding", namespace, f"--clusterrole={namespace}", f"--user={STRANGER}")
    try:
        assert stranger.get("/api/v1/pods")["kind"] == "PodList"
        with pytest.raises(Refused):
            stranger.get(NAMESPACES)
    finally:
        admin.delete(f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{namespace}")


def test_kubectl_annotates_by_patch(api_server: ApiServer, namespace: str) -> None:
    client = api_server.client()
    kubectl = Kubectl(api_server.kubeconfig())
    listed = made(client, namespace)
    value = '{"ingress":{"isolation":"DefaultDeny"}}'
    key = "net.beta.kubernetes.io/network-policy"
    kubectl("annotate", "ns", namespace, f"{key}={value}")
    kubectl("annotate", "ns", namespace, f"{key}-")
    this = f"metadata.name={namespace}"
    events = client.watched(NAMESPACES, fieldSelector=this, resourceVersion=version_of(listed))
    annotations = [event["object"]["metadata"].get("annotations", {}).get(key) for event in events]
    assert annotations == [value, None]


def test_a_beta_policy_lives_its_life_in_one_store_with_v1(old_server: ApiServer, namespace: str) -> None:
    client = old_server.client()
    listed = version_of(made(client, namespace))
    beta = f"{BETA}/namespaces/{namespace}/networkpolicies"
    stable = f"{V1}/namespaces/{namespace}/networkpolicies"
    spec = {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": "http"}]}]}
    client.create(beta, policy("web", **spec))
    (stored,) = client.get(stable)["items"]
    # Defaults are put in before anything is stored (B13).
    assert stored["spec"]["policyTypes"] == ["Ingress"]
    assert stored["spec"]["ingress"] == [
        {"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"protocol": "TCP", "port": "http"}]}
    ]
    client.patch(f"{beta}/web", {"spec": {"ingress": [{}]}})
    client.delete(f"{beta}/web")
    for path, version in ((beta, "extensions/v1beta1"), (stable, "networking.k8s.io/v1")):
        events = client.watched(path, resourceVersion=listed)
        assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
        assert {event["object"]["apiVersion"] for event in events} == {version}


def test_the_current_release_serves_no_beta_policies(current_server: ApiServer) -> None:
    with pytest.raises(Refused) as refused:
        current_server.client().get(f"{BETA}/networkpolicies")
    assert refused.value.status == 404


def test_addresses_come_by_patches_of_the_status(api_server: ApiServer, namespace: str) -> None:
    client = api_server.client()
    made(client, namespace)
    pods = f"{NAMESPACES}/{namespace}/pods"
    created = client.create(pods, {**pod("web"), "status": {"podIP": "10.1.0.5"}})
    assert "podIP" not in created["status"]
    status = {"phase": "Running", "podIP": "10.1.0.5", "podIPs": [{"ip": "10.1.0.5"}]}
    patched = client.patch(f"{pods}/web/status", {"status": status}, STRATEGIC_MERGE)
    assert patched["status"]["podIP"] == "10.1.0.5"
    # The old release knows of no second address, and drops what it does not know.
    assert ("podIPs" in patched["status"]) == (api_server.release is CURRENT)


def test_only_the_old_release_takes_an_address_that_is_none(api_server: ApiServer, namespace: str) -> None:
    client = api_server.client()
    made(client, namespace)
    pods = f"{NAMESPACES}/{namespace}/pods"
    client.create(pods, pod("web"))
    nonsense = {"status": {"podIP": "nonsense"}}
    if api_server.release is OLD:
        assert client.patch(f"{pods}/web/status", nonsense)["status"]["podIP"] == "nonsense"
    else:
        with pytest.raises(Refused) as refused:
            client.patch(f"{pods}/web/status", nonsense)
        assert refused.value.status == 422


def test_a_bound_pod_stays_until_its_grace_is_over(client: ApiClient, namespace: str) -> None:
    made(client, namespace)
    pods = f"{NAMESPACES}/{namespace}/pods"
    listed = version_of(client.create(pods, pod("web")))
    client.delete(f"{pods}/web")
    assert client.get(f"{pods}/web")["metadata"]["deletionTimestamp"]
    client.delete(f"{pods}/web", gracePeriodSeconds=0)
    events = client.watched(pods, resourceVersion=listed)
    types = [event["type"] for event in events]
    assert types == ["MODIFIED"] * (len(events) - 1) + ["DELETED"]
    assert all(event["object"]["metadata"]["deletionTimestamp"] for event in events)
