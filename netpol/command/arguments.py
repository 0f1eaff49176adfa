"""The flags that several subcommands share."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from netpol.errors import UsageError
from netpol.model.policies import Semantics
from netpol.model.ports import FIRST_PORT, LAST_PORT, Protocol
from netpol.policy.prose import port_words
from netpol.settings import PolicyOptions
from netpol.source.manifests import Loaded, load

_WITH_PORT = re.compile(r"(?P<port>[0-9]+)/(?P<protocol>[A-Za-z]+)")


@dataclass(frozen=True, slots=True)
class ProtocolPort:
    """What `PORT/PROTO` on the command line names; ICMP has no port."""

    protocol: Protocol
    port: int | None

    @classmethod
    def parse(cls, text: str) -> ProtocolPort:
        """The protocol and port `text` names, in either case; UsageError where it names none.

        >>> str(ProtocolPort.parse("53/udp")), str(ProtocolPort.parse("icmp"))
        ('53/UDP', 'ICMP')
        """
        if text.upper() == Protocol.ICMP.value:
            return cls(Protocol.ICMP, None)
        found = _WITH_PORT.fullmatch(text)
        if found is None:
            raise UsageError(f"{text!r} is no PORT/PROTO such as 80/TCP or 53/UDP, and not ICMP")
        protocol = found["protocol"].upper()
        if protocol not in _PROTOCOLS_WITH_PORTS:
            raise UsageError(f"{text!r}: the protocols with ports are {', '.join(_PROTOCOLS_WITH_PORTS)}")
        # Leading zeros aside, more than five digits are beyond the last port, and int() need not see them.
        digits = found["port"].lstrip("0")
        if not digits or len(digits) > 5 or not FIRST_PORT <= int(digits) <= LAST_PORT:
            raise UsageError(f"{text!r}: ports go from {FIRST_PORT} to {LAST_PORT}")
        return cls(Protocol(protocol), int(digits))

    def __str__(self) -> str:
        return port_words(self.protocol, self.port)


_PROTOCOLS_WITH_PORTS = [protocol.value for protocol in Protocol if protocol.has_ports]


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows the flags that say where manifests are and how they are read."""
    parser.add_argument(
        "-f",
        "--filename",
        "--source",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory of manifests: every *.yaml, *.yml and *.json in it",
    )
    add_policy_arguments(parser)


def add_policy_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows the flags of `policy_options`: how manifests are read, wherever they are."""
    parser.add_argument(
        "--v1beta1-semantics",
        choices=[semantics.value for semantics in Semantics],
        default=Semantics.ANNOTATION.value,
        help="what extensions/v1beta1 policies mean: they count only in namespaces annotated DefaultDeny and only for "
        "ingress (annotation, the default), or the same as networking.k8s.io/v1 ones (v1)",
    )
    parser.add_argument(
        "--strict-annotations",
        action="store_true",
        help="a namespace whose isolation annotation cannot be parsed is isolated",
    )


def add_output_argument(parser: argparse.ArgumentParser, text_format: str) -> None:
    """The parser knows -o, with `text_format` for people as its default, and json for programs."""
    parser.add_argument(
        "-o",
        "--output",
        choices=[text_format, "json"],
        default=text_format,
        help=f"{text_format} for people (the default), json for programs",
    )


def policy_options(arguments: argparse.Namespace) -> PolicyOptions:
    """The options that the flags of `add_policy_arguments` state."""
    return PolicyOptions(Semantics(arguments.v1beta1_semantics), arguments.strict_annotations)


def load_snapshot(arguments: argparse.Namespace) -> Loaded:
    """What the manifests say; what was ignored or not understood in them is on standard error, a line each."""
    loaded = load(arguments.filename, policy_options(arguments))
    for message in (*loaded.notices, *loaded.warnings):
        print(f"warning: {message}", file=sys.stderr)
    return loaded
