"""What is said of the node's pod range."""

from __future__ import annotations

from builders import node

from netpol.doctor.checks import Function, State
from netpol.doctor.pod_range import pod_range_checks
from netpol.model.networks import Family, parse_network
from netpol.settings import NodeOptions

FOUR_ONLY = node("n1", pod_cidrs=["10.0.0.0/24"])


def test_a_range_that_the_node_states_is_told() -> None:
    four, six = pod_range_checks(FOUR_ONLY, NodeOptions("n1"))

    assert (four.state, four.found, four.functions) == (State.OK, "10.0.0.0/24", (Function.FIREWALL_IPV4,))
    assert (six.state, six.mend) == (State.WARNING, "name the range with --pod-cidr")


def test_a_range_that_a_flag_states_will_do() -> None:
    options = NodeOptions("n1", (Family.IPV6,), (parse_network("fd00::/64"),))

    [six] = pod_range_checks(None, options)

    assert (six.state, six.found) == (State.OK, "fd00::/64")


def test_to_fail_open_is_told_as_what_it_is() -> None:
    [four] = pod_range_checks(FOUR_ONLY, NodeOptions("n1", (Family.IPV4,), fail_open=True))

    assert (four.state, four.mend) == (State.WARNING, "")
    assert "--fail-open" in four.found
