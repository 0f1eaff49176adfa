"""What is known of the link without asking, and what comes and goes."""

from __future__ import annotations

import pytest
from proxy_builders import addresses

from netpol.dataplane.memory.journal import Journal
from netpol.errors import KernelRefusal
from proxy.keeping.link_addresses import LinkAddresses, Moves
from proxy.kernel.memory import MemoryLink

ONE, TWO, SIX = addresses("10.96.0.1 10.96.0.2 fd00:96::1")


@pytest.fixture
def link() -> MemoryLink:
    link = MemoryLink(Journal())
    link.ensure()
    link.bind([ONE])
    return link


def test_what_is_on_the_link_is_known_once_it_was_read(link: MemoryLink) -> None:
    bound = LinkAddresses(link)
    assert (ONE in bound, len(bound)) == (False, 0)
    bound.read()
    assert set(bound) == {ONE}
    link.remove()
    assert ONE in bound
    bound.read()
    assert set(bound) == set()


def test_what_is_told_to_come_and_go_is_known(link: MemoryLink) -> None:
    bound = LinkAddresses(link)
    bound.read()
    bound.bind([TWO, SIX])
    bound.unbind([ONE])
    assert frozenset(bound) == link.read() == frozenset({TWO, SIX})


def test_what_is_refused_is_not_taken_for_done(link: MemoryLink) -> None:
    bound = LinkAddresses(link)
    link.remove()
    with pytest.raises(KernelRefusal, match="there is no such link"):
        bound.bind([TWO])
    assert set(bound) == set()


def test_an_address_that_is_refused_keeps_no_other_away_and_is_tried_again(link: MemoryLink) -> None:
    bound = LinkAddresses(link)
    bound.read()
    link.refusing.add(SIX)
    bound.bind([TWO, SIX])
    assert set(bound) == {ONE, TWO}
    assert bound.refused == {SIX: "address fd00:96::1 cannot be bound to kube-dummy-if: Permission denied"}
    assert bound.moves([TWO], {ONE, TWO, SIX}) == Moves()
    assert bound.refused.keys() == {SIX}
    assert bound.moves([SIX], {ONE, TWO, SIX}) == Moves((SIX,))
    link.refusing.clear()
    bound.bind([SIX])
    assert (set(bound), bound.refused) == ({ONE, TWO, SIX}, {})


def test_nothing_is_asked_of_the_kernel_where_nothing_moves(link: MemoryLink) -> None:
    link.remove()
    LinkAddresses(link).bind(())
    LinkAddresses(link).unbind(())


def test_only_the_addresses_that_are_asked_about_move_in_an_order_of_their_own(link: MemoryLink) -> None:
    bound = LinkAddresses(link)
    bound.read()
    assert bound.moves([SIX, TWO, ONE], {SIX, TWO}) == Moves((TWO, SIX), (ONE,))
    assert bound.moves([SIX], {SIX, TWO}) == Moves((SIX,), ())
    assert bound.moves([ONE], {ONE}) == Moves()


def test_a_link_that_is_as_it_should_be_is_told_from_one_that_is_not(link: MemoryLink) -> None:
    bound = LinkAddresses(link)
    assert not bound.ensure()
    link.is_up = False
    assert (bound.ensure(), bound.ensure()) == (True, False)
