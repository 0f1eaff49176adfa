"""Every program of a node is told the same first family."""

from __future__ import annotations

from pathlib import Path

import pytest
from testbed.node_files import NodeFiles

from netpol.model.networks import Family


@pytest.mark.parametrize(("first", "separator"), [(Family.IPV4, "."), (Family.IPV6, ":")])
def test_addresses_and_ranges_begin_with_the_first_family(first: Family, separator: str) -> None:
    files = NodeFiles(Path("/bed"), Path("/programs"), "group", first)
    api_server, controllers = files.kube_apiserver("http://etcd"), files.kube_controller_manager()
    assert separator in value(api_server, "bind-address")
    assert separator in value(api_server, "advertise-address")
    assert separator in files.api_url.removeprefix("https://").rpartition(":")[0]
    for command, flag in (
        (api_server, "service-cluster-ip-range"),
        (controllers, "service-cluster-ip-range"),
        (controllers, "cluster-cidr"),
        (files.kubelet(), "node-ip"),
    ):
        first_value, second_value = value(command, flag).split(",")
        assert separator in first_value, flag
        assert separator not in second_value, flag


def value(command: list[str], flag: str) -> str:
    (found,) = (word for word in command if word.startswith(f"--{flag}="))
    return found.partition("=")[2]
