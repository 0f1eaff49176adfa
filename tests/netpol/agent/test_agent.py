"""What the agent follows, and the ports that it serves on."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from netpol.agent import agent
from netpol.agent.agent import kinds_of
from netpol.errors import NetpolError
from netpol.model.facts import Kind
from netpol.settings import AgentSettings, ApiSource, Listener, NodeOptions, ProxySettings
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics

FIREWALL = AgentSettings(NodeOptions("n1"), ApiSource())
PROXY = replace(FIREWALL, firewall=False, proxy=ProxySettings())


def test_the_kinds_are_those_of_what_runs() -> None:
    policies = (Kind.POD, Kind.NAMESPACE, Kind.NODE, Kind.NETWORK_POLICY)
    services = (Kind.NODE, Kind.SERVICE, Kind.ENDPOINT_SLICE)
    assert kinds_of(FIREWALL) == policies
    assert kinds_of(PROXY) == services
    assert kinds_of(replace(PROXY, firewall=True)) == (*policies, Kind.SERVICE, Kind.ENDPOINT_SLICE)


def serve(listener: Listener) -> None:
    """The pages were served there for a moment."""
    metrics, health = Metrics(CollectorRegistry()), Health(time.monotonic, 60.0)
    agent._serve(replace(FIREWALL, health=listener), metrics, health).stop()


def test_a_port_that_an_agent_is_about_to_leave_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as former:
        listener = Listener(former.getsockname()[1], "127.0.0.1")
        threading.Timer(0.3, former.close).start()
        serve(listener)


def test_a_port_that_stays_taken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "PORTS_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        listener = Listener(other.getsockname()[1], "127.0.0.1")
        with pytest.raises(NetpolError, match="another program listens there"):
            serve(listener)
