"""What others write in the same tables stays theirs, whatever netpol does beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from builders import BOTH, block, pods, policy, rule
from cluster import Cluster
from kernel_text import KernelText, kernel_text

pytestmark = pytest.mark.kernel

FIRST = policy("x/first", "app=web", ingress=[rule(peers=[pods("app=api")], ports=["80/TCP"])])
SECOND = policy("x/second", directions=BOTH, ingress=[rule(peers=[block("10.0.0.0/8", "10.2.0.0/16")])])

FOREIGN_TABLES = """
*filter
:INPUT ACCEPT [10:20]
:FORWARD ACCEPT [30:40]
:OUTPUT ACCEPT [50:60]
:KUBE-FORWARD - [0:0]
:NETPOL-mine - [0:0]
:NETPOL-FORWARDING - [0:0]
:OTHERS-NETPOL-FORWARD - [0:0]
[1:2] -A INPUT -s {address} -m comment --comment "-j NETPOL-INPUT" -j KUBE-FORWARD
[3:4] -A FORWARD -s {address} -j DROP
[5:6] -A FORWARD -s {address} -m comment --comment "spaces  \\"quotes\\" and -g NETPOL-INGRESS" -j NETPOL-mine
[7:8] -A KUBE-FORWARD -m set --match-set NETPOL-mine-{family} src -j RETURN
[9:9] -A NETPOL-mine -p tcp -m tcp --dport 65000 -j ACCEPT
[0:0] -A NETPOL-FORWARDING -j OTHERS-NETPOL-FORWARD
[0:0] -A OTHERS-NETPOL-FORWARD -m mark --mark 0x4000/0x4000 -j LOG --log-prefix "NETPOL-OUTPUT "
COMMIT
*nat
:PREROUTING ACCEPT [1:1]
:KUBE-SERVICES - [0:0]
[2:2] -A PREROUTING -s {address} -j KUBE-SERVICES
[0:0] -A KUBE-SERVICES -d {address} -p tcp -m tcp --dport 80 -j RETURN
COMMIT
*mangle
:FORWARD ACCEPT [0:0]
[4:4] -A FORWARD -s {address} -j MARK --set-xmark 0x1/0xffffffff
COMMIT
"""

FOREIGN_SETS = """
create NETPOL-mine-4 hash:ip family inet
create NETPOL-mine-6 hash:ip family inet6
create NETPOL-ISO hash:net family inet comment
create others list:set size 8
add NETPOL-mine-4 192.0.2.99
add NETPOL-mine-6 2001:db8::99
add NETPOL-ISO 192.0.2.0/24 comment "NETPOL-ISO-IN-4"
add others NETPOL-mine-4
"""


@pytest.fixture
def foreign(cluster: Cluster) -> Iterator[KernelText]:
    """Node one has rules and sets of others, in both variants, and nothing of ours; what the kernel then holds."""
    assert cluster.netpol("one", "cleanup").returncode == 0
    cluster.shell("one", "ipset", "restore", given=FOREIGN_SETS)
    for variant in ("nft", "legacy"):
        v4 = FOREIGN_TABLES.format(address="192.0.2.7/32", family=4)
        v6 = FOREIGN_TABLES.format(address="2001:db8::7/128", family=6)
        cluster.shell("one", f"iptables-{variant}-restore", "-c", given=v4)
        cluster.shell("one", f"ip6tables-{variant}-restore", "-c", given=v6)
    yield kernel_text(cluster, counters=True)
    cluster.netpol("one", "cleanup")
    for variant in ("nft", "legacy"):
        for tool in ("iptables", "ip6tables"):
            cluster.shell("one", f"{tool}-{variant}-restore", given="*filter\nCOMMIT\n*nat\nCOMMIT\n*mangle\nCOMMIT\n")
    for command in ("flush", "destroy"):
        for name in ("others", "NETPOL-mine-4", "NETPOL-mine-6", "NETPOL-ISO"):
            cluster.shell("one", "ipset", command, name)


def test_runs_and_cleanup_leave_everything_of_others_as_it_was(cluster: Cluster, foreign: KernelText) -> None:
    assert not foreign.holds_ours
    for objects in ((FIRST,), (FIRST, SECOND), (SECOND,), ()):
        cluster.enforce(*objects)
        text = kernel_text(cluster, counters=True)
        assert text.holds_ours
        assert text.of_others == foreign
    answer = cluster.netpol("one", "cleanup")
    assert answer.returncode == 0, answer.stderr
    assert kernel_text(cluster, counters=True) == foreign


BUSY = """
set -e
i=0
while [ ! -e "$1" ]; do
    i=$((i + 1))
    iptables-$0 -w -A BUSY -s 172.20.$((i / 250)).$((i % 250)) -j ACCEPT
    ip6tables-$0 -w -I FORWARD 1 -s 2001:db8:20::$i -j ACCEPT
    ipset create BUSY-$i hash:ip
    ipset add BUSY-$i 172.20.$((i / 250)).$((i % 250))
    if [ $((i % 2)) = 0 ]; then
        iptables-$0 -w -D BUSY -s 172.20.$((i / 250)).$((i % 250)) -j ACCEPT
        ip6tables-$0 -w -D FORWARD -s 2001:db8:20::$i -j ACCEPT
        ipset destroy BUSY-$i
    fi
done
echo $i
"""


def test_nothing_is_lost_of_what_another_writes_at_the_same_time(cluster: Cluster, tmp_path: Path) -> None:
    variant, stop = cluster.variant.value, tmp_path / "stop"
    cluster.enforce(FIRST)
    cluster.shell("one", f"iptables-{variant}", "-N", "BUSY")
    with cluster.lab.namespace("node/one").entered():
        writer = Popen(["sh", "-c", BUSY, variant, str(stop)], stdout=PIPE, stderr=PIPE, text=True)
    for objects in ((SECOND,), (FIRST,), (), (FIRST, SECOND)) * 3:
        cluster.write(*objects)
        answer = cluster.run_on("one")
        assert answer.returncode == 0, answer.stderr
    stop.touch()
    output, complaints = writer.communicate(timeout=30)
    assert writer.returncode == 0, complaints
    odd = range(1, int(output) + 1, 2)
    assert len(odd) > 5
    rules = cluster.shell("one", f"iptables-{variant}", "-S", "BUSY").splitlines()[1:]
    assert [rule.split()[3] for rule in rules] == [f"172.20.{i // 250}.{i % 250}/32" for i in odd]
    forward = cluster.shell("one", f"ip6tables-{variant}", "-S", "FORWARD")
    assert re.findall(r"2001:db8:20::(\d+)/128", forward) == [str(i) for i in reversed(odd)]
    names = cluster.shell("one", "ipset", "list", "-n").split()
    assert sorted(name for name in names if name.startswith("BUSY")) == sorted(f"BUSY-{i}" for i in odd)
    assert cluster.netpol("one", "cleanup").returncode == 0
    assert "172.20.0.1/32" in cluster.shell("one", f"iptables-{variant}", "-S", "BUSY")
    for command in (["-F", "BUSY"], ["-X", "BUSY"]):
        cluster.shell("one", f"iptables-{variant}", *command)
    cluster.shell("one", f"ip6tables-{variant}", "-F", "FORWARD")
    for i in odd:
        cluster.shell("one", "ipset", "destroy", f"BUSY-{i}")


def test_cleanup_leaves_exactly_what_others_use_of_ours_and_says_so(cluster: Cluster) -> None:
    variant = cluster.variant.value
    iptables = f"iptables-{variant}"
    cluster.enforce(FIRST)
    cluster.shell("one", iptables, "-N", "OTHERS")
    cluster.shell("one", iptables, "-A", "OTHERS", "-j", "NETPOL-INVALID")
    cluster.shell(
        "one", iptables, "-A", "FORWARD", "-m", "set", "--match-set", "NETPOL-ISO-IN-4", "dst", "-j", "RETURN"
    )
    cluster.shell("one", "ipset", "create", "others", "list:set")
    cluster.shell("one", "ipset", "add", "others", "NETPOL-UNKNOWN-6")
    try:
        answer = cluster.netpol("one", "cleanup")
        assert answer.returncode == 1
        for name in ("NETPOL-INVALID", "NETPOL-ISO-IN-4", "NETPOL-UNKNOWN-6"):
            assert name in answer.stderr
        names = cluster.shell("one", "ipset", "list", "-n").split()
        assert sorted(names) == ["NETPOL-ISO-IN-4", "NETPOL-UNKNOWN-6", "others"]
        saved = cluster.shell("one", iptables, "-S").splitlines()
        assert sorted(line for line in saved if not line.startswith("-P")) == [
            "-A FORWARD -m set --match-set NETPOL-ISO-IN-4 dst -j RETURN",
            "-A OTHERS -j NETPOL-INVALID",
            "-N NETPOL-INVALID",
            "-N OTHERS",
        ]
    finally:
        cluster.shell("one", iptables, "-F")
        cluster.shell("one", iptables, "-X", "OTHERS")
        cluster.shell("one", "ipset", "destroy", "others")
    again = cluster.netpol("one", "cleanup")
    assert again.returncode == 0, again.stderr
    assert not kernel_text(cluster).holds_ours
