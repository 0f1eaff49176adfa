"""Fixtures of every level, and how hard hypothesis tries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import hypothesis
import pytest
from private_network import missing, private_network

pytest_plugins = ("vm.plugin",)

hypothesis.settings.register_profile("default", max_examples=25, deadline=None, derandomize=True)
hypothesis.settings.register_profile("ci", max_examples=300, deadline=None)
hypothesis.settings.load_profile("default")


@pytest.fixture(name="private_network")
def _private_network() -> Iterator[None]:
    """The test's thread, and every process it starts, in a network namespace of its own."""
    with ExitStack() as stack:
        try:
            stack.enter_context(private_network())
        except OSError as refused:
            missing(f"this machine gives no network namespace: {refused.strerror}")
        yield
