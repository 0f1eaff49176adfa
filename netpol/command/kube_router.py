"""Flags of kube-router that change nothing here, so that its DaemonSets start after their image is swapped.

docs/kube-router.md says of every flag of kube-router what becomes of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping

from netpol.command.arguments import attribute
from netpol.command.durations import duration
from netpol.command.proxy_arguments import PROXY_FLAGS
from netpol.command.switches import truth

Flags = Mapping[str, Callable[[str], object]]
"""Flags, and how the value of each is read."""


_SUPPRESS = argparse.SUPPRESS


def _number(text: str) -> int:
    """The number; ArgumentTypeError where the text is none of at least 0."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


_ROUTING: Flags = {
    "--advertise-cluster-ip": truth,
    "--advertise-external-ip": truth,
    "--advertise-loadbalancer-ip": truth,
    "--advertise-pod-cidr": truth,
    "--auto-mtu": truth,
    "--bgp-graceful-restart": truth,
    "--bgp-graceful-restart-deferral-time": duration,
    "--bgp-graceful-restart-time": duration,
    "--bgp-holdtime": duration,
    "--bgp-port": _number,
    "--cluster-asn": _number,
    "--disable-source-dest-check": truth,
    "--enable-cni": truth,
    "--enable-ibgp": truth,
    "--enable-overlay": truth,
    "--enable-pod-egress": truth,
    "--gobgp-admin-address": str,
    "--gobgp-admin-port": _number,
    "--injected-routes-sync-period": duration,
    "--nodes-full-mesh": truth,
    "--overlay-encap": str,
    "--overlay-encap-port": _number,
    "--overlay-type": str,
    "--override-nexthop": truth,
    "--peer-router-asns": str,
    "--peer-router-ips": str,
    "--peer-router-multihop-ttl": _number,
    "--peer-router-passwords": str,
    "--peer-router-passwords-file": str,
    "--peer-router-ports": str,
    "--router-id": str,
    "--routes-sync-period": duration,
}
WITHOUT_EFFECT: Mapping[str, Flags] = {
    "the pod network is the CNI's": _ROUTING,
    "no addresses are given to load balancers": {
        "--loadbalancer-default-class": truth,
        "--loadbalancer-sync-period": duration,
    },
    "pods are found without their runtime": {"--runtime-endpoint": str},
    "--fail-open says it here": {"--netpol-default-deny": truth},
    "--iptables-variant says it here": {"--use-nftables-for-netpol": truth},
    "no program in Go runs": {"--enable-pprof": truth},
}
"""By the reason why, the flags that change nothing; what is no value of one is refused all the same."""


def add_flags_without_effect(parser: argparse.ArgumentParser) -> None:
    """The parser takes each of these flags, as often as it is given, and its help is spared them."""
    for flags in WITHOUT_EFFECT.values():
        for flag, value in flags.items():
            if value is truth:
                parser.add_argument(flag, nargs="?", const=True, type=value, default=_SUPPRESS, help=_SUPPRESS)
            else:
                parser.add_argument(flag, type=value, default=_SUPPRESS, help=_SUPPRESS)


def without_effect(arguments: argparse.Namespace) -> str:
    """The flags given that change nothing, with the reasons, in one line; empty where there is none.

    Those of the service proxy are among them where none runs.
    """
    idle: dict[str, Iterable[str]] = dict(WITHOUT_EFFECT)
    if not arguments.run_service_proxy:
        idle["no service proxy runs"] = sorted(PROXY_FLAGS)
    given = {reason: [flag for flag in flags if hasattr(arguments, attribute(flag))] for reason, flags in idle.items()}
    return "; ".join(f"{', '.join(flags)} ({reason})" for reason, flags in given.items() if flags)
