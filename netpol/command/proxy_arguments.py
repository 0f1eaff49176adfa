"""The flags of the service proxy, as kube-router has them; and the settings they make."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping

from netpol.command.arguments import attribute
from netpol.command.durations import duration, period
from netpol.command.networks import networks
from netpol.command.switches import truth
from netpol.model.ports import FIRST_PORT, LAST_PORT, PortRange
from netpol.settings import NODE_PORTS, AddressRanges, ConnectionTimeouts, ProxySettings

LONGEST_TIMEOUT_SECONDS = 2_147_483
"""Some 24 days: what every kernel can count in ticks of its clock."""

_RANGE = re.compile(r"(?P<first>[0-9]{1,5})[-:](?P<last>[0-9]{1,5})", re.ASCII)

_SWITCHES = {
    "--masquerade-all": "hide every client's address from the pods behind services (default false)",
    "--hairpin-mode": "let the pods of every service reach themselves through it (default false)",
    "--nodeport-bindon-all-ip": "serve node ports on all of the node's addresses (default false: on its Node object's)",
    "--ipvs-permit-all": "accept what comes to a service's port whatever the rules of others (default true)",
    "--ipvs-graceful-termination": "let connections of endpoints that are gone end by themselves (default true)",
    "--strict-external-ip-validation": "refuse what services ask for outside of the ranges (default true)",
}
_NETWORKS = {
    "--service-cluster-ip-range": "where cluster IPs are (default 10.96.0.0/12)",
    "--service-external-ip-range": "where externalIPs may be (default: anywhere)",
    "--loadbalancer-ip-range": "where addresses of load balancers may be (default: anywhere)",
    "--excluded-cidrs": "networks whose virtual servers are others', and stay as they are",
}
_NODE_PORTS = "--service-node-port-range"


def _timeout(text: str) -> int | None:
    """The seconds, a part of one being one more; None for 0; ArgumentTypeError where no kernel counts so far."""
    if (seconds := duration(text)) > LONGEST_TIMEOUT_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is longer than {LONGEST_TIMEOUT_SECONDS}s")
    return math.ceil(seconds) or None


def _grace(text: str) -> float:
    """The seconds; ArgumentTypeError where nobody can wait that long."""
    return period(text) if duration(text) else 0.0


def _port_range(text: str) -> PortRange:
    """The ports from one to the other; ArgumentTypeError where they are none."""
    found = _RANGE.fullmatch(text)
    ports = PortRange(int(found["first"]), int(found["last"])) if found else None
    if ports is None or not FIRST_PORT <= ports.first <= ports.last <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no range of ports such as {NODE_PORTS}")
    return ports


_TIMEOUTS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "--service-tcp-timeout": (
        _timeout,
        "how long IPVS keeps an idle TCP connection (default 0s: as the kernel has it)",
    ),
    "--service-tcpfin-timeout": (_timeout, "how long one that is being closed (default 0s: as the kernel has it)"),
    "--service-udp-timeout": (_timeout, "how long an idle UDP exchange (default 0s: as the kernel has it)"),
}
_PERIODS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "--ipvs-sync-period": (period, "how often the kernel is read back for services, whatever happened (default 30s)"),
    "--ipvs-graceful-period": (_grace, "for how long such connections may go on (default 30s)"),
    **_TIMEOUTS,
}

PROXY_FLAGS = frozenset((*_SWITCHES, *_NETWORKS, *_PERIODS, _NODE_PORTS))
"""Every flag that only the service proxy has; the namespace holds those that were given, and no others."""


def add_proxy_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows the flags of `proxy_settings`."""
    for flag, text in _SWITCHES.items():
        parser.add_argument(
            flag, nargs="?", const=True, type=truth, default=argparse.SUPPRESS, metavar="BOOL", help=text
        )
    for flag, text in _NETWORKS.items():
        parser.add_argument(
            flag,
            action="extend",
            type=networks,
            default=argparse.SUPPRESS,
            metavar="CIDR[,CIDR]",
            help=f"{text}; may be repeated",
        )
    for flag, (read, text) in _PERIODS.items():
        parser.add_argument(flag, type=read, default=argparse.SUPPRESS, metavar="DURATION", help=text)
    parser.add_argument(
        _NODE_PORTS,
        type=_port_range,
        default=argparse.SUPPRESS,
        metavar="FIRST-LAST",
        help=f"which node ports may be served (default {NODE_PORTS})",
    )


def proxy_settings(arguments: argparse.Namespace) -> ProxySettings:
    """What the flags say of the service proxy; `--cluster-cidr`, a flag of the node, says whose clients are pods."""
    given = {flag: getattr(arguments, attribute(flag)) for flag in PROXY_FLAGS if hasattr(arguments, attribute(flag))}
    plain = ProxySettings()
    is_graceful = given.get("--ipvs-graceful-termination", True)
    return ProxySettings(
        sync_period_seconds=given.get("--ipvs-sync-period", plain.sync_period_seconds),
        cluster_cidrs=tuple(arguments.cluster_cidr),
        masquerade_all=given.get("--masquerade-all", plain.masquerade_all),
        hairpin=given.get("--hairpin-mode", plain.hairpin),
        permit_all=given.get("--ipvs-permit-all", plain.permit_all),
        node_ports_on_all_addresses=given.get("--nodeport-bindon-all-ip", plain.node_ports_on_all_addresses),
        graceful_seconds=given.get("--ipvs-graceful-period", plain.graceful_seconds) if is_graceful else 0.0,
        excluded=tuple(given.get("--excluded-cidrs", plain.excluded)),
        ranges=AddressRanges(
            cluster=tuple(given.get("--service-cluster-ip-range", plain.ranges.cluster)),
            external=tuple(given.get("--service-external-ip-range", plain.ranges.external)),
            load_balancer=tuple(given.get("--loadbalancer-ip-range", plain.ranges.load_balancer)),
            node_ports=given.get(_NODE_PORTS, plain.ranges.node_ports),
            strict=given.get("--strict-external-ip-validation", plain.ranges.strict),
        ),
        timeouts=ConnectionTimeouts(*(given.get(flag) for flag in _TIMEOUTS)),
    )
