"""How the API server is reached: a kubeconfig, a pod's own service account, or a URL alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from kubernetes.client.configuration import Configuration
from kubernetes.config import incluster_config
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.kube_config import ConfigNode, KubeConfigLoader
from kubernetes.utils.keepalive import tcp_keepalive_socket_options

from netpol.errors import UsageError
from netpol.settings import ApiSource

_KEY = "BearerToken"


def read_configuration(options: ApiSource) -> Configuration:
    """The library's configuration for these options, with tokens that are read from their files at every request.

    UsageError where there is none, or it can't be used.
    """
    configuration = Configuration()
    if options.kubeconfig is not None:
        _read_kubeconfig(options.kubeconfig, options.master, configuration)
    elif options.master:
        configuration.host = _url(options.master)
    else:
        _read_service_account(configuration)
    # Without them a dead peer of a quiet watch would be found only by the watch's own time-out.
    configuration.socket_options = tcp_keepalive_socket_options(idle=15, interval=10, count=3)
    # The callers wait between attempts; urllib3 would try again at once.
    configuration.retries = False
    return configuration


def _read_kubeconfig(path: Path, master: str, configuration: Configuration) -> None:
    """The configuration is that of the file's current context; `master` takes the place of its server.

    Both are settled before the library sees the file: it would put the file's own server back at each refresh of a
    token, and it reads a `tokenFile` only once.
    """
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--kubeconfig {path}: cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--kubeconfig {path}: is no YAML: {' '.join(str(error).split())}") from None
    try:
        config = ConfigNode(str(path), fields, str(path))
        context = config["contexts"].get_with_name(config["current-context"])["context"]
        if master:
            config["clusters"].get_with_name(context["cluster"])["cluster"].value["server"] = _url(master)
        token_file = _take_token_file(config, context, path)
        KubeConfigLoader(config_dict=config, config_base_path=str(path.parent.absolute())).load_and_set(configuration)
    except (ConfigException, OSError) as error:
        raise UsageError(f"--kubeconfig {path}: {' '.join(str(error).split())}") from None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"--kubeconfig {path}: is no kubeconfig: {' '.join(str(error).split())}") from None
    if token_file is not None:
        _follow(token_file, configuration)


def _take_token_file(config: Any, context: Any, kubeconfig: Path) -> Path | None:
    """The current user's `tokenFile`, which goes before its `token`; the user has neither then."""
    name, users = context.safe_get("user"), config.safe_get("users")
    user = config["users"].get_with_name(name, safe=True) if name and users else None
    fields = (user.safe_get("user") if user is not None else None) or {}
    if "tokenFile" not in fields:
        return None
    fields.pop("token", None)
    return kubeconfig.parent.absolute() / str(fields.pop("tokenFile"))


def _read_service_account(configuration: Configuration) -> None:
    try:
        incluster_config.load_incluster_config(configuration)
    except (ConfigException, OSError) as error:
        raise UsageError(
            f"neither --kubeconfig nor --master is given, and this is no pod with a service account: {error}"
        ) from None
    _follow(Path(incluster_config.SERVICE_TOKEN_FILENAME), configuration)


def _url(master: str) -> str:
    """The URL that --master names; HTTP where it names no scheme, as kubectl's library has it."""
    text = master if "://" in master else f"http://{master}"
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and parts.hostname and not any(map(str.isspace, text))
    except ValueError:
        is_url = False
    if not is_url:
        raise UsageError(f"--master {master}: is no URL such as https://10.0.0.1:6443")
    return text.rstrip("/")


def _follow(path: Path, configuration: Configuration) -> None:
    """Every request carries the token that the file holds at that moment; it is replaced well before it expires."""
    token = TokenFile(path)

    def refresh(target: Configuration) -> None:
        target.api_key[_KEY] = f"Bearer {token.read()}"

    refresh(configuration)
    # The package declares the attribute as None alone.
    vars(configuration)["refresh_api_key_hook"] = refresh


@dataclass(slots=True)
class TokenFile:
    """A token that somebody else keeps fresh in a file."""

    path: Path
    last: str = ""

    def read(self) -> str:
        """The token in the file; the last one where it cannot be read just then, and UsageError where there is none."""
        try:
            self.last = self.path.read_text(encoding="utf-8").strip() or self.last
        except (OSError, UnicodeDecodeError) as error:
            if not self.last:
                raise UsageError(f"the token {self.path} cannot be read: {error}") from None
        if not self.last:
            raise UsageError(f"the token file {self.path} is empty")
        return self.last
