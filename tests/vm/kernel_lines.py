"""What a node's kernel holds, as the tools of others print it."""

from __future__ import annotations

import re
from pathlib import Path

from vm.service_lab import ServiceLab
from waiting import wait_until

TABLES = ("filter", "nat", "mangle", "raw")
_NOISE = re.compile(r"^(?:#|COMMIT|$)")
_SETTINGS = ("ipv4/vs/*", "ipv4/conf/*/arp_*", "ipv4/ip_forward", "ipv4/conf/*/forwarding", "ipv6/conf/*/forwarding")
_IP = "link\naddr\nrule\nroute show table all\n"
_SCRIPT = """\
echo '== virtual server'; ipvsadm -S -n
echo '== timeout'; ipvsadm -L --timeout
echo '== set'; ipset save
echo '== address, link, route or rule'; echo "$IP" | ip -o -batch -; echo "$IP" | ip -6 -o -batch -
echo '== iptables'; iptables-save
echo '== ip6tables'; ip6tables-save
"""
_COUNTED = """\
iptables-save -c | grep '^\\['
ipvsadm -L -n --stats --exact
"""


def make_tables(lab: ServiceLab) -> None:
    """The node has every table of iptables: looking for one that is not there makes it."""
    lab.run("sh", "-c", "".join(f"iptables-save -t {each}; ip6tables-save -t {each};" for each in TABLES))


def kernel_lines(lab: ServiceLab) -> frozenset[str]:
    """A line for everything that the node's kernel holds, but connections and what is counted."""
    found: set[str] = set()
    section = ""
    for line in lab.run("env", f"IP={_IP}", "sh", "-e", "-c", _SCRIPT).splitlines():
        if line.startswith("== "):
            section, table, places = line[3:], "", dict[str, int]()
        elif line.startswith("*"):
            table = line
        elif line.startswith("-A ") and "tables" in section:
            chain = f"{table} {line.split()[1]}"
            places[chain] = places.get(chain, 0) + 1
            found.add(f"{section} {table} {places[chain]} {line}")
        elif not _NOISE.match(line):
            # A built-in chain counts whatever its namespace says to its neighbours.
            text = line.partition(" [")[0] if line.startswith(":") else line
            found.add(f"{section} {table} {text.strip()}")
    return frozenset(found | _settings(lab))


def what_is_counted(lab: ServiceLab) -> list[str]:
    """What every rule of IPv4 and every virtual server has counted: made anew, it would have counted nothing."""
    wait_until(lambda: _is_added_up(lab), "IPVS adds up what it has counted, every two seconds")
    return lab.run("sh", "-c", _COUNTED).splitlines()


def _is_added_up(lab: ServiceLab) -> bool:
    with lab.node.entered():
        shown, counted = (
            Path("/proc/thread-self/net", name).read_text(encoding="ascii").splitlines()
            for name in ("ip_vs_stats", "ip_vs_stats_percpu")
        )
    # The line of the sums is as late as all others; that of the one processor is not. Rates have lines below.
    live = next(line.split()[1:] for line in counted if line.split()[:1] == ["0"])
    return shown[2].split() == live


def _settings(lab: ServiceLab) -> set[str]:
    root = Path("/proc/sys/net")
    with lab.node.entered():
        paths = [path for pattern in _SETTINGS for path in root.glob(pattern)]
        return {f"{path.relative_to(root)}={path.read_text(encoding='ascii').strip()}" for path in paths}
