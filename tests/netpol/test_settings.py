"""What a run is told where it is told nothing."""

from __future__ import annotations

from netpol.model.networks import Family
from netpol.model.policies import Semantics
from netpol.settings import NodeOptions, PolicyOptions, Variant


def test_a_node_has_both_families_and_fails_closed() -> None:
    """G4, G12."""
    options = NodeOptions("n1")
    assert (options.families, options.fail_open, options.pod_cidrs) == ((Family.IPV4, Family.IPV6), False, ())


def test_manifests_are_read_with_the_semantics_of_their_api() -> None:
    """M2, B2."""
    assert PolicyOptions() == PolicyOptions(Semantics.ANNOTATION, strict_annotations=False)


def test_the_variants_are_called_as_in_the_tools_names() -> None:
    assert [f"iptables-{variant.value}-restore" for variant in Variant] == [
        "iptables-nft-restore",
        "iptables-legacy-restore",
    ]
