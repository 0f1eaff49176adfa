"""What a request says who it is from: tokens that somebody else keeps fresh in files, or that a program gives."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes.client.configuration import Configuration
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.kube_config import ConfigNode

from netpol.errors import UsageError

KEY = "BearerToken"
"""The library's name for what the header is made of."""


def follow(token: Callable[[], str], configuration: Configuration) -> None:
    """Every request carries what `token` returns at that moment; what it raises is the request's failure."""

    def refresh(target: Configuration) -> None:
        target.api_key[KEY] = f"Bearer {token()}"

    # Without a key the library does not ask for a fresh one, and would send the request as nobody's.
    configuration.api_key.setdefault(KEY, "")
    # The package declares the attribute as None alone.
    vars(configuration)["refresh_api_key_hook"] = refresh


def is_sendable(text: str) -> bool:
    """True where a header can carry it: the HTTP library's own complaint would spell out the whole secret."""
    return text.isascii() and text.isprintable()


@dataclass(slots=True)
class TokenFile:
    """A token that somebody else keeps fresh in a file; it is replaced well before it expires."""

    path: Path
    last: str = field(default="", repr=False)

    def read(self) -> str:
        """The token in the file; the last one where it cannot be read just then, and UsageError where there is none."""
        try:
            self.last = self.path.read_text(encoding="utf-8").strip() or self.last
        except (OSError, UnicodeDecodeError) as error:
            if not self.last:
                words = getattr(error, "strerror", None) or "is no text"
                raise UsageError(f"the token {self.path} cannot be read: {words}") from None
        if not self.last:
            raise UsageError(f"the token file {self.path} is empty")
        if not is_sendable(self.last):
            raise UsageError(f"the token file {self.path} holds no token: a line break or another odd sign is within")
        return self.last


def run_plugin(user: dict[str, Any], cluster: ConfigNode, folder: Path) -> None:
    """The kubeconfig's user has the token or the certificate that the `exec` plugin gives now, in the plugin's place.

    UsageError where it gives none: the library only logs that, and its requests are nobody's. A token that expires is
    refused by the server, and then the plugin is asked again.
    """
    plugin = user.pop("exec")
    command = plugin.get("command", "") if isinstance(plugin, dict) else ""
    try:
        given = ExecProvider(ConfigNode("exec", plugin), str(folder), cluster).run()
        if "token" in given:
            user["token"] = str(given["token"])
        else:
            user["client-certificate-data"] = _encoded(given["clientCertificateData"])
            user["client-key-data"] = _encoded(given["clientKeyData"])
    except KeyError as error:
        raise UsageError(f"the exec plugin {command} gives no credentials: no {error}") from None
    except Exception as error:  # whatever the program or the library come to: it is no answer
        raise UsageError(f"the exec plugin {command} gives no credentials: {' '.join(str(error).split())}") from None


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
