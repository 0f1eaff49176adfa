"""The flags that several subcommands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from netpol.command.switches import Switch, add_switch
from netpol.errors import UsageError
from netpol.model.policies import Semantics
from netpol.model.ports import ProtocolPort
from netpol.settings import PolicyOptions


class Once(argparse.Action):
    """A flag with one value, refused where it is given again: the last would win, and the others go unread."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        _option_string: str | None = None,
    ) -> None:
        """The namespace holds the value; ArgumentError where it holds one already."""
        if getattr(namespace, self.dest, self.default) is not self.default:
            raise argparse.ArgumentError(self, "may be given only once")
        setattr(namespace, self.dest, values)


def attribute(flag: str) -> str:
    """The name that argparse keeps a flag's value by.

    >>> attribute("--run-firewall")
    'run_firewall'
    """
    return flag.removeprefix("--").replace("-", "_")


def protocol_port(text: str) -> ProtocolPort:
    """What `PORT/PROTO` on the command line names; UsageError where it names none."""
    try:
        return ProtocolPort.parse(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def add_policy_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows the flags of `policy_options`: how objects are read, wherever they are."""
    parser.add_argument(
        "--v1beta1-semantics",
        choices=[semantics.value for semantics in Semantics],
        default=Semantics.ANNOTATION.value,
        help="what extensions/v1beta1 policies mean: they count only in namespaces annotated DefaultDeny and only for "
        "ingress (annotation, the default), or the same as networking.k8s.io/v1 ones (v1)",
    )
    strict = "a namespace whose isolation annotation cannot be parsed is isolated"
    add_switch(parser, "--strict-annotations", Switch.OFF, strict)


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
