"""Networks as flags have them."""

from __future__ import annotations

import argparse

import pytest

from netpol.command.networks import network, networks
from netpol.model.networks import parse_network


def test_one_network() -> None:
    assert network("10.1.2.3/16") == parse_network("10.1.0.0/16")


def test_several_of_either_family_have_commas_between_them() -> None:
    assert networks("10.0.0.0/8,fd00::/48") == [parse_network("10.0.0.0/8"), parse_network("fd00::/48")]


def test_nothing_written_is_none() -> None:
    assert networks("") == []


@pytest.mark.parametrize("text", ["10.0.0.1", "10.0.0.0/8,", "10.0.0.0/8, 10.1.0.0/16", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a CIDR"):
        networks(text)
