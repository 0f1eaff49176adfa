"""How the API server is reached: a kubeconfig, a pod's own service account, or a URL alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client.configuration import Configuration
from kubernetes.config import incluster_config
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.kube_config import ConfigNode, KubeConfigLoader
from kubernetes.utils.keepalive import tcp_keepalive_socket_options

from netpol.errors import UsageError
from netpol.settings import ApiSource
from netpol.source.kube.address import Address, read_address
from netpol.source.kube.credentials import KEY, TokenFile, follow, is_sendable, run_plugin


def read_configuration(options: ApiSource) -> Configuration:
    """The library's configuration for these options, with tokens that are read from their files at every request.

    UsageError where there is none, or it can't be used.
    """
    configuration = Configuration()
    if options.kubeconfig is not None:
        _read_kubeconfig(options.kubeconfig, options.master, configuration)
    elif options.master:
        _set(_master(options.master), configuration)
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
        raise UsageError(f"--kubeconfig {path}: is no YAML{_place(error)}") from None
    try:
        config = ConfigNode(str(path), fields, str(path))
        context = config["contexts"].get_with_name(config["current-context"])["context"]
        cluster = config["clusters"].get_with_name(context["cluster"])["cluster"]
        address = _master(master) if master else _server(cluster, path)
        cluster.value["server"] = address.url
        user = _user(config, context)
        token = _token(user, cluster, path.parent.absolute())
        KubeConfigLoader(config_dict=config, config_base_path=str(path.parent.absolute())).load_and_set(configuration)
    except (ConfigException, OSError) as error:
        raise UsageError(f"--kubeconfig {path}: {' '.join(str(error).split())}") from None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"--kubeconfig {path}: is no kubeconfig: {' '.join(str(error).split())}") from None
    if not is_sendable(configuration.api_key.get(KEY, "")):
        raise UsageError(f"--kubeconfig {path}: its token is none: a line break or another odd sign is within")
    _set(address, configuration)
    if token is not None:
        follow(token, configuration)


def _place(error: yaml.YAMLError | UnicodeDecodeError) -> str:
    """Where the error is, and what; not the text around, which may be a secret."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return ""
    return f": line {error.problem_mark.line + 1}: {error.problem}"


def _server(cluster: Any, kubeconfig: Path) -> Address:
    """The cluster's server; the library would take this host's for one that is not named."""
    where = f"--kubeconfig {kubeconfig}: the server"
    text = cluster.safe_get("server")
    if not text:
        raise UsageError(f"{where} of the current context's cluster is not named")
    return read_address(str(text), where)


def _master(text: str) -> Address:
    """The address that --master names; HTTP where it names no scheme, as kubectl's library has it."""
    return read_address(text if "://" in text else f"http://{text}", "--master")


def _set(address: Address, configuration: Configuration) -> None:
    """Requests go there, with the URL's own credentials where there are no others."""
    configuration.host = address.url
    if address.authorization:
        configuration.api_key.setdefault(KEY, address.authorization)


def _user(config: Any, context: Any) -> dict[str, Any]:
    """The current context's user, as the library is going to read it."""
    name, users = context.safe_get("user"), config.safe_get("users")
    user = config["users"].get_with_name(name, safe=True) if name and users else None
    return (user.safe_get("user") if user is not None else None) or {}


def _token(user: dict[str, Any], cluster: Any, folder: Path) -> Callable[[], str] | None:
    """What gives the token of each request, where the library is not to do so.

    `tokenFile` goes before `token`, and both before a plugin. One that fails does so at every request, until the
    configuration is read anew.
    """
    if "tokenFile" in user:
        user.pop("token", None)
        file = TokenFile(folder / str(user.pop("tokenFile")))
        file.read()
        return file.read
    if "exec" not in user or "token" in user or "auth-provider" in user:
        return None
    try:
        run_plugin(user, cluster, folder)
    except UsageError as error:
        return partial(_fail, str(error))
    return None


def _fail(words: str) -> str:
    raise UsageError(words)


def _read_service_account(configuration: Configuration) -> None:
    try:
        incluster_config.load_incluster_config(configuration)
    except (ConfigException, OSError) as error:
        raise UsageError(
            f"neither --kubeconfig nor --master is given, and this is no pod with a service account: {error}"
        ) from None
    file = TokenFile(Path(incluster_config.SERVICE_TOKEN_FILENAME))
    file.read()
    follow(file.read, configuration)
