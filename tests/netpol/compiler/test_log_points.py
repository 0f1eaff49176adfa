"""What rules log packets with, and what that is read back as, also by an agent that did not write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.compiler import names
from netpol.compiler.log_points import LoggedOutcome, LogPoint, pod_digest, prefix
from netpol.compiler.names import PodChainKind
from netpol.model.policies import Direction

PREFIX_BYTES = 63
"""What NFLOG holds."""
OF_NODE = {
    names.INVALID: LoggedOutcome.MIDSTREAM,
    names.CUT: LoggedOutcome.CUT,
    names.UNKNOWN: LoggedOutcome.UNKNOWN_ADDRESS,
    names.TUNNELLED: LoggedOutcome.TUNNELLED,
}
OF_POD = {
    PodChainKind.REFUSING: LoggedOutcome.DENIED,
    PodChainKind.AUDITING: LoggedOutcome.WOULD_BE_DENIED,
    PodChainKind.ALLOWING: LoggedOutcome.ALLOWED,
}
WORDS = st.text(max_size=8)


@pytest.mark.parametrize(("chain", "outcome"), OF_NODE.items())
def test_a_chain_of_the_node_says_what_became_of_the_packet(chain: str, outcome: LoggedOutcome) -> None:
    assert LogPoint.parse(prefix(chain)) == LogPoint(outcome)


@given(WORDS, WORDS, st.sampled_from(Direction))
def test_a_chain_of_a_pod_also_says_whose_it_is_and_of_which_direction(
    namespace: str, pod: str, direction: Direction
) -> None:
    for kind, outcome in OF_POD.items():
        text = prefix(names.pod_chain(namespace, pod, direction, kind))
        assert len(text.encode()) <= PREFIX_BYTES
        assert LogPoint.parse(text) == LogPoint(outcome, direction, pod_digest(namespace, pod))


def test_every_outcome_is_logged_somewhere() -> None:
    assert {*OF_NODE.values(), *OF_POD.values()} == set(LoggedOutcome)


def test_what_was_written_before_is_read_the_same() -> None:
    """The kernel's rules outlive the agent, and its records the cluster: the digest is a fixed one."""
    found = LogPoint.parse("1:NETPOL-PI-A7RH7BDHHEKCCTK3")
    assert found == LogPoint(LoggedOutcome.DENIED, Direction.INGRESS, "A7RH7BDHHEKCCTK3")
    assert pod_digest("shop", "web") == "3TBAULGWG7OYEE26"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1:",
        "2:NETPOL-INVALID",
        "NETPOL-INVALID",
        "1:NETPOL-FORWARD",
        "1:NETPOL-PX-A7RH7BDHHEKCCTK3",
        "1:NETPOL-LI-A7RH7BDHHEKCCTK3",
        "1:NETPOL-PI-A7RH7BDHHEKCCTK",
        "1:NETPOL-PI-A7RH7BDHHEKCCTK3 ",
        "1:netpol-pi-a7rh7bdhhekcctk3",
        "dropped: ",
    ],
)
def test_what_nobody_of_ours_writes_is_nothing(text: str) -> None:
    assert LogPoint.parse(text) is None
