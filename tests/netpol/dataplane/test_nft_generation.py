"""The number of nf_tables' rules."""

from __future__ import annotations

import errno

import pytest
from private_network import private_network

from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.nft_generation import NftGeneration
from netpol.model.networks import Family
from netpol.settings import Variant


@pytest.mark.kernel
def test_a_transaction_makes_it_another_one_and_a_look_does_not() -> None:
    with private_network():
        generation, tables = NftGeneration(), IptablesTables(Variant.NFT)
        tables.write(Family.IPV4, [":NETPOL-INPUT - [0:0]"])
        first = generation.read()
        assert first is not None
        assert generation.read() == first

        tables.write(Family.IPV4, ["-X NETPOL-INPUT"])

        assert generation.read() not in (first, None)


def test_a_kernel_that_does_not_tell_it_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPROTONOSUPPORT, "no netlink")

    monkeypatch.setattr("netpol.dataplane.nft_generation.socket.socket", refused)

    assert NftGeneration().read() is None
