"""The values are the words of the flags."""

from __future__ import annotations

from netpol.source.kube.options import ConnectionOptions, PolicyApi


def test_the_apis_by_the_words_of_the_flag() -> None:
    assert [api.value for api in PolicyApi] == ["auto", "networking.k8s.io/v1", "extensions/v1beta1"]


def test_no_options_mean_the_service_account() -> None:
    assert ConnectionOptions() == ConnectionOptions(None, "")
