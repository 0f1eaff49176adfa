from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import manifest_directory
import pytest
from between import FAMILIES, kernel_of

from netpol.agent.serving import ServedOnce
from netpol.command import cleanup
from netpol.command import run as command
from netpol.compiler.compile import compile_ruleset
from netpol.control import cutter
from netpol.dataplane.apply import Kernel, apply
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.plan import plan
from netpol.errors import KernelRefusal, UsageError
from netpol.model.networks import Family
from netpol.model.notices import Notice
from netpol.model.snapshot import Snapshot
from netpol.settings import AgentSettings, DirectorySource, NodeOptions, PolicyOptions, ProxySettings, Variant
from netpol.source.manifests import load
from proxy.outcome import Outcome


@pytest.fixture(name="kernels")
def _kernels(monkeypatch: pytest.MonkeyPatch) -> dict[Variant, MemoryKernel]:
    """A host with both variants; the command opens the kernel of the one it chooses."""
    kernels = {variant: MemoryKernel() for variant in Variant}

    @contextmanager
    def opened(variant: Variant) -> Iterator[Kernel]:
        yield kernel_of(kernels[variant])

    monkeypatch.setattr(command, "open_kernel", opened)
    monkeypatch.setattr(
        command, "other_tables", lambda chosen: {v: kernels[v].tables for v in Variant if v is not chosen}
    )
    monkeypatch.setattr(cutter, "local_addresses", frozenset)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return kernels


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    return manifest_directory.write(tmp_path)


def run(directory: Path, *words: str, node: str = "n1") -> int:
    parser = argparse.ArgumentParser(exit_on_error=False)
    command.add_arguments(parser)
    chosen = ["-f", str(directory), "--once", "--hostname-override", node, "--iptables-variant", "nft", *words]
    return command.run(parser.parse_args(chosen))


def drift(memory: MemoryKernel, directory: Path) -> tuple[object, ...]:
    """What the kernel lacks of what the policies ask for."""
    ruleset = compile_ruleset(load(directory, PolicyOptions()).snapshot, NodeOptions("n1"))
    return plan(ruleset, kernel_of(memory).read(FAMILIES))


def test_the_kernel_is_programmed_and_a_second_run_changes_nothing(
    kernels: dict[Variant, MemoryKernel], directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(directory) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("n1 (nft): ")
    assert " sets created, " in printed.out
    assert printed.err == ""
    assert drift(kernels[Variant.NFT], directory) == ()
    assert run(directory) == 0
    assert capsys.readouterr().out == "n1 (nft): nothing to change\n"


def test_the_variant_that_is_named_is_written_and_the_other_is_not(
    kernels: dict[Variant, MemoryKernel], directory: Path
) -> None:
    assert run(directory, "--iptables-variant", "legacy") == 0
    assert drift(kernels[Variant.LEGACY], directory) == ()
    assert kernels[Variant.NFT].journal.operations == []


def test_what_an_earlier_run_wrote_through_the_other_variant_goes(
    kernels: dict[Variant, MemoryKernel], directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    former = kernel_of(kernels[Variant.LEGACY])
    ruleset = compile_ruleset(load(directory, PolicyOptions()).snapshot, NodeOptions("n1"))
    apply(plan(ruleset, former.read(FAMILIES)), former)
    assert run(directory) == 0
    assert "chains of another variant removed" in capsys.readouterr().out
    assert not any(former.tables.read(family).chains for family in FAMILIES)


def test_a_family_that_is_off_gets_no_rule(kernels: dict[Variant, MemoryKernel], directory: Path) -> None:
    assert run(directory, "--enable-ipv6=false") == 0
    assert not kernels[Variant.NFT].tables.read(Family.IPV6).chains
    assert kernels[Variant.NFT].tables.read(Family.IPV4).chains


def test_a_node_that_the_manifests_do_not_name_is_refused(
    kernels: dict[Variant, MemoryKernel], directory: Path
) -> None:
    """A wrong name would open every pod that is here."""
    assert run(directory) == 0
    written = len(kernels[Variant.NFT].journal.operations)
    with pytest.raises(UsageError, match="no node is named elsewhere; the manifests name n1"):
        run(directory, node="elsewhere")
    assert len(kernels[Variant.NFT].journal.operations) == written


def test_a_node_without_pods_is_worth_a_warning_where_no_node_is_named(
    kernels: dict[Variant, MemoryKernel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Manifests without nodes cannot tell a wrong name."""
    (tmp_path / "x.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n")
    assert run(tmp_path, node="elsewhere") == 0
    assert capsys.readouterr().err == (
        "warning: the manifests have neither a node nor a pod of elsewhere, so nothing is enforced there; "
        "is --hostname-override right?\n"
    )


def test_a_refusal_is_passed_on_with_nothing_written(kernels: dict[Variant, MemoryKernel], directory: Path) -> None:
    memory = kernels[Variant.NFT]
    memory.journal.refuse(after=10)
    with pytest.raises(KernelRefusal, match="as the test told the kernel to"):
        run(directory)
    assert kernel_of(memory).read(()).sets == {}


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("--run-router", "the pod network is the CNI's"),
        ("--run-loadbalancer", "no addresses to load balancers"),
        ("--run-firewall=false", "nothing is left to run"),
    ],
)
def test_what_this_version_does_not_do_is_said_before_anything_is_done(
    word: str, says: str, kernels: dict[Variant, MemoryKernel], directory: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        run(directory, word)
    assert all(memory.journal.operations == [] for memory in kernels.values())


def served_once(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ProxySettings, Snapshot]]:
    """What is brought to the kernel of services; it is told so in place of being done."""
    served: list[tuple[ProxySettings, Snapshot]] = []
    notice = Notice("Service", "shop", "web", "spec.externalIPs", "192.0.2.1 is another's")

    def serve(_: NodeOptions, settings: ProxySettings, __: Variant, snapshot: Snapshot) -> ServedOnce:
        served.append((settings, snapshot))
        return ServedOnce(Outcome(bound=2), (notice,))

    monkeypatch.setattr(command, "serve_once", serve)
    return served


def test_the_proxy_alone_is_run_once_without_a_word_of_policies(
    kernels: dict[Variant, MemoryKernel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    served = served_once(monkeypatch)
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {clusterIP: 10.96.0.1}\n"
    (tmp_path / "x.yaml").write_text(f"{service}---\napiVersion: v1\nkind: Node\nmetadata: {{name: n1}}\n")
    assert run(tmp_path, "--run-firewall=false", "--run-service-proxy", "--masquerade-all") == 0
    printed = capsys.readouterr()
    assert printed.out == "n1 (nft): services: 2 addresses bound\n"
    assert printed.err == "warning: Service shop/web: spec.externalIPs: 192.0.2.1 is another's\n"
    ((settings, snapshot),) = served
    assert settings == ProxySettings(masquerade_all=True)
    assert snapshot.services.keys() == {("shop", "web")}
    assert all(memory.journal.operations == [] for memory in kernels.values())


def test_both_are_run_once_where_both_are_asked_for(
    kernels: dict[Variant, MemoryKernel],
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    served = served_once(monkeypatch)
    assert run(directory, "--run-service-proxy") == 0
    assert len(served) == 1
    assert capsys.readouterr().out.endswith("\nn1 (nft): services: 2 addresses bound\n")
    assert drift(kernels[Variant.NFT], directory) == ()


def settings_of_agent(monkeypatch: pytest.MonkeyPatch, *words: str) -> AgentSettings:
    """What the agent that stays is started with."""
    started: list[AgentSettings] = []

    def start(settings: AgentSettings) -> int:
        started.append(settings)
        return 7

    monkeypatch.setattr(command, "run_agent", start)
    parser = argparse.ArgumentParser(exit_on_error=False)
    command.add_arguments(parser)
    assert command.run(parser.parse_args(words)) == 7
    (settings,) = started
    return settings


def test_without_once_the_agent_stays_and_its_status_is_the_commands(
    kernels: dict[Variant, MemoryKernel], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of_agent(monkeypatch, "-f", str(directory), "--hostname-override=n1")
    assert settings == AgentSettings(NodeOptions("n1"), DirectorySource(directory))
    assert all(memory.journal.operations == [] for memory in kernels.values())


def test_flags_without_effect_are_said_in_one_line(
    kernels: dict[Variant, MemoryKernel],
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--bgp-port=179", "--enable-cni=false", "--bgp-port=180", "--ipvs-sync-period=5s", "--masquerade-all"]
    settings_of_agent(monkeypatch, "-f", str(directory), *words)
    assert capsys.readouterr().err == (
        "warning: without effect: --bgp-port, --enable-cni (the pod network is the CNI's); "
        "--ipvs-sync-period, --masquerade-all (no service proxy runs)\n"
    )


def test_cleanup_config_cleans_up_whatever_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[argparse.Namespace] = []

    def clean(arguments: argparse.Namespace) -> int:
        cleaned.append(arguments)
        return 0

    monkeypatch.setattr(cleanup, "run", clean)
    parser = argparse.ArgumentParser(exit_on_error=False)
    command.add_arguments(parser)
    assert command.run(parser.parse_args(["--cleanup-config", "--run-router"])) == 0
    assert len(cleaned) == 1


def test_the_flags_of_a_daemon_set_are_taken(kernels: dict[Variant, MemoryKernel], directory: Path) -> None:
    words = ["--run-firewall=true", "--run-router=false", "--run-service-proxy=false"]
    assert run(directory, *words, "--enable-ipv4", "--fail-open=false") == 0
    assert drift(kernels[Variant.NFT], directory) == ()
