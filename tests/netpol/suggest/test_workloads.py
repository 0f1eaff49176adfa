"""Which pods belong together, and who stands for one that is gone."""

from __future__ import annotations

from dataclasses import replace

from builders import pod, world

from netpol.audit.record import PodParty
from netpol.model.objects import Pod
from netpol.model.snapshot import Snapshot
from netpol.policy.lookups import Lookups
from netpol.suggest.workloads import Member, Workloads

WEB = "Deployment/web"


def workloads_of(snapshot: Snapshot) -> Workloads:
    return Workloads(snapshot, Lookups.of(snapshot))


def named(name: str, workload: str = WEB, ip: str = "10.0.0.1", uid: str | None = None) -> PodParty:
    return PodParty("x", name, f"uid-of-x-{name}" if uid is None else uid, ip, workload)


def told(member: Member | None) -> tuple[str, str, str] | None:
    return None if member is None else (str(member.workload), member.pod.name, str(member.address))


def test_a_pod_is_found_at_the_address_of_the_record() -> None:
    workloads = workloads_of(world(pod("x/a", "10.0.0.1", "fd00::1", workload=WEB)))
    assert told(workloads.member(named("a", ip="fd00::1"))) == ("x/Deployment/web", "a", "fd00::1")
    assert told(workloads.member(named("a", ip="10.0.0.9"))) == ("x/Deployment/web", "a", "10.0.0.1")


def test_a_name_that_is_another_pods_by_now_is_gone() -> None:
    again = replace(pod("x/a", "10.0.0.1"), uid="another")
    assert workloads_of(world(again)).member(named("a")) is None
    assert workloads_of(world(again)).member(named("b")) is None


def test_manifests_that_state_no_uid_are_taken_at_their_names() -> None:
    silent = workloads_of(world(replace(pod("x/a", "10.0.0.1"), uid="")))
    assert told(silent.member(named("a"))) == ("x/a", "a", "10.0.0.1")
    assert told(workloads_of(world(pod("x/a", "10.0.0.1"))).member(named("a", uid=""))) == ("x/a", "a", "10.0.0.1")


def test_g3_v9_pods_that_policies_do_not_concern_are_nobody() -> None:
    workloads = workloads_of(
        world(
            pod("x/host", "10.0.0.1", host_network=True, workload=WEB),
            pod("x/done", "10.0.0.2", finished=True, workload=WEB),
            pod("x/new", workload=WEB),
        )
    )
    assert [each.name for each in workloads.pods()] == ["new"]
    assert all(workloads.member(named(name)) is None for name in ("host", "done", "new"))
    assert workloads.successor(named("done"), None) is None


def test_x1_an_address_that_a_newer_pod_holds_is_not_the_older_ones() -> None:
    workloads = workloads_of(
        world(
            pod("x/old", "10.0.0.1", "10.0.0.2", created="2024-01-01T00:00:00.000000Z"),
            pod("x/young", "10.0.0.1", created="2024-02-01T00:00:00.000000Z"),
        )
    )
    assert told(workloads.member(named("old", workload=""))) == (
        "x/old (and 1 more with its labels)",
        "old",
        "10.0.0.2",
    )


def test_one_of_the_same_controller_stands_for_a_pod_that_is_gone() -> None:
    replicas = [pod(f"x/{name}", f"10.0.0.{number}", workload=WEB) for number, name in enumerate("abc", 1)]
    workloads = workloads_of(world(*replicas))
    successor = workloads.successor(named("b", uid="former"), None)
    assert told(successor) == ("x/Deployment/web", "b", "10.0.0.2")
    assert told(workloads.successor(named("gone"), replicas[0])) == ("x/Deployment/web", "b", "10.0.0.2")
    assert workloads.successor(named("gone", workload=""), None) is None
    assert workloads.successor(named("gone", workload="Deployment/other"), None) is None


def test_pods_without_a_controller_and_with_the_same_lasting_labels_are_one() -> None:
    twins: list[Pod] = [
        pod("x/a", "10.0.0.1", labels="app=web pod-template-hash=1"),
        pod("x/b", "10.0.0.2", labels="app=web pod-template-hash=2"),
        pod("x/c", "10.0.0.3", labels="app=db"),
        pod("y/a", "10.0.0.4", labels="app=web"),
    ]
    workloads = workloads_of(world(*twins))
    member = workloads.member(named("b", workload=""))
    assert member is not None
    assert str(member.workload) == "x/a (and 1 more with its labels)"
    assert [each.name for each in member.workload.pods] == ["a", "b"]
    assert workloads.labels(member.workload) == {"app": "web"}


def test_labels_tell_a_workload_from_its_namespace_only() -> None:
    workloads = workloads_of(
        world(
            pod("x/a", "10.0.0.1", labels="app=web tier=1", workload=WEB),
            pod("x/b", labels="app=web tier=2", workload="Deployment/starting"),
            pod("y/a", "10.0.0.3", labels="app=web tier=1", workload=WEB),
        )
    )
    member = workloads.member(named("a"))
    assert member is not None
    assert workloads.labels(member.workload) == workloads.labels(member.workload) == {"tier": "1"}
