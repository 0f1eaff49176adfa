"""`netpol services`: what is chosen, and how it is printed."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from netpol.command import services
from netpol.command.look import Look
from netpol.command.service_listing import NO_RECORD, ListedServer
from netpol.errors import NetpolError
from netpol.model.ports import Protocol
from proxy.model import HeldServer, Scheduling, ServerAddress
from proxy.ownership import Record


def server(address: str, title: str = "") -> ListedServer:
    """A server at port 80 of the address; without a title it is somebody else's."""
    key = ServerAddress(ip_address(address), Protocol.TCP, 80)
    record = Record(title, "cluster") if title else NO_RECORD
    return ListedServer(HeldServer(key, Scheduling()), key, record, is_ours=bool(title))


WEB, API, DNS = (
    server("10.96.0.3", "shop/web:http"),
    server("10.96.0.2", "shop/api:80"),
    server("10.96.0.1", "kube/web:d"),
)
FOREIGN = server("198.51.100.1")


def chosen(*words: str, found: Sequence[ListedServer] = (DNS, API, WEB, FOREIGN)) -> list[str]:
    """The addresses that JSON tells of."""
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "read", lambda: list(found))
        patch.setattr(os, "geteuid", lambda: 0)
        patch.setattr(services, "print", printed.append, raising=False)
        parser = argparse.ArgumentParser(exit_on_error=False)
        services.add_arguments(parser)
        assert services.run(parser.parse_args(["-o", "json", *words])) == 0
    (text,) = printed
    return [each["address"] for each in json.loads(text)]


def test_ours_are_shown_and_with_all_those_of_others_too() -> None:
    assert chosen() == ["10.96.0.1", "10.96.0.2", "10.96.0.3"]
    assert chosen("--all") == ["10.96.0.1", "10.96.0.2", "10.96.0.3", "198.51.100.1"]


@pytest.mark.parametrize(
    ("words", "addresses"),
    [
        (["web"], ["10.96.0.1", "10.96.0.3"]),
        (["-n", "shop"], ["10.96.0.2", "10.96.0.3"]),
        (["-n", "shop", "web"], ["10.96.0.3"]),
        (["--namespace=shop", "web", "--all"], ["10.96.0.3"]),
        (["other"], []),
    ],
)
def test_a_namespace_and_a_name_choose(words: list[str], addresses: list[str]) -> None:
    assert chosen(*words) == addresses


def test_those_of_others_stand_apart() -> None:
    lines = services.table_lines([WEB, FOREIGN], Look(width=200))
    assert lines[1].startswith("shop/web:http  cluster  10.96.0.3:80/TCP")
    assert lines[2:4] == ["", "Made by others, and left alone:"]
    assert lines[5].startswith("-        -    198.51.100.1:80/TCP")
    assert services.table_lines([FOREIGN], Look(width=200))[0] == "Made by others, and left alone:"


@pytest.mark.parametrize(("found", "says"), [([], "no service is served here"), ([WEB], "no service is as asked for")])
def test_nothing_to_show_is_said(
    found: list[ListedServer], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(services, "read", lambda: found)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    parser = argparse.ArgumentParser()
    services.add_arguments(parser)
    assert services.run(parser.parse_args(["none"])) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"netpol: {says}\n")


def test_it_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NetpolError, match="netpol services needs root"):
        services.run(argparse.Namespace())
