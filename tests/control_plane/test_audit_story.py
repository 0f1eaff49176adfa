"""The audit log of an agent that follows an API server: whom its records name, and what is suggested by them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from record_schema import conforming
from testbed.agent import netpol_command
from testbed.api_client import Object
from testbed.api_servers import STRANGER
from testbed.kubectl import Kubectl
from testbed.lab_agent import LabAgent
from testbed.lab_cluster import ANNOTATION, BETA, CORE, DEFAULT_DENY, EVERYBODY, NOBODY, POLICIES, LabCluster

from netpol.audit.record import ANNOTATION_KIND, Action, Cause, PodParty, PolicyEntry, Record, decode, encode

pytestmark = pytest.mark.control_plane

GROUNDS = ("reason", "policies", "isolating", "nearest_miss")
BACKEND, BATCH, FRONTEND, CLIENT = "production/backend", "production/batch", "production/frontend", "staging/client"
PLACE = f"{BACKEND} 6379/TCP"
POLICY = "production/frontends"
NAMESPACE_CHANGED, POLICY_CHANGED = "Namespace changed name=production", f"NetworkPolicy changed name={POLICY}"
TEMPLATE_HASH = "5d9c7b6f48"


@dataclass(frozen=True)
class Audited:
    """A cluster whose agent writes an audit log."""

    cluster: LabCluster
    agent: LabAgent
    log: Path

    def record(self, peer: str, action: Action = Action.DENY) -> Record:
        """The last record of what `peer` sent over IPv4, once there is one with this action."""
        ip = self.address(peer)

        def found() -> list[Record]:
            return [each for each in self.records() if each.action is action and each.peer and each.peer.ip == ip]

        self.agent.until(f"a record of {peer}", found)
        return found()[-1]

    def records(self) -> list[Record]:
        """All that were written, each as the schema has it."""
        lines = self.log.read_bytes().splitlines(keepends=True) if self.log.exists() else []
        return [conforming(decode(line)) for line in lines if line.endswith(b"\n")]

    def netpol(self, *arguments: str) -> str:
        """What a command of netpol prints that asks the server, with the agent's rights."""
        command = netpol_command(*arguments, f"--kubeconfig={self.cluster.server.kubeconfig(STRANGER)}")
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout

    def explained(self, source: str) -> dict[str, Any]:
        """What `netpol explain` says of the backend's side."""
        printed = self.netpol("explain", source, BACKEND, "6379/TCP", "-o", "json")
        ingress: dict[str, Any] = json.loads(printed)["ingress"]
        return ingress

    def suggestion(self) -> str:
        """What `netpol audit suggest` prints by the log."""
        return self.netpol("audit", "suggest", f"--audit-log-path={self.log}")

    def stored(self, path: str) -> Object:
        """The metadata that the server has of an object."""
        metadata: Object = self.cluster.client.get(path)["metadata"]
        return metadata

    def party(self, name: str, workload: str) -> PodParty:
        """The pod as a record should name it."""
        namespace, _, own = name.partition("/")
        uid = self.stored(f"{CORE}/namespaces/{namespace}/pods/{own}")["uid"]
        return PodParty(namespace, own, uid, self.address(name), workload)

    def address(self, name: str) -> str:
        """The IPv4 address of the pod."""
        return str(self.cluster.lab.addresses(name)[0])

    def entry(self) -> PolicyEntry:
        """The policy as a record should name it that it isolates by."""
        namespace, _, own = POLICY.partition("/")
        metadata = self.stored(f"{self.cluster.policies(namespace)}/{own}")
        return PolicyEntry("NetworkPolicy", namespace, own, metadata["uid"], metadata["generation"])


@pytest.fixture
def audited(lab_cluster: LabCluster, log: Path, tmp_path: Path) -> Iterator[Audited]:
    """The agent at work; the policy lets frontends reach the backend, whose namespace is closed by its annotation."""
    made_by_a_deployment(lab_cluster, BACKEND)
    lab_cluster.annotate("production", DEFAULT_DENY)
    create_policy(lab_cluster)
    path = tmp_path / "audit.log"
    with LabAgent(lab_cluster, log, f"--audit-log-path={path}", "--audit-window=0.3s") as agent:
        yield Audited(lab_cluster, agent, path)


def create_policy(cluster: LabCluster) -> None:
    frontends = {"podSelector": {"matchLabels": {"tier": "frontend"}}}
    rule = {"from": [frontends], "ports": [{"protocol": "TCP", "port": 6379}]}
    cluster.create_policy(POLICY, podSelector={"matchLabels": {"tier": "backend"}}, ingress=[rule])


def made_by_a_deployment(cluster: LabCluster, pod: str) -> None:
    """The pod is one that a Deployment's controllers have made."""
    namespace, _, name = pod.partition("/")
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{name}-{TEMPLATE_HASH}", "uid": "uid-of-set"}
    metadata = {
        "labels": {"pod-template-hash": TEMPLATE_HASH},
        "ownerReferences": [{**owner, "controller": True}],
    }
    cluster.client.patch(f"{CORE}/namespaces/{namespace}/pods/{name}", {"metadata": metadata})


def test_records_name_the_servers_objects_as_explain_does(audited: Audited) -> None:
    cluster = audited.cluster
    cluster.assert_reached({PLACE: set()}, sources=[CLIENT])
    record = audited.record(CLIENT)
    assert (record.subject, record.peer) == (audited.party(BACKEND, "Deployment/backend"), audited.party(CLIENT, ""))
    assert (record.reason, record.direction) == (Cause.IMPLICIT_ISOLATION, "ingress")
    annotation = PolicyEntry(ANNOTATION_KIND, "production", "production", annotation=ANNOTATION)
    # A policy of the annotation's time isolates nobody (B3); one of today does.
    isolating = (annotation,) if cluster.release is BETA else (annotation, audited.entry())
    assert record.isolating == isolating
    assert miss_of(record) == (audited.entry(), 0)
    assert grounds(json.loads(encode(record))) == grounds(audited.explained(CLIENT))


def grounds(of: dict[str, Any]) -> dict[str, object]:
    """The part that a record and an explanation have in common."""
    return {key: of[key] for key in GROUNDS}


def miss_of(record: Record) -> tuple[PolicyEntry, int | None]:
    """The policy of the rule that came closest, and the rule."""
    miss = record.nearest_miss
    assert miss is not None
    return PolicyEntry(miss.kind, miss.namespace, miss.name, miss.uid, miss.generation), miss.rule


def test_each_state_of_a_policy_has_its_generation_and_a_new_one_of_the_name_its_uid(audited: Audited) -> None:
    cluster, agent = audited.cluster, audited.agent
    first = audited.entry()
    with agent.bringing(POLICY_CHANGED):
        cluster.patch_policy(POLICY, ingress=[{"ports": [{"port": 80}]}])
    cluster.assert_reached({PLACE: set()}, sources=[CLIENT])
    changed = audited.entry()
    assert (changed.uid, changed.generation) == (first.uid, 2)
    assert miss_of(audited.record(CLIENT)) == (changed, 0)
    # The same in other words: the kernel has nothing to change, and the policy has another generation.
    with agent.hearing():
        cluster.patch_policy(POLICY, ingress=[{"ports": [{"protocol": "TCP", "port": 80}] * 2}])
    cluster.assert_reached({PLACE: set()}, sources=[FRONTEND])
    reworded = audited.entry()
    assert (reworded.uid, reworded.generation) == (first.uid, 3)
    assert miss_of(audited.record(FRONTEND)) == (reworded, 0)
    with agent.bringing(f"NetworkPolicy gone name={POLICY}"):
        cluster.delete_policy(POLICY)
    with agent.bringing(POLICY_CHANGED):
        create_policy(cluster)
    cluster.assert_reached({PLACE: set()}, sources=[BATCH])
    second = audited.entry()
    assert second.uid != first.uid
    assert miss_of(audited.record(BATCH)) == (second, 0)


def test_a_dry_run_begins_and_ends_with_kubectl(audited: Audited) -> None:
    cluster, agent = audited.cluster, audited.agent
    kubectl = Kubectl(cluster.server.kubeconfig())
    with agent.bringing(NAMESPACE_CHANGED):
        kubectl("annotate", "namespace", "production", "netpol.io/enforcement=audit")
    cluster.assert_reached({PLACE: {CLIENT}}, sources=[CLIENT])
    record = audited.record(CLIENT, Action.WOULD_DENY)
    assert record.reason is Cause.IMPLICIT_ISOLATION
    assert miss_of(record) == (audited.entry(), 0)
    assert grounds(json.loads(encode(record))) == grounds(audited.explained(CLIENT)["would_deny"])
    with agent.bringing(NAMESPACE_CHANGED):
        kubectl("annotate", "namespace", "production", "netpol.io/enforcement-")
    cluster.assert_reached({PLACE: set()}, sources=[CLIENT])
    assert audited.record(CLIENT).isolating == record.isolating


def test_what_is_suggested_is_taken_by_the_server_that_it_is_for(audited: Audited) -> None:
    cluster = audited.cluster
    cluster.assert_reached({PLACE: set()}, sources=[BATCH, CLIENT])
    for peer in (BATCH, CLIENT):
        audited.record(peer)
    suggestion = audited.suggestion()
    (document,) = yaml.safe_load_all(suggestion)
    assert document["apiVersion"] == POLICIES[cluster.release].removeprefix("/apis/")
    # The older API names pods of another namespace only all together (B10).
    allowed = {BATCH} if cluster.release is BETA else {BATCH, CLIENT}
    assert ("# Nothing is suggested for:" in suggestion) == (CLIENT not in allowed)
    create(cluster, suggestion, "--dry-run=server")
    assert len(cluster.client.get(cluster.policies("production"))["items"]) == 1
    with audited.agent.bringing(f"NetworkPolicy changed name=production/{document['metadata']['name']}"):
        create(cluster, suggestion)
    frontends = {"production/frontend", "production/front-two"}
    opened = {PLACE: allowed | frontends | NOBODY, f"{BACKEND} 80/TCP": NOBODY}
    cluster.assert_reached({**opened, "production/batch 80/TCP": NOBODY, f"{CLIENT} 80/TCP": EVERYBODY})


def test_the_first_policy_of_a_cluster_is_of_the_api_that_its_server_has(audited: Audited) -> None:
    cluster = audited.cluster
    with audited.agent.bringing(f"NetworkPolicy gone name={POLICY}"):
        cluster.delete_policy(POLICY)
    cluster.assert_reached({PLACE: set()}, sources=[BATCH])
    audited.record(BATCH)
    with audited.agent.hearing():
        create(cluster, audited.suggestion())
    cluster.assert_reached({PLACE: {BATCH}}, sources=[BATCH, CLIENT])


def create(cluster: LabCluster, documents: str, *flags: str) -> None:
    """What the documents say exists, as far as kubectl and the server agree to it."""
    # A release of before 1.27 knows nothing of the validation that kubectl asks for.
    Kubectl(cluster.server.kubeconfig())("create", "--validate=false", "-f", "-", *flags, given=documents)
