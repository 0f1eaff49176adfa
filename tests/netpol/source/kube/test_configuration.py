"""Where the API server is, and the lines for whoever says it wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest
from kubernetes.config import incluster_config

from netpol.errors import UsageError
from netpol.settings import ApiSource
from netpol.source.kube.configuration import read_configuration

KUBECONFIG = """
current-context: it
contexts: [{name: it, context: {cluster: there, user: me}}]
clusters: [{name: there, cluster: {server: "https://10.0.0.1:6443"}}]
users: [{name: me, user: {token: secret}}]
"""


def written(path: Path, text: str) -> ApiSource:
    path.write_text(text)
    return ApiSource(path)


def complaint(options: ApiSource) -> str:
    with pytest.raises(UsageError) as raised:
        read_configuration(options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_kubeconfig(tmp_path: Path) -> None:
    configuration = read_configuration(written(tmp_path / "config", KUBECONFIG))
    assert configuration.host == "https://10.0.0.1:6443"
    assert configuration.get_api_key_with_prefix("BearerToken") == "Bearer secret"


def test_master_goes_before_the_kubeconfigs_server_and_stays(tmp_path: Path) -> None:
    """The library puts the server back at every refresh of the token."""
    path = written(tmp_path / "config", KUBECONFIG).kubeconfig
    configuration = read_configuration(ApiSource(path, "https://192.0.2.1"))
    configuration.auth_settings()
    assert configuration.host == "https://192.0.2.1"
    assert configuration.get_api_key_with_prefix("BearerToken") == "Bearer secret"


@pytest.mark.parametrize(
    ("master", "host"),
    [
        ("https://10.0.0.1:6443", "https://10.0.0.1:6443"),
        ("http://10.0.0.1:8080/", "http://10.0.0.1:8080"),
        ("10.0.0.1:8080", "http://10.0.0.1:8080"),
    ],
)
def test_master_alone(master: str, host: str) -> None:
    assert read_configuration(ApiSource(master=master)).host == host


@pytest.mark.parametrize("master", ["ftp://10.0.0.1", "https://", "a b", "http://[::1", "http://a:99999", "http://a:b"])
def test_a_master_that_is_no_url(master: str) -> None:
    assert "is no URL" in complaint(ApiSource(master=master))


def test_a_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    assert complaint(ApiSource(tmp_path / "none")).endswith("none: cannot be read: No such file or directory")


def test_a_kubeconfig_that_is_a_directory(tmp_path: Path) -> None:
    assert complaint(ApiSource(tmp_path)).endswith("cannot be read: Is a directory")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no kubeconfig"),
        ("[]", "Expected key contexts"),
        ("just words", "kubeconfig"),
        ("{", "is no YAML"),
        (KUBECONFIG.replace("current-context: it", ""), "Expected key current-context"),
        (KUBECONFIG.replace("current-context: it", "current-context: other"), "Expected object with name other"),
        (KUBECONFIG.replace("cluster: there", "cluster: gone"), "Expected object with name gone"),
        (KUBECONFIG.replace("{token: secret}", "{tokenFile: nowhere}"), "the token"),
        (
            KUBECONFIG.replace('6443"', '6443", certificate-authority: nowhere.crt'),
            "nowhere.crt",
        ),
    ],
)
def test_a_kubeconfig_that_leads_nowhere(tmp_path: Path, text: str, words: str) -> None:
    said = complaint(written(tmp_path / "config", text))
    assert words in said


def test_no_cluster_around() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        assert complaint(ApiSource()).startswith("neither --kubeconfig nor --master is given, and this is no pod")


def test_the_service_account_of_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    authority.write_text("a certificate")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    # The loader has taken the environment as it was when it was imported, which is the same mapping.
    configuration = read_configuration(ApiSource())
    assert configuration.host == "https://10.96.0.1:443"
    assert configuration.ssl_ca_cert == str(authority)
    token.write_text("second")
    assert configuration.auth_settings()["BearerToken"]["value"] == "Bearer second"


TWO_LINES = '"SECRET\\nSECRET"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (KUBECONFIG.replace("secret}", f"{TWO_LINES}}}"), "its token is none"),
        (KUBECONFIG.replace("secret}", "{SECRET"), "is no YAML: line 5: "),
        (
            KUBECONFIG.replace("https://10", "https://me:SECRET@10").replace("6443", "x"),
            "server https://10.0.0.1:x: is no",
        ),
    ],
)
def test_no_complaint_tells_a_secret(tmp_path: Path, text: str, words: str) -> None:
    said = complaint(written(tmp_path / "config", text))
    assert words in said
    assert "SECRET" not in said


@pytest.mark.parametrize("server", ["::::", "10.0.0.1:6443", "http://10.0.0.1:99999"])
def test_a_server_of_a_kubeconfig_that_is_no_url(tmp_path: Path, server: str) -> None:
    said = complaint(written(tmp_path / "config", KUBECONFIG.replace("https://10.0.0.1:6443", server)))
    assert said.endswith(f"the server {server}: is no URL such as https://10.0.0.1:6443")


@pytest.mark.parametrize("cluster", ["{}", '{server: ""}'])
def test_a_kubeconfig_that_names_no_server(tmp_path: Path, cluster: str) -> None:
    text = KUBECONFIG.replace('{server: "https://10.0.0.1:6443"}', cluster)
    assert "is not named" in complaint(written(tmp_path / "config", text))


def test_credentials_of_the_url_are_used_and_not_shown(tmp_path: Path) -> None:
    alone = read_configuration(ApiSource(master="http://me:pw@10.0.0.1:80"))
    assert alone.host == "http://10.0.0.1:80"
    assert alone.auth_settings()["BearerToken"]["value"] == "Basic bWU6cHc="
    config = written(tmp_path / "config", KUBECONFIG).kubeconfig
    beside = read_configuration(ApiSource(config, "http://me:pw@10.0.0.1:80"))
    assert beside.auth_settings()["BearerToken"]["value"] == "Bearer secret"


def test_dead_peers_are_found_and_nothing_is_tried_again_behind_our_back() -> None:
    configuration = read_configuration(ApiSource(master="http://10.0.0.1"))
    assert configuration.retries is False
    assert configuration.socket_options
