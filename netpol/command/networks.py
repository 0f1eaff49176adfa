"""Networks as they are written in flags: one, or several with commas between them."""

from __future__ import annotations

import argparse

from netpol.model.networks import Network, parse_network


def network(text: str) -> Network:
    """The network; ArgumentTypeError where the text is none."""
    try:
        return parse_network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def networks(text: str) -> list[Network]:
    """The networks between the commas; none where nothing is written, as kube-router's flags have it."""
    return [network(each) for each in text.split(",")] if text else []
