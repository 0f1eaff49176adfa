"""The flags of the agent that stays: how often it looks, what it serves, how it ends; and the settings they make."""

from __future__ import annotations

import argparse
from ipaddress import ip_address

from netpol.command.arguments import policy_options
from netpol.command.audit_arguments import add_audit_arguments, audit_settings
from netpol.command.durations import period
from netpol.command.kernel_arguments import named_variant
from netpol.command.node_arguments import node_options
from netpol.command.proxy_arguments import add_proxy_arguments, proxy_settings
from netpol.command.source_arguments import source_of
from netpol.command.switches import Switch, add_switch
from netpol.settings import (
    CACHE_SYNC_TIMEOUT_SECONDS,
    HEALTH_PORT,
    METRICS_PATH,
    SYNC_PERIOD_SECONDS,
    AgentSettings,
    Listener,
)

_HIGHEST_PORT = 65535


def add_agent_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows the flags of `agent_settings` that only the agent has."""
    for flag, seconds, text in (
        (
            "--iptables-sync-period",
            SYNC_PERIOD_SECONDS,
            "how often the kernel is read back for policies, whatever happened",
        ),
        ("--cache-sync-timeout", CACHE_SYNC_TIMEOUT_SECONDS, "when the source is first said to be late"),
    ):
        parser.add_argument(
            flag, type=period, default=seconds, metavar="DURATION", help=f"{text} (default {seconds:.0f}s)"
        )
    parser.add_argument(
        "--metrics-port",
        type=_port,
        default=0,
        metavar="PORT",
        help="serve Prometheus metrics here (default 0: nowhere)",
    )
    parser.add_argument(
        "--metrics-path", type=_path, default=METRICS_PATH, metavar="PATH", help=f"(default {METRICS_PATH})"
    )
    parser.add_argument(
        "--health-port",
        type=_port,
        default=HEALTH_PORT,
        metavar="PORT",
        help=f"serve /healthz and /readyz here (default {HEALTH_PORT}; 0: nowhere)",
    )
    for flag in ("--metrics-addr", "--health-addr"):
        parser.add_argument(
            flag, type=_address, default="", metavar="IP", help="listen on this address only (default: all)"
        )
    add_audit_arguments(parser)
    add_proxy_arguments(parser)
    add_switch(parser, "--cleanup-on-exit", Switch.OFF, "remove all that is ours when the agent is told to stop")
    parser.add_argument(
        "-v",
        "--v",
        type=_level,
        nargs="?",
        const=1,
        default=0,
        metavar="LEVEL",
        help="say more: 1 and above (default 0)",
    )


def agent_settings(arguments: argparse.Namespace) -> AgentSettings:
    """What the flags, the environment and the host say, all in one; UsageError where it does not fit together."""
    return AgentSettings(
        node=node_options(arguments),
        source=source_of(arguments),
        policies=policy_options(arguments),
        audit=audit_settings(arguments),
        sync_period_seconds=arguments.iptables_sync_period,
        cache_sync_timeout_seconds=arguments.cache_sync_timeout,
        metrics=_listener(arguments.metrics_port, arguments.metrics_addr),
        metrics_path=arguments.metrics_path,
        health=_listener(arguments.health_port, arguments.health_addr),
        cleanup_on_exit=arguments.cleanup_on_exit,
        variant=named_variant(arguments),
        verbosity=arguments.v,
        firewall=arguments.run_firewall,
        proxy=proxy_settings(arguments) if arguments.run_service_proxy else None,
    )


def _listener(port: int, address: str) -> Listener | None:
    return Listener(port, address) if port else None


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port of 1 to {_HIGHEST_PORT}, nor 0")
    return port


def _address(text: str) -> str:
    """The address as it is written; the empty one means all."""
    try:
        return text and str(ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no IP address") from None


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with /")
    return text


def _level(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no level such as 0, 1 or 2")
    return int(text)
