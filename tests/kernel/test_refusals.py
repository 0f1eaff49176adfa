"""What cannot be done is said in a line, and the rules of before go on working."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import join
from shutil import which
from subprocess import CompletedProcess

import pytest
from builders import BOTH, block, pods, policy, rule
from cluster import Cluster
from kernel_text import kernel_text

from netpol.lab.namespace import Namespace

pytestmark = pytest.mark.kernel

FIRST = policy("x/first", "app=web", ingress=[rule(peers=[pods("app=api")], ports=["80/TCP"])])
SECOND = policy("x/second", directions=BOTH, ingress=[rule(peers=[block("10.0.0.0/8", "10.2.0.0/16")])])
NOBODY = 65534


def assert_one_line(answer: CompletedProcess[str], status: int, *words: str) -> None:
    """The command failed with this status, and said why in one line that has these words."""
    assert answer.returncode == status, answer.stdout
    assert answer.stderr.startswith("netpol: ")
    assert answer.stderr.count("\n") == 1
    for word in words:
        assert word in answer.stderr


def assert_first_in_force(cluster: Cluster) -> None:
    """Packets are judged as before the second world was refused."""
    cluster.write(FIRST)
    table = cluster.probe("80/TCP", "81/TCP")
    assert table.reaching("x/web") == {"x/api"}
    assert table.reaching("x/web", "81/TCP") == set()


def with_files_hidden(namespace: Namespace, hides: Sequence[tuple[Path, str]], command: str) -> CompletedProcess[str]:
    """What a shell command says in `namespace` where each path has something else in its place."""
    mounts = [join(["mount", "--bind", str(source), target]) for source, target in hides]
    return namespace.run(["unshare", "--mount", "sh", "-c", " && ".join([*mounts, f"exec {command}"])])


def run_line(cluster: Cluster) -> str:
    return join([sys.executable, "-m", "netpol", *cluster.run_arguments("one")])


@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_a_table_that_is_refused_leaves_all_as_it_was(cluster: Cluster, tmp_path: Path, family: str) -> None:
    """The other family's table has been written by then, or not: neither changes."""
    cluster.enforce(FIRST)
    before = kernel_text(cluster)
    cluster.write(SECOND)
    name = f"{family}tables-{cluster.variant.value}-restore"
    shim = tmp_path / name
    shim.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{name}: line 2 failed: Out of luck.' >&2\nexit 1\n")
    shim.chmod(0o755)
    # /usr/local/sbin comes first where tools are looked for.
    answer = with_files_hidden(cluster.lab.namespace("node/one"), [(tmp_path, "/usr/local/sbin")], run_line(cluster))
    assert_one_line(answer, 1, name, "Out of luck.")
    assert kernel_text(cluster) == before
    assert_first_in_force(cluster)


def test_a_name_that_another_set_has_leaves_all_as_it_was(cluster: Cluster) -> None:
    """Of a type that is never ours, hence not ours to replace."""
    cluster.enforce(FIRST)
    cluster.write(FIRST, SECOND)
    dry = cluster.netpol("one", "compile", "--source", str(cluster.directory), "--hostname-override", "one")
    name = next(word for word in dry.stdout.split() if word.startswith("NETPOL-B4-"))
    cluster.shell("one", "ipset", "create", name, "bitmap:port", "range", "0-1000")
    try:
        before = kernel_text(cluster)
        assert_one_line(cluster.run_on("one"), 1, name, "exists already")
        assert kernel_text(cluster) == before
        assert_first_in_force(cluster)
    finally:
        cluster.shell("one", "ipset", "destroy", name)


def test_a_set_that_is_full_leaves_all_as_it_was(cluster: Cluster) -> None:
    cluster.enforce(FIRST)
    cluster.shell("one", "ipset", "create", "full", "hash:ip", "maxelem", "1", "comment")
    cluster.shell("one", "ipset", "add", "full", "10.1.0.10")
    cluster.shell("one", "ipset", "swap", "full", "NETPOL-ISO-IN-4")
    cluster.shell("one", "ipset", "destroy", "full")
    before = kernel_text(cluster)
    cluster.write(SECOND)
    try:
        assert_one_line(cluster.run_on("one"), 1, "NETPOL-ISO-IN-4", "the set is full")
        assert kernel_text(cluster) == before
        assert_first_in_force(cluster)
    finally:
        cluster.netpol("one", "cleanup")


MALFORMED = {
    "no YAML": ("broken.yaml", "kind: Pod\nmetadata: {name: [\n", "broken.yaml"),
    "no name": ("nameless.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {namespace: x}\n", "metadata.name"),
    "no address": (
        "pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {namespace: x, name: p}\nstatus: {podIPs: [{ip: 10.0.0.256}]}\n",
        "10.0.0.256",
    ),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_manifests_that_cannot_be_read_change_nothing(cluster: Cluster, fault: str) -> None:
    cluster.enforce(FIRST)
    before = kernel_text(cluster)
    cluster.write(SECOND)
    name, text, complaint = MALFORMED[fault]
    (cluster.directory / name).write_text(text)
    assert_one_line(cluster.run_on("one"), 2, name, complaint)
    assert kernel_text(cluster) == before
    assert_first_in_force(cluster)


def test_a_directory_without_manifests_opens_nothing(cluster: Cluster, tmp_path: Path) -> None:
    cluster.enforce(FIRST)
    before = kernel_text(cluster)
    arguments = cluster.run_arguments("one")
    arguments[arguments.index("--source") + 1] = str(tmp_path)
    assert_one_line(cluster.netpol("one", *arguments), 2, str(tmp_path))
    assert kernel_text(cluster) == before


def without_iptables(cluster: Cluster, tmp_path: Path, *arguments: str) -> CompletedProcess[str]:
    """What netpol says on node one where the directory of iptables is empty."""
    found = which("iptables-nft")
    assert found is not None
    line = join([sys.executable, "-m", "netpol", *arguments])
    return with_files_hidden(cluster.lab.namespace("node/one"), [(tmp_path, str(Path(found).parent))], line)


@pytest.mark.parametrize("command", ["run", "verify"])
def test_a_host_without_iptables(cluster: Cluster, tmp_path: Path, command: str) -> None:
    cluster.enforce(FIRST)
    before = kernel_text(cluster)
    arguments = cluster.run_arguments("one") if command == "run" else ["verify", *cluster.arguments("one")]
    answer = without_iptables(cluster, tmp_path, *arguments)
    assert_one_line(answer, 1, "is not installed: install the package iptables")
    assert kernel_text(cluster) == before


def test_cleaning_up_on_a_host_without_iptables(cluster: Cluster, tmp_path: Path) -> None:
    """Rules hold the sets, so nothing can go, and every line says what is left."""
    cluster.enforce(FIRST)
    before = kernel_text(cluster)
    answer = without_iptables(cluster, tmp_path, "cleanup")
    assert answer.returncode == 1
    lines = answer.stderr.splitlines()
    assert all(line.startswith("netpol: left: ") for line in lines)
    assert "install the package iptables" in lines[-1]
    assert kernel_text(cluster).tables == before.tables
    assert_first_in_force(cluster)


@pytest.mark.parametrize("command", ["run", "cleanup", "verify"])
def test_nobody_but_root_gets_anywhere(cluster: Cluster, command: str) -> None:
    cluster.enforce(FIRST)
    before = kernel_text(cluster)
    arguments = {
        "run": cluster.run_arguments("one"),
        "cleanup": ["cleanup"],
        "verify": ["verify", *cluster.arguments("one")],
    }[command]
    assert_one_line(cluster.netpol("one", *arguments, user=NOBODY), 1, f"netpol {command} needs root")
    assert kernel_text(cluster) == before
