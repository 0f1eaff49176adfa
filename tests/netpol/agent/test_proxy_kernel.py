"""The writers of what services need, in one network namespace."""

from __future__ import annotations

import pytest

from netpol.agent import proxy_kernel
from netpol.agent.own_writes import WritesOfAll
from netpol.agent.proxy_kernel import clear_superseded, open_proxy_kernel, read_servers, service_tables
from netpol.compiler.ruleset import TableName
from netpol.dataplane.iptables import IptablesTables
from netpol.model.networks import Family
from netpol.settings import Variant

CHAINS = (":NETPOL-SERVICE-INPUT - [0:0]", "-A NETPOL-SERVICE-INPUT -j RETURN")


@pytest.mark.vm
def test_the_writers_are_those_of_this_namespace_and_their_writes_our_own(private_network: None) -> None:
    own = WritesOfAll()
    with open_proxy_kernel(Variant.LEGACY, tuple(Family), own.join) as kernel:
        assert kernel.writers.link.read() is None
        assert kernel.writers.servers.read() == read_servers() == {}
        assert kernel.node_addresses.read() == frozenset()
        before = own.writes
        kernel.writers.kernel.tables.write(Family.IPV4, CHAINS)
        assert own.writes == before + 2
        assert kernel.writers.kernel.tables.read(Family.IPV4).chains == {"NETPOL-SERVICE-INPUT": ("-j RETURN",)}


@pytest.mark.kernel
def test_what_an_earlier_run_wrote_through_the_other_variant_goes(private_network: None) -> None:
    former, firewall = service_tables(Variant.LEGACY, TableName.FILTER), IptablesTables(Variant.LEGACY)
    former.write(Family.IPV4, CHAINS)
    firewall.write(Family.IPV4, [":NETPOL-INPUT - [0:0]"])
    clear_superseded(Variant.NFT)
    assert former.read(Family.IPV4).chains == {}
    assert firewall.read(Family.IPV4).chains.keys() == {"NETPOL-INPUT"}


@pytest.mark.kernel
def test_what_cannot_be_taken_away_there_is_told(
    private_network: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    former = service_tables(Variant.LEGACY, TableName.FILTER)
    former.write(Family.IPV4, [*CHAINS, ":OTHERS - [0:0]", "-A OTHERS -j NETPOL-SERVICE-INPUT"])
    clear_superseded(Variant.NFT)
    assert "left of another variant of iptables" in caplog.text
    assert former.read(Family.IPV4).chains == {"NETPOL-SERVICE-INPUT": ()}
    assert proxy_kernel.service_tables(Variant.NFT, TableName.NAT).read(Family.IPV4).chains == {}
