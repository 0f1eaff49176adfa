"""`netpol services`: what the service proxy serves on this node, as the kernel has it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence

from netpol.agent.proxy_kernel import service_tables
from netpol.command.aligned import UNBOUNDED
from netpol.command.arguments import add_output_argument
from netpol.command.kernel_arguments import require_root
from netpol.command.look import Look, look_of
from netpol.command.service_listing import ListedServer, listed_servers
from netpol.command.service_table import server_json, service_lines
from netpol.command.switches import Switch, add_switch
from netpol.compiler.ruleset import Hook, TableName
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.variant import variants_present
from netpol.model.networks import Family
from proxy.kernel.ipvs import NetlinkServers
from proxy.names import hook_chain
from proxy.ownership import SERVICE_PROXY

HELP = "show which services this node serves, by which endpoints, with how many connections"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="only services of this name")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="only services of this namespace")
    add_switch(parser, "--all", Switch.OFF, "show also virtual servers that others have made")
    add_output_argument(parser, "table")


def run(arguments: argparse.Namespace) -> int:
    """0 once the services are printed."""
    require_root("netpol services")
    found = [each for each in read() if each.is_ours or arguments.all]
    chosen = [each for each in found if _is_meant(each, arguments)]
    if arguments.output == "json":
        print(json.dumps([server_json(each) for each in chosen], indent=2))
        return 0
    for line in table_lines(chosen, look_of(sys.stdout, os.environ, shutil.get_terminal_size((UNBOUNDED, 0)).columns)):
        print(line)
    if not chosen:
        print("netpol: no service is as asked for" if found else "netpol: no service is served here", file=sys.stderr)
    return 0


def read() -> list[ListedServer]:
    """Every virtual server of this network namespace."""
    with NetlinkServers() as servers, NetlinkSets(ownership=SERVICE_PROXY) as sets:
        return listed_servers(servers.read().values(), sets.read(), list(_marking()))


def _marking() -> Iterator[str]:
    """The rules that mark packets to services which are answered directly."""
    for variant in variants_present():
        for family in Family:
            chains = service_tables(variant, TableName.MANGLE).read(family).chains
            yield from chains.get(hook_chain(Hook.PREROUTING), ())


def table_lines(servers: Sequence[ListedServer], look: Look) -> list[str]:
    """Ours as people read them, and those of others below."""
    ours, others = (service_lines([each for each in servers if each.is_ours is own], look) for own in (True, False))
    heading = [*([""] if ours else []), "Made by others, and left alone:"] if others else []
    return [*ours, *heading, *others]


def _is_meant(server: ListedServer, arguments: argparse.Namespace) -> bool:
    if arguments.namespace is not None and server.namespace != arguments.namespace:
        return False
    return arguments.name is None or server.name == arguments.name
