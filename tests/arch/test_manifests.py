"""The manifests ask for what the agent needs and nothing else, and give it arguments that it takes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import netpol
from netpol.agent.agent import kinds_of
from netpol.cli import COMMANDS, build_parser
from netpol.command.agent_arguments import agent_settings
from netpol.command.audit_selection import DEFAULT_PATH
from netpol.command.kube_router import without_effect
from netpol.settings import AgentSettings, ApiSource, Listener, PolicyOptions
from netpol.source.kube.resources import resources
from netpol.telemetry.pages import HEALTHZ, READYZ

ROOT = Path(__file__).parents[2]
FIREWALL, PROXY, BOTH = "netpol-firewall.yaml", "netpol-service-proxy.yaml", "netpol-both.yaml"
CLEANUP = "netpol-cleanup.yaml"
AGENTS = (FIREWALL, PROXY, BOTH)
MANIFESTS = (*AGENTS, CLEANUP)

RUNS = {FIREWALL: (True, False), PROXY: (False, True), BOTH: (True, True)}
"""Whether the agent of each runs the firewall, and the service proxy."""

CREATED = {("", "events", "create")}
"""What telemetry posts."""

API_SERVER = {"KUBERNETES_SERVICE_HOST": "api.example.com", "KUBERNETES_SERVICE_PORT": "6443"}
"""How an agent that serves the API server's own service finds it."""


@cache
def objects(name: str) -> tuple[dict[str, Any], ...]:
    return tuple(yaml.safe_load_all((ROOT / "manifests" / name).read_text(encoding="utf-8")))


def the(kind: str, name: str = FIREWALL) -> dict[str, Any]:
    (found,) = (each for each in objects(name) if each["kind"] == kind)
    return found


def pod_spec(name: str = FIREWALL) -> dict[str, Any]:
    spec: dict[str, Any] = the("DaemonSet", name)["spec"]["template"]["spec"]
    return spec


def containers(name: str) -> Iterator[dict[str, Any]]:
    yield from pod_spec(name).get("initContainers", ())
    yield from pod_spec(name)["containers"]


def agent(name: str) -> dict[str, Any]:
    (container,) = pod_spec(name)["containers"]
    assert isinstance(container, dict)
    return container


def parsed(name: str) -> argparse.Namespace:
    """The arguments that the DaemonSet gives the agent."""
    return build_parser(("run",)).parse_args(["run", *agent(name)["args"]])


@pytest.fixture(params=AGENTS, name="manifest")
def _manifest(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(manifest: str, monkeypatch: pytest.MonkeyPatch) -> AgentSettings:
    """What the agent makes of the arguments and the environment that the DaemonSet and the kubelet give it."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    for variable in agent(manifest)["env"]:
        value = variable.get("value") or variable["valueFrom"]["fieldRef"]["fieldPath"]
        monkeypatch.setenv(variable["name"], value)
    return agent_settings(parsed(manifest))


def test_every_manifest_is_looked_at() -> None:
    assert {path.name for path in (ROOT / "manifests").glob("*.yaml")} == set(MANIFESTS)


def test_the_agent_takes_its_arguments_and_follows_the_api_server_it_runs_in(settings: AgentSettings) -> None:
    assert settings.source == ApiSource()
    assert settings.node.name == "spec.nodeName"
    assert not settings.cleanup_on_exit


def test_each_runs_what_it_is_called_for(manifest: str, settings: AgentSettings) -> None:
    assert (settings.firewall, settings.proxy is not None) == RUNS[manifest]
    assert without_effect(parsed(manifest)) == ""


def test_who_serves_the_api_servers_service_reaches_it_another_way(manifest: str) -> None:
    told = {variable["name"]: variable["value"] for variable in agent(manifest)["env"] if "value" in variable}
    has_proxy = RUNS[manifest][1]
    assert {name: told.get(name) for name in API_SERVER} == (API_SERVER if has_proxy else dict.fromkeys(API_SERVER))


def test_the_cleanup_is_a_command() -> None:
    (cleanup,) = pod_spec(CLEANUP)["initContainers"]
    assert cleanup["args"] == ["cleanup"]
    assert "cleanup" in COMMANDS


def test_the_role_allows_what_is_asked_for_and_nothing_else(manifest: str, settings: AgentSettings) -> None:
    asked = {
        (resource.api_version.rpartition("/")[0], resource.plural, verb)
        for candidates in resources(PolicyOptions(), kinds=kinds_of(settings)).values()
        for resource in candidates
        for verb in ("list", "watch")
    }
    allowed = [
        (group, resource, verb)
        for rule in the("ClusterRole", manifest)["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    assert set(allowed) == asked | CREATED
    assert len(allowed) == len(set(allowed))


def test_the_role_is_bound_to_the_agents_account(manifest: str) -> None:
    account = the("ServiceAccount", manifest)["metadata"]
    binding = the("ClusterRoleBinding", manifest)
    assert binding["roleRef"]["name"] == the("ClusterRole", manifest)["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    assert pod_spec(manifest)["serviceAccountName"] == account["name"]
    assert the("DaemonSet", manifest)["metadata"]["namespace"] == account["namespace"]


@pytest.mark.parametrize(("probe", "page"), [("livenessProbe", HEALTHZ), ("readinessProbe", READYZ)])
def test_a_probe_asks_where_the_agent_answers(manifest: str, settings: AgentSettings, probe: str, page: str) -> None:
    asked = agent(manifest)[probe]["httpGet"]
    assert asked["path"] == page
    assert settings.health == Listener(asked["port"], asked["host"])


def test_metrics_are_scraped_where_the_agent_serves_them(manifest: str, settings: AgentSettings) -> None:
    annotations = the("DaemonSet", manifest)["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert settings.metrics == Listener(int(annotations["prometheus.io/port"]))
    assert settings.metrics_path == annotations["prometheus.io/path"]
    assert agent(manifest)["ports"] == [{"name": "metrics", "containerPort": settings.metrics.port}]


def test_the_firewall_and_the_proxy_may_stand_beside_each_other() -> None:
    taken = {port for name in (FIREWALL, PROXY) for port in (parsed(name).health_port, parsed(name).metrics_port)}
    assert len(taken) == 4


def test_both_in_one_take_the_place_of_the_firewall_alone() -> None:
    for kind in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "DaemonSet"):
        assert the(kind, BOTH)["metadata"]["name"] == the(kind)["metadata"]["name"]
    selector = the("DaemonSet", BOTH)["spec"]["selector"]
    assert selector == the("DaemonSet")["spec"]["selector"], "it cannot be changed"


@pytest.mark.parametrize("name", [FIREWALL, PROXY, CLEANUP])
def test_a_daemon_set_finds_its_own_pods_and_nobody_elses(name: str) -> None:
    others = [each for each in MANIFESTS if each != BOTH]
    selectors = [the("DaemonSet", each)["spec"]["selector"]["matchLabels"] for each in others]
    labels = the("DaemonSet", name)["spec"]["template"]["metadata"]["labels"]
    found = [selector.items() <= labels.items() for selector in selectors]
    assert found == [each == name for each in others]


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_node_has_it_in_the_nodes_own_network(name: str) -> None:
    spec = pod_spec(name)
    assert spec["hostNetwork"] is True
    assert spec.get("hostPID", False) is (name != FIREWALL), "tunnels are opened and closed in pods' namespaces"
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["priorityClassName"] == "system-node-critical"


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_container_is_of_this_version(name: str) -> None:
    assert {each["image"] for each in containers(name)} == {f"example.com/netpol:{netpol.__version__}"}
    assert {each["imagePullPolicy"] for each in containers(name)} == {"IfNotPresent"}


@pytest.mark.parametrize("name", MANIFESTS)
def test_no_container_has_more_than_it_needs(name: str) -> None:
    """To write /proc/sys takes a privileged container: the service proxy does, and who takes back what it wrote."""
    for container in containers(name):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        writes_rules = "command" not in container
        assert context["runAsUser"] == (0 if writes_rules else 65534)
        if writes_rules and name != FIREWALL:
            assert context["privileged"] is True
            continue
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["capabilities"].get("add") == (["NET_ADMIN", "NET_RAW"] if writes_rules else None)


LOCK = {"name": "xtables-lock", "hostPath": {"path": "/run/xtables.lock", "type": "FileOrCreate"}}
LOG = {"name": "audit-log", "hostPath": {"path": "/var/log/netpol", "type": "DirectoryOrCreate"}}
CNI = {"name": "kube-router-cfg", "configMap": {"name": "kube-router-cfg"}}
MOUNTED = {"xtables-lock": "/run/xtables.lock", "audit-log": "/var/log/netpol", "kube-router-cfg": "/etc/cni/net.d/"}


@pytest.mark.parametrize(
    ("name", "volumes"), [(FIREWALL, [LOCK, LOG]), (BOTH, [LOCK, LOG]), (PROXY, [LOCK, CNI]), (CLEANUP, [LOCK])]
)
def test_who_writes_rules_has_the_nodes_lock_and_who_records_a_place_for_it(name: str, volumes: list[Any]) -> None:
    assert pod_spec(name)["volumes"] == volumes
    mounts = {each["name"]: MOUNTED[each["name"]] for each in volumes}
    for container in containers(name):
        found = {each["name"]: each["mountPath"] for each in container.get("volumeMounts", [])}
        assert found == ({} if "command" in container else mounts)


def test_the_configuration_of_the_pod_network_is_as_kube_router_is_deployed_with() -> None:
    (text,) = the("ConfigMap", PROXY)["data"].values()
    plugins = json.loads(text)["plugins"]
    assert [(each["type"], each.get("bridge")) for each in plugins] == [("bridge", "kube-bridge"), ("portmap", None)]
    assert the("ConfigMap", PROXY)["data"].keys() == {"10-kuberouter.conflist"}


@pytest.mark.parametrize("name", [FIREWALL, BOTH])
def test_the_log_is_written_where_the_command_reads_it(name: str) -> None:
    assert f"--audit-log-path={DEFAULT_PATH}" in agent(name)["args"]
    assert str(DEFAULT_PATH.parent) == MOUNTED["audit-log"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_installing_page_speaks_of_it(name: str) -> None:
    assert f"manifests/{name}" in (ROOT / "docs/installing.md").read_text(encoding="utf-8")
