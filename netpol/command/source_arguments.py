"""The flags that say where the cluster's objects are, and the snapshot of them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from netpol.command.arguments import Once, add_policy_arguments, policy_options
from netpol.command.switches import Switch, add_switch
from netpol.errors import UsageError
from netpol.model.facts import FIREWALL_KINDS, Kind
from netpol.policy.unresolved import unresolved_ports
from netpol.settings import ApiSource, DirectorySource, NetworkPolicyApi, PolicyOptions, Source
from netpol.source.objects import NAME_LABEL

if TYPE_CHECKING:
    from netpol.source.manifests import Loaded

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
"""What kubelet tells every pod of where the API server is."""


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows the flags of `source_of`, and those that say how objects are read."""
    parser.add_argument(
        "-f",
        "--filename",
        "--source",
        type=Path,
        action=Once,
        metavar="DIR",
        help="directory of manifests: every *.yaml, *.yml and *.json in it",
    )
    parser.add_argument(
        "--kubeconfig",
        type=_file,
        action=Once,
        metavar="FILE",
        help="how to reach the API server, in place of manifests (default: its own cluster's, where this is a pod)",
    )
    parser.add_argument("--master", action=Once, metavar="URL", help="the API server; goes before the kubeconfig's")
    parser.add_argument(
        "--network-policy-api",
        choices=[api.value for api in NetworkPolicyApi],
        default=NetworkPolicyApi.AUTO.value,
        help="the endpoint that an API server's policies are read from (default auto: the newest that it serves)",
    )
    add_switch(
        parser,
        "--synthesise-namespace-name-label",
        Switch.OFF,
        f"put {NAME_LABEL} on namespaces, for API servers before 1.21, which do not",
    )
    add_policy_arguments(parser)


def source_of(arguments: argparse.Namespace) -> Source:
    """Where the objects are; UsageError where the flags name two places, or none and this is no pod."""
    api = ApiSource(
        arguments.kubeconfig,
        arguments.master or "",
        NetworkPolicyApi(arguments.network_policy_api),
        synthesise_name_label=arguments.synthesise_namespace_name_label,
    )
    if arguments.filename is not None:
        if api.kubeconfig or api.master:
            raise UsageError("--source and an API server (--kubeconfig, --master) exclude each other")
        return DirectorySource(arguments.filename)
    if not (api.kubeconfig or api.master or os.environ.get(_IN_CLUSTER)):
        raise UsageError("one of --source, --kubeconfig and --master is required: this is no pod of a cluster")
    return api


def load_snapshot(arguments: argparse.Namespace, kinds: Collection[Kind] = FIREWALL_KINDS) -> Loaded:
    """What the source holds of these kinds now; what was not understood, or ignored, is on standard error."""
    source, options = source_of(arguments), policy_options(arguments)
    if isinstance(source, DirectorySource):
        # An agent that follows an API server reads no YAML.
        from netpol.source.manifests import load  # noqa: PLC0415  its cost, see above

        loaded = load(source.path, options, kinds)
    else:
        loaded = _load_from_api(source, options, kinds)
    warn(loaded)
    return loaded


def _load_from_api(source: ApiSource, options: PolicyOptions, kinds: Collection[Kind]) -> Loaded:
    # Reading manifests takes no HTTP library, which costs more time than many of them.
    from netpol.source.kube import listing  # noqa: PLC0415  its cost, see above
    from netpol.source.kube.connection import connect  # noqa: PLC0415  its cost, see above

    with connect(source) as connection:
        return listing.load(
            connection,
            options,
            source.network_policy_api,
            kinds=kinds,
            synthesise_name_label=source.synthesise_name_label,
        )


def warn(loaded: Loaded) -> None:
    """What was ignored or not understood, and each named port that no pod resolves (M7), is on standard error."""
    for message in (*loaded.notices, *unresolved_ports(loaded.snapshot), *loaded.warnings):
        print(f"warning: {message}", file=sys.stderr)


def _file(text: str) -> Path | None:
    """The path; none where nothing is written, as kube-router's flags have it."""
    return Path(text) if text else None
