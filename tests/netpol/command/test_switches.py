from __future__ import annotations

import argparse

import pytest

from netpol.command.switches import Switch, add_switch


def parsed(*words: str, default: Switch = Switch.OFF) -> object:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_switch(parser, "--masquerade-all", default, "masquerade everything")
    return parser.parse_args(words).masquerade_all


@pytest.mark.parametrize(("default", "state"), [(Switch.ON, True), (Switch.OFF, False)])
def test_an_untouched_switch_is_as_it_stands(default: Switch, state: bool) -> None:
    assert parsed(default=default) is state


@pytest.mark.parametrize("default", Switch)
def test_the_flag_alone_is_on(default: Switch) -> None:
    assert parsed("--masquerade-all", default=default) is True


@pytest.mark.parametrize("word", ["1", "t", "T", "true", "TRUE", "True"])
@pytest.mark.parametrize("default", Switch)
def test_what_go_takes_for_true_is_on(word: str, default: Switch) -> None:
    assert parsed(f"--masquerade-all={word}", default=default) is True


@pytest.mark.parametrize("word", ["0", "f", "F", "false", "FALSE", "False"])
@pytest.mark.parametrize("default", Switch)
def test_what_go_takes_for_false_is_off(word: str, default: Switch) -> None:
    assert parsed(f"--masquerade-all={word}", default=default) is False


@pytest.mark.parametrize("word", ["", "yes", "no", "on", "2", "tRUE", " true"])
def test_any_other_word_is_refused(word: str) -> None:
    with pytest.raises(argparse.ArgumentError, match="neither true nor false"):
        parsed(f"--masquerade-all={word}")


def test_the_last_one_counts() -> None:
    assert parsed("--masquerade-all", "--masquerade-all=false") is False


def test_help_says_where_it_stands() -> None:
    parser = argparse.ArgumentParser()
    add_switch(parser, "--enable-ipv6", Switch.ON, "write IPv6 rules")
    assert "write IPv6 rules (default true)" in " ".join(parser.format_help().split())
