"""What every service link does: the kernel's, and the one in memory."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from netpol.errors import KernelRefusal
from netpol.model.networks import Address
from proxy.kernel.protocols import ServiceLink

ONE, TWO, SIX = ip_address("10.96.0.1"), ip_address("10.96.0.2"), ip_address("fd00:96::1")


class ServiceLinkCases:
    """Cases for a fixture `link`, which begins with none."""

    def test_there_is_none_at_first(self, link: ServiceLink) -> None:
        assert link.read() is None

    def test_once_it_is_there_it_stays(self, link: ServiceLink) -> None:
        link.ensure()
        assert link.read() == frozenset()
        link.bind([ONE])
        link.ensure()
        assert link.read() == frozenset({ONE})

    def test_only_what_was_not_so_is_told_to_have_been_mended(self, link: ServiceLink) -> None:
        assert link.ensure()
        link.bind([ONE])
        assert not link.ensure()
        link.remove()
        assert link.ensure()

    def test_addresses_come_and_go(self, link: ServiceLink) -> None:
        link.ensure()
        link.bind([ONE, SIX])
        link.bind([TWO])
        assert link.read() == frozenset({ONE, TWO, SIX})
        link.unbind([ONE, SIX])
        assert link.read() == frozenset({TWO})
        link.bind([])
        link.unbind([])
        assert link.read() == frozenset({TWO})

    def test_what_is_there_or_gone_already_is_no_error(self, link: ServiceLink) -> None:
        link.ensure()
        link.bind([ONE, SIX])
        link.bind([ONE, TWO, SIX])
        assert link.read() == frozenset({ONE, TWO, SIX})
        link.unbind([TWO, SIX])
        link.unbind([ONE, TWO, SIX])
        assert link.read() == frozenset()

    def test_without_a_link_nothing_can_be_bound_and_nothing_has_to_go(self, link: ServiceLink) -> None:
        with pytest.raises(KernelRefusal, match=r"^address 10\.96\.0\.1 cannot be bound to kube-dummy-if: there is no"):
            link.bind([ONE, TWO])
        link.unbind([ONE])
        link.remove()
        assert link.read() is None

    def test_addresses_go_with_it(self, link: ServiceLink) -> None:
        link.ensure()
        link.bind([ONE, SIX])
        link.remove()
        assert link.read() is None
        link.ensure()
        assert link.read() == frozenset()

    def test_a_thousand_addresses_of_either_family(self, link: ServiceLink) -> None:
        addresses: list[Address] = [each + number for each in (ONE, SIX) for number in range(1000)]
        link.ensure()
        link.bind(addresses)
        assert link.read() == frozenset(addresses)
        link.unbind(addresses[1:])
        assert link.read() == frozenset({ONE})
