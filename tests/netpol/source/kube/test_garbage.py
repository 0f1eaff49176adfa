"""The collector rests while anybody wants it to."""

from __future__ import annotations

import gc

import pytest

from netpol.source.kube.garbage import collection_paused


def test_the_collector_rests_inside_and_works_behind() -> None:
    with collection_paused():
        assert not gc.isenabled()
        with collection_paused():
            assert not gc.isenabled()
        assert not gc.isenabled(), "another thread still decodes"
    assert gc.isenabled()


def test_it_works_again_behind_a_failure() -> None:
    with pytest.raises(ZeroDivisionError), collection_paused():
        raise ZeroDivisionError
    assert gc.isenabled()
