"""What a run is told where it is told nothing."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from netpol.model.networks import Family
from netpol.model.policies import Semantics
from netpol.settings import NodeOptions, PolicyOptions, RunSettings, Variant


def test_a_node_has_both_families_and_fails_closed() -> None:
    """G4, G12."""
    options = NodeOptions("n1")
    assert (options.families, options.fail_open, options.pod_cidrs) == ((Family.IPV4, Family.IPV6), False, ())


def test_manifests_are_read_with_the_semantics_of_their_api() -> None:
    """M2, B2."""
    assert PolicyOptions() == PolicyOptions(Semantics.ANNOTATION, strict_annotations=False)


def test_the_host_decides_the_variant_where_nobody_does() -> None:
    settings = RunSettings(Path("DIR"), NodeOptions("n1"), PolicyOptions())
    assert settings.variant is None
    with pytest.raises(FrozenInstanceError):
        setattr(settings, "variant", Variant.NFT)  # noqa: B010  the type checker would refuse the plain assignment


def test_the_variants_are_called_as_in_the_tools_names() -> None:
    assert [f"iptables-{variant.value}-restore" for variant in Variant] == [
        "iptables-nft-restore",
        "iptables-legacy-restore",
    ]
