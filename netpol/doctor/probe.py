"""Finding out what a host has; nothing of the host is changed but kernel modules that get loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from netpol.dataplane.bridges import bridges_with_ports
from netpol.dataplane.iptables import tool_name
from netpol.dataplane.tool import run_tool
from netpol.dataplane.variant import detect
from netpol.doctor.diagnosis import SYSCTLS, tools_of
from netpol.doctor.host import Capability, Host, OtherProxy, Trials, without
from netpol.doctor.trial import try_kernel
from netpol.errors import NetpolError
from netpol.model.networks import Family
from netpol.settings import Variant

_KUBE_PROXY, _KUBE_ROUTER = "kube-proxy", "kube-router"
_SERVICES = re.compile(r"^:KUBE-SERVICES ", re.MULTILINE)
_ROUTERS = re.compile(r"^:KUBE-ROUTER-", re.MULTILINE)


def probe(root: Path = Path("/")) -> Host:
    """What was found on the host whose files lie below `root`."""
    capabilities = _capabilities(root)
    families = tuple(family for family in Family if (root / f"proc/sys/net/ipv{family.value}").is_dir())
    tools = frozenset(tool for variant in Variant for tool in tools_of(variant) if _starts(tool))
    trials, untried = _trials(capabilities, families, tools)
    variant, trouble = _variant(capabilities)
    return Host(
        capabilities=capabilities,
        tools=tools,
        variant=variant,
        variant_trouble=trouble,
        families=families,
        sysctls={key: _content(root / "proc/sys" / key) for key in SYSCTLS},
        bridges=bridges_with_ports(root / "sys/class/net"),
        other_firewalls=tuple(_other_firewalls(root)),
        other_proxies=frozenset(_other_proxies(root, tools)),
        trials=trials,
        untried=untried,
    )


def _capabilities(root: Path) -> frozenset[Capability]:
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", _content(root / "proc/self/status") or "", re.MULTILINE)
    effective = int(found[1], 16) if found else 0
    return frozenset(each for each in Capability if effective >> each.value & 1)


def _starts(tool: str) -> bool:
    try:
        return run_tool((tool, "--version")).status == 0
    except NetpolError:
        return False


def _variant(capabilities: frozenset[Capability]) -> tuple[Variant | None, str]:
    """The variant in use, or why none is known: to see the rules takes what to change them takes."""
    if Capability.NET_ADMIN not in capabilities:
        return None, without([Capability.NET_ADMIN])
    try:
        return detect(), ""
    except NetpolError as trouble:
        return None, str(trouble)


def _trials(
    capabilities: frozenset[Capability], families: tuple[Family, ...], tools: frozenset[str]
) -> tuple[Trials | None, str]:
    if missing := set(Capability) - capabilities:
        return None, without(missing)
    try:
        return try_kernel(families, [each for each in Variant if tools.issuperset(tools_of(each))]), ""
    except NetpolError as refused:
        return None, str(refused)
    except OSError as refused:
        return None, refused.strerror or str(refused)


def _other_firewalls(root: Path) -> Iterable[str]:
    if any(_content(comm) == "firewalld" for comm in root.glob("proc/[0-9]*/comm")):
        yield "firewalld"
    if re.search(r"^ENABLED=yes$", _content(root / "etc/ufw/ufw.conf") or "", re.MULTILINE):
        yield "ufw"


def _other_proxies(root: Path, tools: frozenset[str]) -> Iterable[OtherProxy]:
    running = {_content(comm) for comm in root.glob("proc/[0-9]*/comm")}
    for name, found in ((_KUBE_PROXY, OtherProxy.KUBE_PROXY), (_KUBE_ROUTER, OtherProxy.KUBE_ROUTER)):
        if name in running:
            yield found
    if (root / "sys/class/net/kube-ipvs0").exists():
        yield OtherProxy.KUBE_PROXY_LINK
    saved = "".join(_saved(tool_name(variant, family, "save"), tools) for variant in Variant for family in Family)
    for pattern, found in ((_SERVICES, OtherProxy.KUBE_PROXY_CHAINS), (_ROUTERS, OtherProxy.KUBE_ROUTER_CHAINS)):
        if pattern.search(saved):
            yield found


def _saved(tool: str, tools: frozenset[str]) -> str:
    """All that the tool prints; nothing where it is not installed, or not allowed to look."""
    return run_tool((tool,)).output if tool in tools else ""


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
