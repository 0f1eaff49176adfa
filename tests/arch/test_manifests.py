"""The manifests ask for what the agent needs and nothing else, and give it arguments that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import netpol
from netpol.cli import COMMANDS, build_parser
from netpol.command.agent_arguments import agent_settings
from netpol.command.audit_selection import DEFAULT_PATH
from netpol.settings import AgentSettings, ApiSource, Listener, PolicyOptions
from netpol.source.kube.resources import resources
from netpol.telemetry.pages import HEALTHZ, READYZ

ROOT = Path(__file__).parents[2]
FIREWALL, CLEANUP = "netpol-firewall.yaml", "netpol-cleanup.yaml"
MANIFESTS = (FIREWALL, CLEANUP)

CREATED = {("", "events", "create")}
"""What telemetry posts."""


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


def agent() -> dict[str, Any]:
    (container,) = pod_spec()["containers"]
    assert isinstance(container, dict)
    return container


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> AgentSettings:
    """What the agent makes of the arguments and the environment that the DaemonSet and the kubelet give it."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    for variable in agent()["env"]:
        monkeypatch.setenv(variable["name"], variable["valueFrom"]["fieldRef"]["fieldPath"])
    return agent_settings(build_parser(("run",)).parse_args(["run", *agent()["args"]]))


def test_every_manifest_is_looked_at() -> None:
    assert {path.name for path in (ROOT / "manifests").glob("*.yaml")} == set(MANIFESTS)


def test_the_agent_takes_its_arguments_and_follows_the_api_server_it_runs_in(settings: AgentSettings) -> None:
    assert settings.source == ApiSource()
    assert settings.node.name == "spec.nodeName"
    assert not settings.cleanup_on_exit


def test_the_cleanup_is_a_command() -> None:
    (cleanup,) = pod_spec(CLEANUP)["initContainers"]
    assert cleanup["args"] == ["cleanup"]
    assert "cleanup" in COMMANDS


def test_the_role_allows_what_is_asked_for_and_nothing_else() -> None:
    asked = {
        (resource.api_version.rpartition("/")[0], resource.plural, verb)
        for candidates in resources(PolicyOptions()).values()
        for resource in candidates
        for verb in ("list", "watch")
    }
    allowed = [
        (group, resource, verb)
        for rule in the("ClusterRole")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    assert sorted(allowed) == sorted(asked | CREATED)


def test_the_role_is_bound_to_the_agents_account() -> None:
    account = the("ServiceAccount")["metadata"]
    binding = the("ClusterRoleBinding")
    assert binding["roleRef"]["name"] == the("ClusterRole")["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    assert pod_spec()["serviceAccountName"] == account["name"]
    assert the("DaemonSet")["metadata"]["namespace"] == account["namespace"]


@pytest.mark.parametrize(("probe", "page"), [("livenessProbe", HEALTHZ), ("readinessProbe", READYZ)])
def test_a_probe_asks_where_the_agent_answers(settings: AgentSettings, probe: str, page: str) -> None:
    asked = agent()[probe]["httpGet"]
    assert asked["path"] == page
    assert settings.health == Listener(asked["port"], asked["host"])


def test_metrics_are_scraped_where_the_agent_serves_them(settings: AgentSettings) -> None:
    annotations = the("DaemonSet")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert settings.metrics == Listener(int(annotations["prometheus.io/port"]))
    assert settings.metrics_path == annotations["prometheus.io/path"]
    assert agent()["ports"] == [{"name": "metrics", "containerPort": settings.metrics.port}]


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_daemon_set_finds_its_own_pods_and_nobody_elses(name: str) -> None:
    selectors = [the("DaemonSet", each)["spec"]["selector"]["matchLabels"] for each in MANIFESTS]
    labels = the("DaemonSet", name)["spec"]["template"]["metadata"]["labels"]
    found = [selector.items() <= labels.items() for selector in selectors]
    assert found == [each == name for each in MANIFESTS]


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_node_has_it_in_the_nodes_own_network(name: str) -> None:
    spec = pod_spec(name)
    assert spec["hostNetwork"] is True
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["priorityClassName"] == "system-node-critical"


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_container_is_of_this_version(name: str) -> None:
    assert {each["image"] for each in containers(name)} == {f"example.com/netpol:{netpol.__version__}"}
    assert {each["imagePullPolicy"] for each in containers(name)} == {"IfNotPresent"}


@pytest.mark.parametrize("name", MANIFESTS)
def test_no_container_has_more_than_it_needs(name: str) -> None:
    for container in containers(name):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
        writes_rules = "command" not in container
        assert context["capabilities"].get("add") == (["NET_ADMIN", "NET_RAW"] if writes_rules else None)
        assert context["runAsUser"] == (0 if writes_rules else 65534)


LOCK = {"name": "xtables-lock", "hostPath": {"path": "/run/xtables.lock", "type": "FileOrCreate"}}
LOG = {"name": "audit-log", "hostPath": {"path": "/var/log/netpol", "type": "DirectoryOrCreate"}}
MOUNTED = {"xtables-lock": "/run/xtables.lock", "audit-log": "/var/log/netpol"}


@pytest.mark.parametrize(("name", "volumes"), [(FIREWALL, [LOCK, LOG]), (CLEANUP, [LOCK])])
def test_who_writes_rules_has_the_nodes_lock_and_who_records_a_place_for_it(name: str, volumes: list[Any]) -> None:
    assert pod_spec(name)["volumes"] == volumes
    mounts = [{"name": each["name"], "mountPath": MOUNTED[each["name"]]} for each in volumes]
    for container in containers(name):
        assert container.get("volumeMounts", []) == ([] if "command" in container else mounts)


def test_the_log_is_written_where_the_command_reads_it() -> None:
    (agent,) = containers(FIREWALL)
    assert f"--audit-log-path={DEFAULT_PATH}" in agent["args"]
    assert str(DEFAULT_PATH.parent) == MOUNTED["audit-log"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_installing_page_speaks_of_it(name: str) -> None:
    assert f"manifests/{name}" in (ROOT / "docs/installing.md").read_text(encoding="utf-8")
