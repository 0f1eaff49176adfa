"""`netpol demo`: policies carried out on this machine, with namespaces as pods and real packets."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from netpol.command.arguments import Once, add_policy_arguments, policy_options, protocol_port
from netpol.command.kernel_arguments import add_kernel_arguments
from netpol.command.look import look_of
from netpol.command.story import WALK_PORTS, Stage, carry_out, say, walk
from netpol.demo.agents import run_agents
from netpol.demo.ports import MOST_PORTS
from netpol.lab.namespace import require_namespaces

HELP = "show the firewall at work: pods as network namespaces, every pair probed with packets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags."""
    parser.add_argument(
        "-f",
        "--filename",
        "--source",
        dest="source",
        type=Path,
        action=Once,
        metavar="DIR",
        help="a directory of your own manifests instead of the guestbook's",
    )
    parser.add_argument(
        "-p",
        "--port",
        dest="ports",
        action="append",
        metavar="PORT/PROTO",
        help="with --source: 80/TCP, 53/UDP, 9999/SCTP or ICMP, more than once if need be (default: the ports that "
        f"policies and containers name, at most {MOST_PORTS} of them)",
    )
    add_policy_arguments(parser)
    add_kernel_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 where every packet went as the policies say, 1 where one did not."""
    ports = [protocol_port(text) for text in arguments.ports or ()]
    require_namespaces()
    _allow_many_sockets()
    begun = time.monotonic()
    look = look_of(sys.stdout, os.environ, shutil.get_terminal_size().columns)
    agents = partial(run_agents, flags=_agent_flags(arguments))
    with _terminated_like_interrupted(), tempfile.TemporaryDirectory(prefix="netpol-demo-") as directory:
        manifests, log = Path(directory, "manifests"), Path(directory, "audit.log")
        manifests.mkdir()
        stage = Stage(manifests, log, policy_options(arguments), agents, look)
        if arguments.source is None:
            differences = walk(stage, ports or WALK_PORTS)
        else:
            differences = carry_out(stage, arguments.source, ports)
    say(
        "",
        "Cleaned up: the namespaces are gone, and all sets and rules with them. This host's own network was never "
        f"touched. ({time.monotonic() - begun:.1f} s)",
    )
    return 1 if differences else 0


def _agent_flags(arguments: argparse.Namespace) -> list[str]:
    """The flags that an agent is to read manifests and write rules by, as the demo itself does."""
    return [
        f"--v1beta1-semantics={arguments.v1beta1_semantics}",
        f"--strict-annotations={arguments.strict_annotations}",
        f"--iptables-variant={arguments.iptables_variant}",
    ]


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does, so that the temporary directory goes too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _allow_many_sockets() -> None:
    """As many files may be open as the system allows this process: each probe under way takes a few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
