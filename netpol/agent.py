"""The composition root of the live agent."""

from __future__ import annotations

from netpol.settings import AgentSettings


def run_agent(settings: AgentSettings) -> int:
    """The exit status of an agent that was told to stop."""
    raise NotImplementedError(settings)
