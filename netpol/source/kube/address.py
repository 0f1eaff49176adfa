"""The URL of an API server, apart from the credentials that may stand in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import make_headers, parse_url

from netpol.errors import UsageError
from netpol.settings import without_userinfo


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is, in words that anybody may read; `authorization` is the header that the user part makes."""

    url: str
    authorization: str = field(default="", repr=False)


def read_address(text: str, where: str) -> Address:
    """The address that stands `where`; UsageError where no request could ever be sent there."""
    shown = without_userinfo(text)
    try:
        parts = urlsplit(text)
        is_url = (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and parse_url(shown).host
        )
    # ValueError: a port beyond 65535, or one that is no number.
    except (ValueError, LocationParseError):
        is_url = False
    if not is_url or any(map(str.isspace, text)):
        raise UsageError(f"{where} {shown}: is no URL such as https://10.0.0.1:6443")
    return Address(shown.rstrip("/"), _authorization(parts))


def _authorization(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return make_headers(basic_auth=pair)["authorization"]
