from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import manifest_directory
import pytest
import yaml
from api_server import ApiServer
from api_store import Age

from netpol.command.source_arguments import add_source_arguments, load_snapshot, source_of
from netpol.errors import InputError, NetpolError, UsageError
from netpol.settings import ApiSource, DirectorySource, NetworkPolicyApi, Source


@pytest.fixture(autouse=True)
def _no_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_source_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize("words", [["-f", "a", "-f", "b"], ["-f", "a", "--source", "a"], ["--filename=a", "-fb"]])
def test_a_second_source_is_refused_for_only_one_would_be_read(words: list[str]) -> None:
    with pytest.raises(argparse.ArgumentError, match="-f/--filename/--source: may be given only once"):
        parsed(*words)


@pytest.mark.parametrize(
    ("words", "source"),
    [
        (["--source", "dir"], DirectorySource(Path("dir"))),
        (["-f", "dir", "--kubeconfig=", "--master="], DirectorySource(Path("dir"))),
        (["--kubeconfig", "k"], ApiSource(Path("k"))),
        (["--master", "http://10.0.0.1:8080"], ApiSource(master="http://10.0.0.1:8080")),
        (["--kubeconfig=k", "--master=10.0.0.1"], ApiSource(Path("k"), "10.0.0.1")),
        (
            ["--kubeconfig=k", "--network-policy-api=extensions/v1beta1"],
            ApiSource(Path("k"), network_policy_api=NetworkPolicyApi.V1BETA1),
        ),
    ],
)
def test_a_directory_or_an_api_server_is_the_source(words: list[str], source: Source) -> None:
    assert source_of(parsed(*words)) == source


def test_a_pod_asks_the_api_server_of_its_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="one of --source, --kubeconfig and --master is required"):
        source_of(parsed())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert source_of(parsed()) == ApiSource()


@pytest.mark.parametrize("flag", ["--kubeconfig=k", "--master=http://10.0.0.1"])
def test_two_sources_are_one_too_many(flag: str) -> None:
    with pytest.raises(UsageError, match="--source and an API server"):
        source_of(parsed("--source", "dir", flag))


@pytest.mark.parametrize("flag", ["--kubeconfig", "--master"])
def test_a_second_api_server_is_refused(flag: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=f"{flag}: may be given only once"):
        parsed(flag, "a", flag, "b")


def test_g7_old_api_servers_put_no_name_on_namespaces() -> None:
    assert source_of(parsed("--master=m", "--synthesise-namespace-name-label")) == ApiSource(
        master="m", synthesise_name_label=True
    )


def test_policies_are_read_from_an_api_that_there_is() -> None:
    with pytest.raises(argparse.ArgumentError, match="--network-policy-api"):
        parsed("--network-policy-api=v1")


def test_m7_what_was_not_understood_is_said_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: odd, namespace: x}
spec: {podSelector: {}, ingress: [{from: [{}]}]}
"""
    loaded = load_snapshot(parsed("-f", str(manifest_directory.write(tmp_path, odd))))
    assert ("x", "odd") in loaded.snapshot.policies
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines
    assert all(line.startswith("warning: ") for line in lines)
    assert any("NetworkPolicy x/odd: spec.ingress[0].from[0]" in line for line in lines)


def test_m7_a_named_port_that_no_pod_resolves_is_said_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = manifest_directory.write(tmp_path, manifest_directory.GUESTBOOK.replace("port: 6379", "port: rdis"))
    load_snapshot(parsed("-f", str(directory)))
    assert capsys.readouterr().err == (
        "warning: NetworkPolicy shop/redis: spec.ingress[0].ports: "
        "no pod that the policy selects has a port rdis/TCP; it allows nothing\n"
    )


def test_input_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load_snapshot(parsed("-f", str(tmp_path / "missing")))


def test_b2_the_flags_reach_the_decoder(tmp_path: Path) -> None:
    broken = """
apiVersion: v1
kind: Namespace
metadata: {name: x, annotations: {net.beta.kubernetes.io/network-policy: "{"}}
"""
    directory = str(manifest_directory.write(tmp_path, broken))
    assert not load_snapshot(parsed("-f", directory)).snapshot.namespaces["x"].default_deny
    assert load_snapshot(parsed("-f", directory, "--strict-annotations=true")).snapshot.namespaces["x"].default_deny


# --- from an API server


@pytest.fixture(name="server")
def _server() -> Iterator[ApiServer]:
    with ApiServer(Age.OLD) as server:
        for manifest in yaml.safe_load_all(manifest_directory.GUESTBOOK):
            server.store.put(manifest)
        yield server


def test_an_api_server_says_what_manifests_say(server: ApiServer, tmp_path: Path) -> None:
    """But for what the server itself adds: the name of a namespace as a label, which old ones do not."""
    written = load_snapshot(parsed("-f", str(manifest_directory.write(tmp_path)))).snapshot
    words = ["--master", server.url, "--network-policy-api=extensions/v1beta1", "--synthesise-namespace-name-label"]
    listed = load_snapshot(parsed(*words)).snapshot
    assert (listed.namespaces, listed.nodes, listed.policies) == (written.namespaces, written.nodes, written.policies)
    assert listed.pods.keys() == written.pods.keys()


def test_an_api_server_that_is_not_there_is_one_line() -> None:
    with ApiServer() as server:
        url = server.url
    with pytest.raises(NetpolError, match=re.escape(url)) as failure:
        load_snapshot(parsed("--master", url))
    assert len(str(failure.value).splitlines()) == 1


def test_a_kubeconfig_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="missing: cannot be read"):
        load_snapshot(parsed("--kubeconfig", str(tmp_path / "missing")))
