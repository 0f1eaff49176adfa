"""The flags that several subcommands share."""

from __future__ import annotations

import argparse

import pytest

from netpol.command.arguments import (
    Once,
    add_output_argument,
    add_policy_arguments,
    attribute,
    policy_options,
    protocol_port,
)
from netpol.errors import UsageError
from netpol.model.policies import Semantics
from netpol.model.ports import Protocol, ProtocolPort
from netpol.settings import PolicyOptions


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_policy_arguments(parser)
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
    plain = parsed()
    assert plain.output == "text"
    assert policy_options(plain) == PolicyOptions(Semantics.ANNOTATION, strict_annotations=False)
    full = parsed("--v1beta1-semantics=v1", "--strict-annotations", "-o", "json")
    assert full.output == "json"
    assert policy_options(full) == PolicyOptions(Semantics.V1, strict_annotations=True)


def test_a_flag_that_may_be_given_once_may_be_given_at_every_parse() -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--name", action=Once)
    assert [parser.parse_args(words).name for words in (["--name", "a"], ["--name", "b"], [])] == ["a", "b", None]
    with pytest.raises(argparse.ArgumentError, match="--name: may be given only once"):
        parser.parse_args(["--name", "a", "--name=a"])


def test_argparse_keeps_a_value_by_the_name_of_its_flag() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--iptables-sync-period")
    assert vars(parser.parse_args([])).keys() == {attribute("--iptables-sync-period")}


@pytest.mark.parametrize("words", [["--v1beta1-semantics=beta"], ["-o", "yaml"]])
def test_unknown_choices_are_refused(words: list[str]) -> None:
    with pytest.raises(argparse.ArgumentError):
        parsed(*words)
