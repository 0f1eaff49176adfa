"""An empty list is believed late, or never."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netpol.source.kube.credibility import Credibility


def judge(*, never_empty: bool = False) -> Credibility:
    return Credibility(never_empty=never_empty, settle_seconds=10.0)


def test_a_list_of_objects_is_believed() -> None:
    assert judge().believes(1, known=100, now=0.0)
    assert judge(never_empty=True).believes(1, known=100, now=0.0)


def test_a_cluster_may_have_no_pod_from_the_start() -> None:
    assert judge().believes(0, known=0, now=0.0)


def test_an_empty_list_has_to_stay_empty() -> None:
    credibility = judge()
    assert [credibility.believes(0, known=5, now=now) for now in (100.0, 105.0, 109.9, 110.0)] == [
        False,
        False,
        False,
        True,
    ]


def test_an_object_in_between_starts_the_wait_anew() -> None:
    credibility = judge()
    assert not credibility.believes(0, known=5, now=0.0)
    assert credibility.believes(5, known=5, now=9.0)
    assert not credibility.believes(0, known=5, now=11.0)
    assert credibility.believes(0, known=5, now=21.0)


@given(known=st.integers(0, 10), times=st.lists(st.floats(0, 1e9), min_size=1).map(sorted))
def test_a_cluster_without_a_namespace_is_none(known: int, times: list[float]) -> None:
    credibility = judge(never_empty=True)
    assert not any(credibility.believes(0, known, now) for now in times)
