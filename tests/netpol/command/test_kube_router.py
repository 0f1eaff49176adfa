from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from netpol.command import run
from netpol.command.kube_router import WITHOUT_EFFECT, add_flags_without_effect, without_effect
from netpol.command.proxy_arguments import PROXY_FLAGS, add_proxy_arguments
from netpol.command.switches import Switch, add_switch

PAGE = (Path(__file__).parents[3] / "docs/kube-router.md").read_text(encoding="utf-8")

_ROW = re.compile(r"^\| `(?:-\w, )?(?P<flag>--[a-z0-9-]+)` \| (?P<type>[a-z ]+) \|", re.MULTILINE)
DOCUMENTED = {row["flag"]: row["type"] for row in _ROW.finditer(PAGE)}

EXAMPLES = {
    "switch": ["=true", "=false", ""],
    "duration": ["=5s", "=1m30s"],
    "number": ["=179"],
    "text": ["=text"],
    "list": ["=", "=1,2"],
    "CIDRs": ["=10.0.0.0/8"],
}
"""Ways in which a flag of each type is given."""

OWN_VALUES = {
    "--cluster-cidr": "=10.0.0.0/8,fd00::/48",
    "--excluded-cidrs": "=10.0.0.0/8,fd00::/48",
    "--health-addr": "=127.0.0.1",
    "--loadbalancer-ip-range": "=10.0.0.0/8,fd00::/48",
    "--metrics-addr": "=::1",
    "--metrics-path": "=/metrics",
    "--service-cluster-ip-range": "=10.0.0.0/8,fd00::/48",
    "--service-external-ip-range": "=10.0.0.0/8,fd00::/48",
    "--service-node-port-range": "=30000:32767",
}
"""Where a text has to be one of a certain form."""

ENDING = {"--help", "--version"}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags_without_effect(parser)
    add_proxy_arguments(parser)
    add_switch(parser, "--run-service-proxy", Switch.OFF, "serve")
    return parser


def test_the_page_is_read() -> None:
    """As many flags as kube-router v2 has, and one that it had before."""
    assert len(DOCUMENTED) == 75


@pytest.mark.parametrize("flag", sorted(DOCUMENTED.keys() - ENDING))
def test_every_flag_of_kube_router_parses(flag: str) -> None:
    agent = argparse.ArgumentParser(exit_on_error=False)
    run.add_arguments(agent)
    for example in [OWN_VALUES[flag]] if flag in OWN_VALUES else EXAMPLES[DOCUMENTED[flag]]:
        agent.parse_args([f"{flag}{example}"])
        if example.removeprefix("="):
            agent.parse_args([flag, example.removeprefix("=")])


@pytest.mark.parametrize("flag", sorted(ENDING))
def test_help_and_version_end_the_command(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    agent = argparse.ArgumentParser()
    run.add_arguments(agent)
    with pytest.raises(SystemExit) as ended:
        agent.parse_args([flag])
    assert ended.value.code == 0
    assert capsys.readouterr().out


def test_every_flag_without_effect_is_on_the_page() -> None:
    flags = [flag for flags in WITHOUT_EFFECT.values() for flag in flags]
    assert sorted(set(flags) - DOCUMENTED.keys()) == []
    assert len(flags) == len(set(flags))


def test_every_flag_of_the_proxy_is_kube_routers() -> None:
    assert sorted(PROXY_FLAGS - DOCUMENTED.keys()) == []


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("--enable-cni=perhaps", "neither true nor false"),
        ("--bgp-port=bgp", "not a number"),
        ("--cluster-asn=-1", "not a number"),
        ("--bgp-holdtime=90", "no length of time"),
    ],
)
def test_a_value_of_another_type_is_refused_as_kube_router_does(word: str, says: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=says):
        parser().parse_args([word])


def test_only_what_is_given_is_said() -> None:
    assert without_effect(parser().parse_args([])) == ""
    words = ["--peer-router-ips=", "--enable-pprof", "--peer-router-ips=10.0.0.1", "--overlay-type", "full"]
    assert without_effect(parser().parse_args(words)) == (
        "--overlay-type, --peer-router-ips (the pod network is the CNI's); --enable-pprof (no program in Go runs)"
    )


def test_the_proxys_flags_are_said_only_where_none_runs() -> None:
    words = ["--masquerade-all", "--runtime-endpoint=unix:///run/containerd.sock", "--excluded-cidrs="]
    runtime = "--runtime-endpoint (pods are found without their runtime)"
    assert without_effect(parser().parse_args([*words, "--run-service-proxy"])) == runtime
    assert without_effect(parser().parse_args(words)) == (
        f"{runtime}; --excluded-cidrs, --masquerade-all (no service proxy runs)"
    )


def test_help_is_spared_them() -> None:
    assert "--bgp-port" not in parser().format_help()
