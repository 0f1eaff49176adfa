"""The cluster is a real one, and the machine is none the wiser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from testbed import cgroups
from testbed.live_cluster import TESTS, LiveCluster, require
from testbed.node_files import OUTSIDE_V4
from testbed.pod_images import pod_images
from testbed.processes import processes_naming
from testbed.workloads import LiveNamespace, LivePod, deployment, reaches_from, service
from waiting import wait_until

pytestmark = pytest.mark.e2e

WATCHED_SYSCTLS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")
WATCHED_DIRECTORIES = ("/", "/etc", "/opt", "/var/lib", "/var/log", "/run/netns", "/run/lock")


def test_pods_of_a_deployment_reach_each_other(namespace: LiveNamespace) -> None:
    namespace.apply(deployment("web", replicas=2))
    one, two = namespace.pods_of("web")
    assert [":" in address for address in two.addresses] == [False, True]
    assert all(one.reaches(address) for address in two.addresses)
    assert not one.reaches("192.0.2.1", seconds=1)
    with pytest.raises(AssertionError, match="REFUSED"):
        one.reaches(two.addresses[0], port=81)


def test_a_service_is_reached_from_pods_and_from_the_node(live_cluster: LiveCluster, namespace: LiveNamespace) -> None:
    namespace.apply(deployment("web", replicas=2), service("web"))
    one, _ = namespace.pods_of("web")
    address = namespace.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    wait_until(lambda: one.reaches(address, port=80, seconds=1), "kube-proxy knows the service")
    assert reaches_from(live_cluster.inside(), address, port=80)


def test_the_world_outside_reaches_pods_and_is_reached(live_cluster: LiveCluster, namespace: LiveNamespace) -> None:
    namespace.apply(deployment("web"))
    (pod,) = namespace.pods_of("web")
    assert all(reaches_from(live_cluster.outside(), address) for address in pod.addresses)
    with pytest.raises(AssertionError, match="REFUSED"):
        pod.reaches(OUTSIDE_V4)


def test_the_kubelet_probes(live_cluster: LiveCluster, namespace: LiveNamespace) -> None:
    namespace.apply(deployment("web"))
    (pod,) = namespace.pods_of("web")
    rule = ("INPUT", "-p", "tcp", "--sport", "8080", "-s", pod.addresses[0], "-j", "DROP")
    live_cluster.run("iptables", "-I", *rule)
    try:
        wait_until(lambda: not ready(pod), "the pod is not ready")
    finally:
        live_cluster.run("iptables", "-D", *rule)
    wait_until(lambda: ready(pod), "the pod is ready again")


def test_the_machine_stays_as_it_is(tmp_path: Path) -> None:
    before = state_of_the_machine()
    with LiveCluster(tmp_path, pod_images()) as cluster:
        assert state_of_the_machine() == before
        first = cluster.pid
        assert cgroups.places(cluster.cgroup)
    assert state_of_the_machine() == before
    assert not Path("/proc", str(first)).exists()
    assert not cgroups.places(cluster.cgroup)
    assert {path.suffix for path in tmp_path.iterdir()} == {".log", ""}


def test_a_node_dies_with_a_starter_that_is_killed(tmp_path: Path) -> None:
    require()
    code = (
        "import pathlib, sys, testbed.live_cluster as bed; bed.LiveCluster(pathlib.Path(sys.argv[1]), []).__enter__()"
    )
    path = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    log = tmp_path / "kube-apiserver.log"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], env=path) as starter:
        wait_until(lambda: log.exists() and log.stat().st_size > 0, "an API server has begun")
        assert processes_naming(tmp_path)
        starter.kill()
    wait_until(lambda: not processes_naming(tmp_path), "nothing of the cluster runs")
    cgroups.remove_orphans()


def ready(pod: LivePod) -> bool:
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return pod.cluster.kubectl("-n", pod.namespace, "get", "pod", pod.name, "-o", path) == "True"


def state_of_the_machine() -> dict[str, object]:
    """What a cluster could change of the machine's own network, mounts, settings and files."""
    rules = [f"{family}-{variant}-save" for family in ("iptables", "ip6tables") for variant in ("nft", "legacy")]
    links = ["ip -o address", "ip route", "ip -6 route", "ipset list -n"]
    return {
        **{command: output(*command.split()) for command in rules + links},
        **{name: Path("/proc/sys", name).read_text() for name in WATCHED_SYSCTLS},
        **{name: sorted(Path(name).iterdir()) for name in WATCHED_DIRECTORIES if Path(name).exists()},
        "mounts": Path("/proc/self/mounts").read_text(),
    }


def output(*command: str) -> list[str]:
    """The lines it writes, without comments and counters, which time alone changes."""
    written = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.partition(" [")[0] for line in written.splitlines() if not line.startswith("#")]
