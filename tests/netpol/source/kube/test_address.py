"""URLs of servers: where requests go, and what may be shown."""

from __future__ import annotations

import pytest

from netpol.errors import UsageError
from netpol.source.kube.address import read_address


@pytest.mark.parametrize(
    ("text", "url", "authorization"),
    [
        ("https://10.0.0.1:6443/", "https://10.0.0.1:6443", ""),
        ("http://me:p%40w@host/x", "http://host/x", "Basic bWU6cEB3"),
        ("https://[fd00::1]:6443", "https://[fd00::1]:6443", ""),
    ],
)
def test_addresses(text: str, url: str, authorization: str) -> None:
    found = read_address(text, "--master")
    assert (found.url, found.authorization) == (url, authorization)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "text", ["", "::::", "host:80", "http://", "http://h:99999", "http://h:0", "http://h:x", "http://me:SECRET@h:x"]
)
def test_what_leads_nowhere(text: str) -> None:
    with pytest.raises(UsageError, match="is no URL") as raised:
        read_address(text, "--master")
    assert "SECRET" not in str(raised.value)
