"""Tokens of files and of plugins, good and bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kubernetes.config.kube_config import ConfigNode

from netpol.errors import UsageError
from netpol.source.kube.credentials import TokenFile, run_plugin

VERSION = "client.authentication.k8s.io/v1"
CLUSTER = ConfigNode("cluster", {"server": "https://10.0.0.1"})


def plugin(status: dict[str, str]) -> dict[str, Any]:
    """A user whose plugin answers so."""
    answer = json.dumps({"apiVersion": VERSION, "kind": "ExecCredential", "status": status})
    return {"exec": {"apiVersion": VERSION, "command": "echo", "args": [answer]}}


def test_a_token_file_without_a_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(UsageError, match="is empty"):
        TokenFile(tmp_path / "token").read()


@pytest.mark.parametrize("text", ["SECRET\nSECRET\n", "SECRET\u0142", "SEC\0RET"])
def test_a_token_that_no_header_carries_is_refused_and_not_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(UsageError, match="holds no token") as raised:
        TokenFile(tmp_path / "token").read()
    assert "SEC" not in str(raised.value)


def test_what_a_plugin_gives_takes_its_place(tmp_path: Path) -> None:
    token, certificate = plugin({"token": "t"}), plugin({"clientCertificateData": "c", "clientKeyData": "k"})
    run_plugin(token, CLUSTER, tmp_path)
    run_plugin(certificate, CLUSTER, tmp_path)
    assert token == {"token": "t"}
    assert certificate == {"client-certificate-data": "Yw==", "client-key-data": "aw=="}


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (plugin({}), "no 'clientCertificateData'"),
        ({"exec": {"apiVersion": VERSION, "command": "/no/such"}}, "plugin /no/such gives .*No such file"),
        ({"exec": {"apiVersion": VERSION, "command": "false"}}, "process returned 1"),
        ({"exec": None}, "gives no credentials"),
    ],
)
def test_a_plugin_that_gives_none(tmp_path: Path, user: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run_plugin(user, CLUSTER, tmp_path)
