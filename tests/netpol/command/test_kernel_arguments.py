from __future__ import annotations

import argparse
import os

import pytest

from netpol.command import kernel_arguments
from netpol.command.kernel_arguments import add_kernel_arguments, chosen_variant, named_variant, require_root
from netpol.errors import KernelRefusal, NetpolError
from netpol.settings import Variant


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_kernel_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize("variant", Variant)
def test_a_variant_that_is_named_is_not_looked_for(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_variant() -> Variant:
        raise KernelRefusal("nobody is to look")

    monkeypatch.setattr(kernel_arguments, "detect", no_variant)
    assert chosen_variant(parsed("--iptables-variant", variant.value)) is variant
    for words in ([], ["--iptables-variant=auto"]):
        with pytest.raises(KernelRefusal, match="nobody is to look"):
            chosen_variant(parsed(*words))


@pytest.mark.parametrize("variant", Variant)
def test_the_hosts_own_variant_is_the_default(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_arguments, "detect", lambda: variant)
    assert chosen_variant(parsed()) is variant


def test_root_is_enough_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    require_root("netpol run")
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    with pytest.raises(NetpolError, match="netpol run needs root"):
        require_root("netpol run")


def test_what_is_to_be_found_out_has_no_name() -> None:
    assert [named_variant(parsed(*words)) for words in ([], ["--iptables-variant=auto"])] == [None, None]
    assert [named_variant(parsed(f"--iptables-variant={each.value}")) for each in Variant] == list(Variant)
