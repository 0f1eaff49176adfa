"""The audit log of a live agent: packets are sent, and its lines say which, whose, and why."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from builders import namespace, pod, pods, policy, rule, world
from cluster import BASE, WEB, Cluster, Object
from live_node import AgentProcess
from waiting import wait_until

from netpol.audit.record import Action, Cause, ExternalParty, NodeParty, PodParty, Record, decode
from netpol.compiler.names import pod_chain
from netpol.model.networks import Family
from netpol.model.objects import Pod
from netpol.model.policies import Direction
from netpol.model.treatment import AuditLevel

pytestmark = pytest.mark.kernel

ONLY_API = policy("x/only-api", "app=web", ingress=[rule(peers=[pods("app=api")], ports=["80/TCP"])])
CLOSED = policy("y/closed", "app=job", directions=frozenset(), egress=[rule(peers=[pods("app=nobody")])])
FLOOD, MANY_PORTS = 30_000, 100
FAMILIES = pytest.mark.parametrize("family", Family, ids=lambda family: family.name)


class AuditLog:
    """The records that an agent has written so far."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def records(self) -> list[Record]:
        """Those of whole lines."""
        if not self.path.exists():
            return []
        return [decode(line) for line in self.path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    def one(self, wanted: Callable[[Record], bool]) -> Record:
        """The first record that is wanted, once it is there."""
        wait_until(lambda: any(map(wanted, self.records())), "a record")
        return next(filter(wanted, self.records()))

    def between(self, subject: str, peer: str) -> Record:
        """The first record about these two pods."""
        return self.one(lambda each: (name(each.subject), name(each.peer)) == (subject, peer))


def name(party: object) -> str:
    """How a test calls the end."""
    match party:
        case PodParty():
            return f"{party.namespace}/{party.name}"
        case NodeParty():
            return f"node/{party.name}"
        case ExternalParty():
            return party.ip
        case _:
            return ""


@pytest.fixture(name="clean")
def _clean(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, with nothing of ours on node one before and after."""
    cluster.netpol("one", "cleanup")
    yield cluster
    cluster.netpol("one", "cleanup")


@contextmanager
def audited(cluster: Cluster, tmp_path: Path, *objects: Object, flags: tuple[str, ...] = ()) -> Iterator[AuditLog]:
    """Node one enforces these objects, and records what it refuses."""
    cluster.write(*objects)
    log = AuditLog(tmp_path / "audit.log")
    with AgentProcess(
        cluster, tmp_path / "agent.log", f"--audit-log-path={log.path}", "--audit-window=0.3s", *flags
    ) as agent:
        agent.until_said("kernel programmed")
        yield log
        assert agent.stop() == 0
        assert "Traceback" not in agent.said


def explained(cluster: Cluster, source: str, destination: str, port: str) -> dict[str, object]:
    """What `netpol explain` says of the ingress side."""
    answer = cluster.netpol("one", "explain", "-f", str(cluster.directory), source, destination, port, "-o", "json")
    ingress: dict[str, object] = json.loads(answer.stdout)["ingress"]
    return ingress


@FAMILIES
def test_a_refusal_says_who_whom_and_why_as_explain_does(clean: Cluster, tmp_path: Path, family: Family) -> None:
    with audited(clean, tmp_path, ONLY_API) as log:
        assert not clean.reaches("y/job", "x/web", family=family)
        record = log.between("x/web", "y/job")
    assert (record.action, record.reason, record.direction) == (Action.DENY, Cause.IMPLICIT_ISOLATION, "ingress")
    assert (record.protocol, record.dst_port, record.icmp_type) == ("TCP", 80, None)
    assert record.subject == PodParty("x", "web", "uid-of-x-web", str(WEB.addresses[family is Family.IPV6]), "")
    assert record.node == "one"
    line = json.loads(next(each for each in log.path.read_bytes().splitlines() if decode(each) == record))
    said = explained(clean, str(clean.lab.addresses("y/job")[family is Family.IPV6]), line["subject"]["ip"], "80/TCP")
    assert {key: line[key] for key in ("reason", "policies", "isolating", "nearest_miss")} == {
        key: said[key] for key in ("reason", "policies", "isolating", "nearest_miss")
    }
    assert record.nearest_miss is not None


def test_every_refused_packet_is_counted_once_on_each_side(clean: Cluster, tmp_path: Path) -> None:
    with audited(clean, tmp_path, ONLY_API, CLOSED) as log:
        assert not clean.reaches("y/job", "x/web")
        record = log.between("y/job", "x/web")
    assert record.direction == "egress"
    assert {(each.direction, name(each.subject)) for each in log.records()} == {("egress", "y/job")}, (
        "what the sender's side refuses never comes to the receiver's"
    )


def test_the_annotation_isolates_by_itself(clean: Cluster, tmp_path: Path) -> None:
    with audited(clean, tmp_path, namespace("x", "team=red", deny=True)) as log:
        assert not clean.reaches("outside/client", "x/web", "53/UDP")
        record = log.between("x/web", "203.0.113.9")
    assert [entry.kind for entry in record.isolating] == ["DefaultDenyAnnotation"]
    assert record.nearest_miss is None
    assert record.protocol == "UDP"


def test_a_node_that_is_not_its_own_is_named(clean: Cluster, tmp_path: Path) -> None:
    with audited(clean, tmp_path, ONLY_API) as log:
        assert not clean.reaches("node/two", "x/web", "81/TCP")
        record = log.between("x/web", "node/two")
    assert isinstance(record.peer, NodeParty)


def test_ping_has_a_type_and_no_ports(clean: Cluster, tmp_path: Path) -> None:
    with audited(clean, tmp_path, ONLY_API) as log:
        assert not clean.reaches("x/api", "x/web", "ICMP")
        record = log.between("x/web", "x/api")
    assert (record.protocol, record.src_port, record.dst_port, record.icmp_type) == ("ICMP", None, None, 8)


def test_under_audit_packets_pass_and_what_would_be_refused_is_recorded(clean: Cluster, tmp_path: Path) -> None:
    with audited(clean, tmp_path, namespace("x", "team=red", under_audit=True), ONLY_API) as log:
        assert clean.reaches("y/job", "x/web")
        record = log.between("x/web", "y/job")
        assert (record.action, record.reason) == (Action.WOULD_DENY, Cause.IMPLICIT_ISOLATION)
        assert [entry.name for entry in record.isolating] == ["only-api"]
        assert clean.reaches("x/api", "x/web")
        clean.write(ONLY_API)
        wait_until(lambda: not clean.reaches("y/job", "x/web"), "it is enforced")
        log.one(lambda each: each.action is Action.DENY and name(each.peer) == "y/job")
    assert not [each for each in log.records() if name(each.peer) == "x/api"]


def test_allows_are_recorded_where_a_namespace_asks_for_them(clean: Cluster, tmp_path: Path) -> None:
    loud = replace(namespace("x", "team=red"), audit=AuditLevel.ALLOWS)
    with audited(clean, tmp_path, loud, ONLY_API) as log:
        assert clean.reaches("x/api", "x/web")
        record = log.between("x/web", "x/api")
    assert (record.action, record.reason) == (Action.ALLOW, Cause.RULE)
    assert [(entry.name, entry.rule) for entry in record.policies] == [("only-api", 0)]


def test_a_flag_records_allows_of_all_and_an_annotation_silences(clean: Cluster, tmp_path: Path) -> None:
    silent = replace(namespace("y", "team=blue"), audit=AuditLevel.NONE)
    with audited(clean, tmp_path, silent, ONLY_API, CLOSED, flags=("--audit-allows",)) as log:
        assert not clean.reaches("y/job", "x/api")
        assert clean.reaches("x/api", "x/web")
        log.between("x/web", "x/api")
    assert {each.action for each in log.records()} == {Action.ALLOW}


def test_an_address_that_no_known_pod_has_is_told(clean: Cluster, tmp_path: Path) -> None:
    clean.lab.plug(pod("x/stranger", "10.1.0.78", "fd01::78", node="one"))
    try:
        with audited(clean, tmp_path) as log:
            assert not clean.reaches("x/stranger", "x/web")
            record = log.one(lambda each: each.reason is Cause.UNKNOWN_POD)
    finally:
        clean.lab.unplug("x/stranger")
    assert (record.direction, record.subject) == ("egress", ExternalParty("10.1.0.78"))


def test_a_pod_that_is_gone_is_still_named(clean: Cluster, tmp_path: Path) -> None:
    with audited(clean, tmp_path, ONLY_API) as log:
        clean.judge_by(world(*(each for each in BASE if str(each) != "y/job"), ONLY_API))
        wait_until(lambda: not clean.reaches("y/job", "x/api"), "it is known no more")
        record = log.one(lambda each: each.reason is Cause.UNKNOWN_POD)
    assert record.subject == PodParty("y", "job", "uid-of-y-job", "10.1.0.12", "", gone=True)


def test_after_a_restart_verdicts_are_named_as_before(clean: Cluster, tmp_path: Path) -> None:
    with audited(clean, tmp_path, ONLY_API):
        pass
    with audited(clean, tmp_path, ONLY_API) as log:
        assert not clean.reaches("y/job", "x/web")
        assert log.between("x/web", "y/job").action is Action.DENY


def test_after_a_flood_counts_and_losses_add_up_to_what_was_refused(clean: Cluster, tmp_path: Path) -> None:
    with audited(clean, tmp_path, ONLY_API) as log:
        target = str(WEB.addresses[0])
        with clean.lab.namespace("y/job").entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(FLOOD):
                sender.sendto(b"x", (target, 1 + number % MANY_PORTS))
        refused = logged(clean, pod_chain("x", "web", Direction.INGRESS))
        assert refused > FLOOD * 0.9, "nearly all that was sent came to the rule"
        wait_until(lambda: sum(each.count + each.lost for each in log.records()) == refused, "all is accounted for")
    assert len(log.records()) < FLOOD / 20, "repeats are folded"


def logged(cluster: Cluster, chain: str) -> int:
    """How many packets the chain's logging rule has seen."""
    tool = f"iptables-{cluster.variant.value}"
    lines = cluster.shell("one", tool, "-w", "-t", "filter", "-nvxL", chain).splitlines()
    (found,) = (line for line in lines if "NFLOG" in line)
    return int(found.split()[0])


def test_a_log_that_cannot_be_written_holds_nothing_up(clean: Cluster, tmp_path: Path) -> None:
    clean.write(ONLY_API)
    with AgentProcess(clean, tmp_path / "agent.log", "--audit-log-path=/dev/full", "--audit-window=0.2s") as agent:
        agent.until_said("kernel programmed")
        assert not clean.reaches("y/job", "x/web")
        agent.until_said("the audit log cannot be written")
        clean.write()
        wait_until(lambda: clean.reaches("y/job", "x/web"), "policies are still followed")
        assert agent.stop() == 0


def test_an_address_that_another_pod_takes_over_within_the_window_is_not_confused(
    clean: Cluster, tmp_path: Path
) -> None:
    job = next(each for each in BASE if str(each) == "y/job")
    assert isinstance(job, Pod)
    heir = replace(job, name="heir", uid="uid-of-y-heir")
    with audited(clean, tmp_path, ONLY_API, flags=("--audit-window=20s",)) as log:
        knock(clean, times=2)
        clean.judge_by(world(*(each for each in BASE if each is not job), ONLY_API, heir))
        wait_until(lambda: "y/heir" in (tmp_path / "agent.log").read_text(encoding="utf-8"), "the agent knows it")
        wait_until(lambda: is_parted(clean, log), "the new pod's packets have a fold of their own")
    counts = Counter[str]()
    for record in log.records():
        counts[name(record.peer)] += record.count
    assert counts["y/job"] >= 2
    assert counts["y/heir"] >= 1


def knock(cluster: Cluster, times: int) -> None:
    """So many datagrams of y/job's address are refused by x/web."""
    with cluster.lab.namespace("y/job").entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(times):
            sender.sendto(b"x", (str(WEB.addresses[0]), 53))


def is_parted(cluster: Cluster, log: AuditLog) -> bool:
    """True once the packets of before have been given out; one more is sent."""
    knock(cluster, times=1)
    return any(name(record.peer) == "y/job" for record in log.records())
