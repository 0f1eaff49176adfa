"""What a host's findings mean: every check, with its mend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netpol.dataplane.bridges import BRIDGE_CALLS
from netpol.doctor.checks import BOTH_FIREWALLS, FIREWALL, THROUGH, Check, Function, State
from netpol.doctor.host import Capability, Host, OtherProxy, Trial, Trials, without
from netpol.model.networks import Family
from netpol.settings import Variant
from proxy.model import DEFAULT_SCHEDULER

USUAL_SCHEDULERS = ("rr", "lc", "sh", "dh")
"""Round robin is every service's first scheduler; the others are what annotations mostly ask for."""

CONNTRACK_FULL_ENOUGH = 0.9
"""Beyond this part of nf_conntrack_max the kernel is about to drop new connections, allowed or not."""

_PRIVILEGES = {
    Capability.NET_ADMIN: "nobody else sees or changes rules, sets and connections",
    Capability.NET_RAW: "iptables does not find sets, and its legacy variant no tables",
}
"""What the firewall itself needs, and what is so without it."""

_FORWARDING = {Family.IPV4: "net/ipv4/ip_forward", Family.IPV6: "net/ipv6/conf/all/forwarding"}
_COUNT, _MAX, _LOOSE = (f"net/netfilter/nf_conntrack_{name}" for name in ("count", "max", "tcp_loose"))

SYSCTLS = (*_FORWARDING.values(), *BRIDGE_CALLS.values(), _COUNT, _MAX, _LOOSE)
"""The sysctls that are judged here, as named below /proc/sys."""


def tools_of(variant: Variant) -> tuple[str, ...]:
    """The tools that one variant of iptables is written and read with."""
    return tuple(
        f"{family}-{variant.value}-{action}" for family in ("iptables", "ip6tables") for action in ("restore", "save")
    )


def diagnose(host: Host) -> tuple[Check, ...]:
    """Every check of the host, in the order a person should mend things."""
    return (
        *_privileges(host),
        *_variants(host),
        *_families(host),
        *_conntrack_settings(host),
        *_other_firewalls(host),
        *_others(host),
        *_other_proxies(host),
    )


def _privileges(host: Host) -> Iterator[Check]:
    needs_them = (*BOTH_FIREWALLS, Function.AUDIT_LOG, Function.DEMO, Function.SERVICE_PROXY)
    if all(each in host.capabilities for each in _PRIVILEGES):
        yield Check("privileges", needs_them, State.OK, ", ".join(map(str, _PRIVILEGES)))
    for each, consequence in _PRIVILEGES.items():
        if each not in host.capabilities:
            found = f"{without([each])}: {consequence}"
            mend = f"run it as root; in a container, add the capability {each.name}, and hostNetwork"
            yield Check("privileges", needs_them, State.MISSING, found, mend)
    namespaces = (Function.DEMO,)
    if Capability.SYS_ADMIN not in host.capabilities:
        found = f"{without([Capability.SYS_ADMIN])}: none can be made, for the demo or to try things in"
        mend = "run it as root; in a container, privileged; the firewall itself does not need it"
        yield Check("network namespaces", namespaces, State.MISSING, found, mend)
    elif host.trials is None:
        mend = "a kernel with CONFIG_NET_NS, and a host or container that may use it"
        yield Check("network namespaces", namespaces, State.MISSING, host.untried, mend)
    else:
        yield Check("network namespaces", namespaces, State.OK, "one was made")


def _variants(host: Host) -> Iterator[Check]:
    needs_one = (*BOTH_FIREWALLS, Function.DEMO, Function.SERVICE_PROXY)
    if host.variant is not None:
        found = f"this host's rules go through iptables-{host.variant.value}"
        yield Check("variant", needs_one, State.OK, found)
    elif Capability.NET_ADMIN not in host.capabilities:
        yield Check("variant", needs_one, State.UNKNOWN, f"not looked for: {host.variant_trouble}")
    else:
        yield Check("variant", needs_one, State.MISSING, host.variant_trouble, "apt-get install iptables")
    for variant in Variant:
        tools = tools_of(variant)
        absent = [tool for tool in tools if tool not in host.tools]
        serves = _serves(host, variant)
        if absent:
            found, mend = f"not installed: {', '.join(absent)}", "apt-get install iptables"
            yield Check(f"{variant.value} tools", serves, State.MISSING, found, mend)
            continue
        yield Check(f"{variant.value} tools", serves, State.OK, ", ".join(tools))
        for family in host.families:
            yield from _rules(host, variant, family)


def _serves(host: Host, variant: Variant, families: Sequence[Family] = tuple(Family)) -> tuple[Function, ...]:
    """The firewall, and with it the demo, needs the variant that the host uses, and only that; so does the proxy."""
    both = Function.DEMO, Function.SERVICE_PROXY
    users = (*(FIREWALL[family] for family in families), *both) if variant is host.variant else ()
    return (THROUGH[variant], *users)


def _rules(host: Host, variant: Variant, family: Family) -> Iterator[Check]:
    name, serves = f"{variant.value} IPv{family.value} rules", _serves(host, variant, (family,))
    if host.trials is None:
        yield _untried(host, name, serves)
        return
    table = host.trials.tables[variant, family]
    if table.refusal is not None:
        yield Check(name, serves, State.MISSING, table.refusal, _module_mend(table.module))
        return
    yield from _trials(name, serves, host.trials.rules[variant, family])


def _families(host: Host) -> Iterator[Check]:
    for family in Family:
        serves = (FIREWALL[family], Function.DEMO, Function.SERVICE_PROXY)
        if family not in host.families:
            yield _no_family(family)
            continue
        sets, flows = f"IPv{family.value} sets", f"IPv{family.value} connection table"
        if host.trials is None:
            yield _untried(host, sets, serves)
            yield _untried(host, flows, serves)
        else:
            yield from _trials(sets, serves, host.trials.sets[family])
            yield from _trials(flows, serves, (host.trials.flow_reads[family],))
        yield from _forwarding(host, family)
        yield from _bridge_calls(host, family)


def _no_family(family: Family) -> Check:
    """A node may do without IPv6; what has no IPv4 is no node, or a container that does not show /proc."""
    serves = (FIREWALL[family], Function.DEMO, Function.SERVICE_PROXY)
    if family is Family.IPV4:
        return Check("IPv4", serves, State.MISSING, "no /proc/sys/net/ipv4", "mount /proc, or use another kernel")
    found, mend = "this kernel has no IPv6", "nothing, where no pod has IPv6: give netpol run --enable-ipv6=false"
    return Check("IPv6", serves, State.WARNING, found, mend)


def _forwarding(host: Host, family: Family) -> Iterator[Check]:
    name, serves = _dotted(_FORWARDING[family]), (FIREWALL[family], Function.SERVICE_PROXY)
    if host.sysctls[_FORWARDING[family]] == "1":
        yield Check(name, serves, State.OK, "1")
    else:
        found = f"{_shown(host, _FORWARDING[family])}: this host forwards no packet between pods"
        yield Check(name, serves, State.WARNING, found, f"sysctl -w {name}=1 (the CNI plugin mostly does)")


def _bridge_calls(host: Host, family: Family) -> Iterator[Check]:
    """Packets between two pods of one bridge meet no rule at all unless this is on, nor answers IPVS."""
    key = BRIDGE_CALLS[family]
    name, serves, value = _dotted(key), (FIREWALL[family], Function.SERVICE_PROXY), host.sysctls[key]
    if value == "1":
        yield Check(name, serves, State.OK, "1")
    elif host.bridges:
        found = f"{_shown(host, key)}: packets between pods on the bridge {' or '.join(host.bridges)} meet no rule"
        load = "modprobe br_netfilter, then " if value is None else ""
        yield Check(name, serves, State.WARNING, found, f"{load}sysctl -w {name}=1")
    else:
        yield Check(name, serves, State.OK, f"{_shown(host, key)}; no bridge with ports is here to need it")


def _conntrack_settings(host: Host) -> Iterator[Check]:
    name = "conntrack table size"
    count, limit = host.sysctls[_COUNT], host.sysctls[_MAX]
    if count is None or limit is None:
        yield Check(name, BOTH_FIREWALLS, State.OK, "not counted: conntrack is loaded with the first rule")
    elif int(count) > CONNTRACK_FULL_ENOUGH * int(limit):
        found = f"{count} of {limit} connections: when full, the kernel refuses new ones"
        mend = f"sysctl -w {_dotted(_MAX)}={2 * int(limit)}"
        yield Check(name, BOTH_FIREWALLS, State.WARNING, found, mend)
    else:
        yield Check(name, BOTH_FIREWALLS, State.OK, f"{count} of {limit} connections")
    loose = host.sysctls[_LOOSE]
    if loose is not None:
        found = f"{loose}: either will do, rules of ours refuse what would pick up a cut connection"
        yield Check(_dotted(_LOOSE), BOTH_FIREWALLS, State.OK, found)


def _other_firewalls(host: Host) -> Iterator[Check]:
    for name in host.other_firewalls:
        found = f"{name} is active: a reload of it may put its rules before these, or remove them"
        yield Check(
            "other firewalls", BOTH_FIREWALLS, State.WARNING, found, f"run netpol again after a reload of {name}"
        )


def _others(host: Host) -> Iterator[Check]:
    trials = host.trials
    if trials is None:
        yield _untried(host, "NFLOG", (Function.AUDIT_LOG,))
        yield _untried(host, "links", (Function.DEMO,))
        yield _untried(host, "IPVS", (Function.SERVICE_PROXY,))
        return
    yield from _trials("NFLOG", (Function.AUDIT_LOG,), (trials.log,))
    yield from _trials("links", (Function.DEMO,), trials.links)
    yield from _proxy(host, trials)


def _proxy(host: Host, trials: Trials) -> Iterator[Check]:
    serves = (Function.SERVICE_PROXY,)
    yield from _trials("IPVS", serves, (trials.ipvs,))
    if trials.ipvs.refusal is None:
        yield _schedulers(trials.schedulers)
    else:
        yield Check("schedulers", serves, State.UNKNOWN, "not tried: they are parts of IPVS")
    yield from _trials("dummy links", serves, (trials.dummy,))
    for family in host.families:
        if host.variant is not None and (host.variant, family) in trials.proxy_rules:
            yield from _trials(f"IPv{family.value} rules beside", serves, trials.proxy_rules[host.variant, family])
        yield from _trials(f"IPv{family.value} sets beside", serves, trials.proxy_sets[family])


def _schedulers(trials: Sequence[Trial]) -> Check:
    """A service that asks for one that is not there gets round robin, which is needed for that."""
    serves = (Function.SERVICE_PROXY,)
    absent = [trial for trial in trials if trial.refusal is not None]
    there = f"available: {', '.join(trial.name for trial in trials if trial.refusal is None)}"
    missed = [trial for trial in absent if trial.name in USUAL_SCHEDULERS]
    if not missed:
        lacking = f"; not: {', '.join(trial.name for trial in absent)}" if absent else ""
        return Check("schedulers", serves, State.OK, f"{there}{lacking}")
    state = State.MISSING if any(trial.name == DEFAULT_SCHEDULER for trial in missed) else State.WARNING
    mend = f"modprobe {' '.join(trial.module for trial in missed)}, or a kernel that has them"
    return Check("schedulers", serves, state, f"not available: {', '.join(trial.name for trial in missed)}", mend)


def _other_proxies(host: Host) -> Iterator[Check]:
    for each in OtherProxy:
        if each in host.other_proxies:
            consequence, mend = _OTHER_PROXIES[each]
            found = f"{each.value}: {consequence}"
            yield Check("other service proxies", (Function.SERVICE_PROXY,), State.WARNING, found, mend)


_STOP_KUBE_PROXY = "stop kube-proxy on this node, then there: kube-proxy --cleanup"
_STOP_KUBE_ROUTER = "stop kube-router on this node, then there: kube-router --cleanup-config"
_TRANSLATED = "it translates packets to services before IPVS sees them"
_OTHER_PROXIES = {
    OtherProxy.KUBE_PROXY: (_TRANSLATED, _STOP_KUBE_PROXY),
    OtherProxy.KUBE_PROXY_LINK: ("virtual servers that it has made go on serving", _STOP_KUBE_PROXY),
    OtherProxy.KUBE_PROXY_CHAINS: (_TRANSLATED, _STOP_KUBE_PROXY),
    OtherProxy.KUBE_ROUTER: ("it writes the same virtual servers, unless it has no service proxy", _STOP_KUBE_ROUTER),
    OtherProxy.KUBE_ROUTER_CHAINS: ("its rules judge packets to services as well", _STOP_KUBE_ROUTER),
}
"""What it means, and what mends it."""


def _trials(name: str, serves: tuple[Function, ...], trials: Sequence[Trial]) -> Iterator[Check]:
    """One check for all that worked, and one for each that did not."""
    worked = [trial.name for trial in trials if trial.refusal is None]
    if worked:
        yield Check(name, serves, State.OK, ", ".join(worked))
    for trial in trials:
        if trial.refusal is not None:
            found = f"{trial.name}: {trial.refusal}"
            yield Check(name, serves, State.MISSING, found, _module_mend(trial.module))


def _untried(host: Host, name: str, serves: tuple[Function, ...]) -> Check:
    return Check(name, serves, State.UNKNOWN, f"not tried: {host.untried}")


def _module_mend(module: str) -> str:
    return f"modprobe {module}, or a kernel that has it" if module else "another kernel"


def _dotted(key: str) -> str:
    return key.replace("/", ".")


def _shown(host: Host, key: str) -> str:
    value = host.sysctls[key]
    return "absent" if value is None else value
