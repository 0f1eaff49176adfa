from __future__ import annotations

import argparse
from pathlib import Path

import manifest_directory
import pytest

from netpol.command.arguments import (
    ProtocolPort,
    add_output_argument,
    add_source_arguments,
    load_snapshot,
    policy_options,
)
from netpol.errors import InputError, UsageError
from netpol.model.policies import Semantics
from netpol.model.ports import Protocol
from netpol.settings import PolicyOptions


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_source_arguments(parser)
    add_output_argument(parser, "text")
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("text", "protocol", "port", "key"),
    [
        ("80/TCP", Protocol.TCP, 80, "80/TCP"),
        ("53/udp", Protocol.UDP, 53, "53/UDP"),
        ("1/Sctp", Protocol.SCTP, 1, "1/SCTP"),
        ("0080/TCP", Protocol.TCP, 80, "80/TCP"),
        ("65535/TCP", Protocol.TCP, 65535, "65535/TCP"),
        ("icmp", Protocol.ICMP, None, "ICMP"),
    ],
)
def test_port_and_protocol(text: str, protocol: Protocol, port: int | None, key: str) -> None:
    assert ProtocolPort.parse(text) == ProtocolPort(protocol, port)
    assert str(ProtocolPort.parse(text)) == key


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("80", "'80' is no PORT/PROTO"),
        ("", "'' is no PORT/PROTO"),
        ("TCP", "'TCP' is no PORT/PROTO"),
        ("/TCP", "'/TCP' is no PORT/PROTO"),
        ("80/", "'80/' is no PORT/PROTO"),
        ("http/TCP", "'http/TCP' is no PORT/PROTO"),
        ("-1/TCP", "'-1/TCP' is no PORT/PROTO"),
        ("80-90/TCP", "'80-90/TCP' is no PORT/PROTO"),
        ("80/TCP/UDP", "'80/TCP/UDP' is no PORT/PROTO"),
        ("80/TCP\n", r"'80/TCP\n' is no PORT/PROTO"),
        ("٨٠/TCP", "'٨٠/TCP' is no PORT/PROTO"),
        ("8/ICMP", "'8/ICMP': the protocols with ports are TCP, UDP, SCTP"),
        ("80/TPC", "'80/TPC': the protocols with ports are TCP, UDP, SCTP"),
        ("0/TCP", "'0/TCP': ports go from 1 to 65535"),
        ("65536/TCP", "'65536/TCP': ports go from 1 to 65535"),
        (f"{'9' * 5000}/TCP", "ports go from 1 to 65535"),
    ],
)
def test_what_is_no_port_and_protocol_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as refusal:
        ProtocolPort.parse(text)
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_flags_and_their_defaults() -> None:
    plain = parsed("-f", "dir")
    assert (plain.filename, plain.output) == (Path("dir"), "text")
    assert policy_options(plain) == PolicyOptions(Semantics.ANNOTATION, strict_annotations=False)
    full = parsed("--filename=dir", "--v1beta1-semantics=v1", "--strict-annotations", "-o", "json")
    assert (full.filename, full.output) == (Path("dir"), "json")
    assert policy_options(full) == PolicyOptions(Semantics.V1, strict_annotations=True)


@pytest.mark.parametrize("words", [["-f", "d", "--v1beta1-semantics=beta"], ["-f", "d", "-o", "yaml"]])
def test_unknown_choices_are_refused(words: list[str]) -> None:
    with pytest.raises(argparse.ArgumentError):
        parsed(*words)


def test_m7_what_was_not_understood_is_said_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: odd, namespace: x}
spec: {podSelector: {}, ingress: [{from: [{}]}]}
"""
    loaded = load_snapshot(parsed("-f", str(manifest_directory.write(tmp_path, odd))))
    assert ("x", "odd") in loaded.snapshot.policies
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines
    assert all(line.startswith("warning: ") for line in lines)
    assert any("NetworkPolicy x/odd: spec.ingress[0].from[0]" in line for line in lines)


def test_input_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load_snapshot(parsed("-f", str(tmp_path / "missing")))


def test_b2_the_flags_reach_the_decoder(tmp_path: Path) -> None:
    broken = """
apiVersion: v1
kind: Namespace
metadata: {name: x, annotations: {net.beta.kubernetes.io/network-policy: "{"}}
"""
    directory = str(manifest_directory.write(tmp_path, broken))
    assert not load_snapshot(parsed("-f", directory)).snapshot.namespaces["x"].default_deny
    assert load_snapshot(parsed("-f", directory, "--strict-annotations")).snapshot.namespaces["x"].default_deny
