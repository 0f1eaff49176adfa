from __future__ import annotations

import argparse
from pathlib import Path

import manifest_directory
import pytest

from netpol.command.arguments import (
    Once,
    add_output_argument,
    add_source_arguments,
    load_snapshot,
    policy_options,
    protocol_port,
)
from netpol.errors import InputError, UsageError
from netpol.model.policies import Semantics
from netpol.model.ports import Protocol, ProtocolPort
from netpol.settings import PolicyOptions


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_source_arguments(parser)
    add_output_argument(parser, "text")
    return parser.parse_args(words)


def test_a_port_of_the_command_line() -> None:
    assert protocol_port("53/udp") == ProtocolPort(Protocol.UDP, 53)


@pytest.mark.parametrize("text", ["http/TCP", "8/ICMP", "65536/TCP"])
def test_a_port_that_is_none_is_a_usage_error_in_the_values_own_words(text: str) -> None:
    with pytest.raises(ValueError, match=text) as refusal:
        ProtocolPort.parse(text)
    with pytest.raises(UsageError) as usage:
        protocol_port(text)
    assert str(usage.value) == str(refusal.value)


def test_flags_and_their_defaults() -> None:
    plain = parsed("-f", "dir")
    assert (plain.filename, plain.output) == (Path("dir"), "text")
    assert policy_options(plain) == PolicyOptions(Semantics.ANNOTATION, strict_annotations=False)
    full = parsed("--filename=dir", "--v1beta1-semantics=v1", "--strict-annotations", "-o", "json")
    assert (full.filename, full.output) == (Path("dir"), "json")
    assert policy_options(full) == PolicyOptions(Semantics.V1, strict_annotations=True)


@pytest.mark.parametrize("words", [["-f", "a", "-f", "b"], ["-f", "a", "--source", "a"], ["--filename=a", "-fb"]])
def test_a_second_source_is_refused_for_only_one_would_be_read(words: list[str]) -> None:
    with pytest.raises(argparse.ArgumentError, match="-f/--filename/--source: may be given only once"):
        parsed(*words)


def test_a_flag_that_may_be_given_once_may_be_given_at_every_parse() -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--name", action=Once)
    assert [parser.parse_args(words).name for words in (["--name", "a"], ["--name", "b"], [])] == ["a", "b", None]


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


def test_m7_a_named_port_that_no_pod_resolves_is_said_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = manifest_directory.write(tmp_path, manifest_directory.GUESTBOOK.replace("port: 6379", "port: rdis"))
    load_snapshot(parsed("-f", str(directory)))
    assert capsys.readouterr().err == (
        "warning: NetworkPolicy shop/redis: spec.ingress[0].ports: "
        "no pod that the policy selects has a port rdis/TCP; it allows nothing\n"
    )


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
    assert load_snapshot(parsed("-f", directory, "--strict-annotations=true")).snapshot.namespaces["x"].default_deny
