"""`netpol run`: programs this node's kernel, once, or for as long as the agent lives."""

from __future__ import annotations

import argparse
import sys

import netpol
from netpol.agent.agent import kinds_of, run_agent
from netpol.agent.serving import serve_once
from netpol.command import cleanup
from netpol.command.agent_arguments import add_agent_arguments, agent_settings
from netpol.command.arguments import attribute
from netpol.command.kernel_arguments import add_kernel_arguments, chosen_variant, require_root
from netpol.command.kube_router import add_flags_without_effect, without_effect
from netpol.command.node_arguments import add_node_arguments, load_for_node
from netpol.command.source_arguments import add_source_arguments
from netpol.command.switches import Switch, add_switch
from netpol.dataplane.bridges import unseen
from netpol.dataplane.opening import open_kernel, other_tables
from netpol.errors import UsageError
from netpol.model.snapshot import Snapshot
from netpol.settings import AgentSettings, NodeOptions, Variant

HELP = "enforce network policies and serve Services on this node, in the current network namespace"
_EPILOG = "Every other flag of kube-router is accepted and has no effect; docs/kube-router.md says why."

_NOT_RUN = {
    "--run-router": "the pod network is the CNI's; netpol does not route it",
    "--run-loadbalancer": "netpol gives no addresses to load balancers",
}
"""What kube-router can run and this cannot: such a flag may only say false."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags, and all of kube-router's."""
    parser.epilog = _EPILOG
    add_source_arguments(parser)
    add_node_arguments(parser)
    add_kernel_arguments(parser)
    add_switch(parser, "--run-firewall", Switch.ON, "enforce network policies")
    add_switch(parser, "--run-service-proxy", Switch.OFF, "serve Services, by IPVS")
    for flag, why in _NOT_RUN.items():
        add_switch(parser, flag, Switch.OFF, f"only false: {why}")
    add_switch(parser, "--once", Switch.OFF, "program the kernel once and exit")
    add_switch(parser, "--cleanup-config", Switch.OFF, "do what netpol cleanup does, and nothing else")
    add_agent_arguments(parser)
    add_flags_without_effect(parser)
    parser.add_argument("--version", "-V", action="version", version=f"netpol {netpol.__version__}")


def run(arguments: argparse.Namespace) -> int:
    """The agent's own status; with --once, 0 when the kernel is programmed and what changed was said."""
    if arguments.cleanup_config:
        return cleanup.run(arguments)
    _refuse_what_is_not_run(arguments)
    settings = agent_settings(arguments)
    if idle := without_effect(arguments):
        print(f"warning: without effect: {idle}", file=sys.stderr)
    require_root("netpol run")
    return _program_once(arguments, settings) if arguments.once else run_agent(settings)


def _program_once(arguments: argparse.Namespace, settings: AgentSettings) -> int:
    snapshot = load_for_node(arguments, settings.node, kinds_of(settings))
    variant = chosen_variant(arguments)
    if settings.firewall:
        _enforce_once(settings.node, variant, snapshot)
    if settings.proxy is not None:
        served = serve_once(settings.node, settings.proxy, variant, snapshot)
        for notice in served.notices:
            print(f"warning: {notice}", file=sys.stderr)
        print(f"{settings.node.name} ({variant.value}): services: {served.outcome}")
    if found := unseen(settings.node.families):
        print(f"warning: packets between pods on the bridge {found.bridges} pass unseen: {found.mend}", file=sys.stderr)
    return 0


def _enforce_once(options: NodeOptions, variant: Variant, snapshot: Snapshot) -> None:
    # A service proxy alone, and the agent, do without: the compiler and the policies take their time to load.
    from netpol.compiler.compile import compile_ruleset  # noqa: PLC0415  its cost, see above
    from netpol.control.programming import Programming, program  # noqa: PLC0415  its cost, see above

    target = Programming(snapshot, compile_ruleset(snapshot, options), options.name)
    with open_kernel(variant) as kernel:
        outcome = program(target, kernel, superseded=tuple(other_tables(variant).values()))
    print(f"{options.name} ({variant.value}): {outcome}")


def _refuse_what_is_not_run(arguments: argparse.Namespace) -> None:
    for flag, why in _NOT_RUN.items():
        if getattr(arguments, attribute(flag)):
            raise UsageError(f"{flag}: {why}")
