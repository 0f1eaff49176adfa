"""Names of the proxy's chains and sets: what the kernel takes, and what nobody else has."""

from __future__ import annotations

import pytest

from netpol.compiler import names as firewall
from netpol.compiler.ruleset import Hook
from netpol.model.networks import Family
from proxy import names

CHAINS = (*map(names.hook_chain, Hook), names.ADDRESSES, names.EMPTY, names.SWITCHING, names.KEEP)
SETS = (
    names.owned_set,
    names.served_set,
    names.empty_set,
    names.switching_set,
    names.addresses_set,
    names.restricted_set,
    names.sources_set,
    names.hairpin_set,
    names.local_set,
)


@pytest.mark.parametrize("chain", CHAINS)
def test_chains_fit_the_kernel_and_are_the_proxys_alone(chain: str) -> None:
    assert len(chain) <= 28
    assert names.is_ours(chain)
    assert not firewall.is_ours(chain)


@pytest.mark.parametrize("family", Family)
def test_sets_fit_the_kernel_and_no_two_share_a_name(family: Family) -> None:
    found = [name(family) for name in SETS]
    assert all(len(name) <= 31 and names.is_ours(name) and not firewall.is_ours(name) for name in found)
    assert len({*found, *CHAINS}) == len(found) + len(CHAINS)


@pytest.mark.parametrize("family", Family)
def test_one_set_is_shared_with_the_firewall(family: Family) -> None:
    assert names.is_ours(firewall.services_set(family))
    assert firewall.is_ours(firewall.services_set(family))


@pytest.mark.parametrize("name", ["NETPOL-SERVICE-MINE", "NETPOL-INPUT", "KUBE-SERVICES", "NETPOL-SERVICE-OWNED-5"])
def test_what_only_looks_like_a_name_of_ours_is_none(name: str) -> None:
    assert not names.is_ours(name)
