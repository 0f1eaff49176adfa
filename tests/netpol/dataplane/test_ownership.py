"""Names have one owner, but for what is shared."""

from __future__ import annotations

import pytest

from netpol.compiler import names
from netpol.compiler.ruleset import FILTER_HOOKS
from netpol.dataplane.ownership import FIREWALL
from netpol.model.networks import Family


@pytest.mark.parametrize("name", [*map(names.hook_chain, FILTER_HOOKS), *map(names.services_set, Family)])
def test_the_firewalls_own(name: str) -> None:
    assert FIREWALL.is_ours(name)
    assert not FIREWALL.is_neighbours(name)


@pytest.mark.parametrize("name", ["NETPOL-SERVICE-INPUT", "NETPOL-SERVICE-OWNED-4"])
def test_the_service_proxys(name: str) -> None:
    assert FIREWALL.is_neighbours(name)
    assert not FIREWALL.is_ours(name)


@pytest.mark.parametrize("name", ["", "INPUT", "NETPOL-mine", "KUBE-SERVICES"])
def test_anybodys(name: str) -> None:
    assert not FIREWALL.is_neighbours(name)
    assert not FIREWALL.is_ours(name)
