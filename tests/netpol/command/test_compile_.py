from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import manifest_directory
import pytest
from builders import address

from netpol.command import compile_
from netpol.command.compile_ import as_json, as_text
from netpol.compiler.ruleset import (
    Action,
    AddressPort,
    Hook,
    IpSet,
    Jump,
    NetworkMember,
    Rule,
    Ruleset,
    SetReference,
    SetType,
    Table,
)
from netpol.model.networks import Family
from netpol.model.ports import Protocol

FOUR, SIX = Family.IPV4, Family.IPV6
ONE, TWO = address("10.0.0.1").packed, address("10.0.0.2").packed
SETS = [
    IpSet("addresses", SetType.ADDRESSES, FOUR, frozenset({TWO, ONE}), "pods of x"),
    IpSet("networks", SetType.NETWORKS, SIX, frozenset({NetworkMember(bytes(16), 1, nomatch=True)})),
    IpSet("ports", SetType.ADDRESS_PORTS, FOUR, frozenset({AddressPort(ONE, Protocol.SCTP, 80)})),
    IpSet("short", SetType.ADDRESSES, FOUR, timeout_seconds=60),
    IpSet("list", SetType.SETS, None, frozenset({SetReference("ports", "x/p#0"), SetReference("addresses")})),
]
TABLE = Table(
    {Hook.INPUT: Rule((), Jump("b"), "why")}, {"b": (Rule((), Action.RETURN), Rule((), Action.DROP)), "a": ()}
)
RULESET = Ruleset({each.name: each for each in SETS}, {FOUR: TABLE})


def run(directory: Path, *words: str) -> int:
    parser = argparse.ArgumentParser(exit_on_error=False)
    compile_.add_arguments(parser)
    return compile_.run(parser.parse_args(["-f", str(directory), *words]))


def test_the_text_is_every_set_and_then_every_rule_as_the_tools_read_them() -> None:
    assert list(as_text(RULESET)) == [
        "# ipset restore",
        "",
        "# pods of x",
        "create addresses hash:ip family inet maxelem 1048576",
        "add addresses 10.0.0.1",
        "add addresses 10.0.0.2",
        "",
        "create networks hash:net family inet6 maxelem 1048576",
        "add networks ::/1 nomatch",
        "",
        "create ports hash:ip,port family inet maxelem 1048576",
        "add ports 10.0.0.1,sctp:80",
        "",
        "create short hash:ip family inet maxelem 1048576 timeout 60",
        "",
        "create list list:set size 65536 comment",
        "add list addresses",
        'add list ports comment "x/p#0"',
        "",
        "# iptables-restore --noflush",
        "*filter",
        ":a - [0:0]",
        ":b - [0:0]",
        "",
        "-I INPUT 1 -m comment --comment why -j b",
        "",
        "-A b -j RETURN",
        "-A b -j DROP",
        "COMMIT",
    ]


def test_the_json_says_the_same() -> None:
    assert json.loads(json.dumps(as_json(RULESET))) == {
        "sets": {
            "addresses": {
                "type": "hash:ip",
                "family": "ipv4",
                "timeout_seconds": None,
                "meaning": "pods of x",
                "members": ["10.0.0.1", "10.0.0.2"],
            },
            "list": {
                "type": "list:set",
                "family": None,
                "timeout_seconds": None,
                "meaning": "",
                "members": [{"set": "addresses", "comment": ""}, {"set": "ports", "comment": "x/p#0"}],
            },
            "networks": {
                "type": "hash:net",
                "family": "ipv6",
                "timeout_seconds": None,
                "meaning": "",
                "members": ["::/1 nomatch"],
            },
            "ports": {
                "type": "hash:ip,port",
                "family": "ipv4",
                "timeout_seconds": None,
                "meaning": "",
                "members": ["10.0.0.1,sctp:80"],
            },
            "short": {"type": "hash:ip", "family": "ipv4", "timeout_seconds": 60, "meaning": "", "members": []},
        },
        "tables": {
            "ipv4": {
                "hooks": {"INPUT": "-m comment --comment why -j b"},
                "chains": {"a": [], "b": ["-j RETURN", "-j DROP"]},
            }
        },
    }


def test_the_command_prints_the_rules_of_the_node_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = manifest_directory.write(tmp_path)
    assert run(directory, "--hostname-override", "n1") == 0
    text = capsys.readouterr().out
    assert "ingress of shop/redis: TCP 6379" in text
    assert run(directory, "--hostname-override", "n2") == 0
    assert "shop/redis" not in capsys.readouterr().out


def test_the_output_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = manifest_directory.write(tmp_path)
    assert run(directory, "--hostname-override", "n1", "-o", "json", "--enable-ipv6=false") == 0
    printed: Mapping[str, Mapping[str, object]] = json.loads(capsys.readouterr().out)
    assert list(printed["tables"]) == ["ipv4"]
    assert run(directory, "--hostname-override", "n1", "-o", "text") == 0
    assert capsys.readouterr().out.startswith("# ipset restore\n")
