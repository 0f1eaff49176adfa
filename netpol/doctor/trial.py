"""Every rule, set and link that netpol makes, tried for real in a network namespace that is gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from netpol.compiler.ruleset import IpSet, Rule, TableName
from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.render import render_rule
from netpol.doctor.features import CHAIN, OTHER_CHAIN, TABLE_MODULES, SetFeature, rule_features, set_features
from netpol.doctor.host import Trial, Trials
from netpol.doctor.proxy_features import SCHEDULERS, module_of, proxy_set_features, table_features
from netpol.errors import NetpolError
from netpol.lab.links import Links
from netpol.lab.namespace import Namespace
from netpol.model.networks import Family
from netpol.settings import Variant
from proxy.kernel.ipvs import NetlinkServers
from proxy.kernel.links import DummyLink

_LOGGERS = Path("/proc/thread-self/net/netfilter/nfnetlink_log")
_IPVS = Path("/proc/thread-self/net/ip_vs")


def try_kernel(families: Sequence[Family], variants: Sequence[Variant]) -> Trials:
    """What works of all that netpol does to a kernel; LabError where no namespace can be made to try it in.

    `variants` are those whose tools are installed.
    """
    with Namespace("the doctor's trial") as namespace, Namespace("the doctor's other end") as peer:
        links = _links(namespace, peer)
        with namespace.entered():
            sets = {family: _sets(set_features(family)) for family in families}
            tables = {
                (variant, family): _table(variant, family, TABLE_MODULES[variant, family])
                for variant in variants
                for family in families
            }
            return Trials(
                tables=tables,
                rules={key: _rules(*key) for key, trial in tables.items() if trial.refusal is None},
                sets=sets,
                flow_reads={family: _flow_read(family) for family in families},
                log=_log(tables),
                links=links,
                ipvs=(ipvs := _ipvs()),
                schedulers=() if ipvs.refusal else _schedulers(),
                dummy=_attempt("dummy", "dummy", _make_dummy),
                proxy_rules={(variant, family): _proxy_rules(variant, family) for variant, family in tables},
                proxy_sets={family: _sets(proxy_set_features(family)) for family in families},
            )


def _attempt(name: str, module: str, action: Callable[[], object]) -> Trial:
    try:
        action()
    except NetpolError as refused:
        return Trial(name, module, str(refused).partition("\n")[0])
    except OSError as refused:
        return Trial(name, module, refused.strerror or str(refused))
    return Trial(name, module)


def _table(variant: Variant, family: Family, module: str) -> Trial:
    """A rule that only drops; it leaves both chains behind for the others."""
    lines = (f":{CHAIN} - [0:0]", f":{OTHER_CHAIN} - [0:0]", f"-A {CHAIN} -j DROP")
    return _attempt("filter table", module, lambda: IptablesTables(variant).write(family, lines))


def _rules(variant: Variant, family: Family) -> tuple[Trial, ...]:
    """Each feature's rule alone in the chain, so that a refusal is about that feature."""
    tables = IptablesTables(variant)

    def load(rule: Rule) -> None:
        tables.write(family, (f":{CHAIN} - [0:0]", f"-A {CHAIN} {render_rule(rule, family)}"))

    return tuple(_attempt(each.name, each.module, partial(load, each.rule)) for each in rule_features(family))


def _proxy_rules(variant: Variant, family: Family) -> tuple[Trial, ...]:
    """The tables that only the service proxy writes, and each rule of a kind that only it has."""

    def load(table: TableName, *lines: str) -> None:
        IptablesTables(variant, table=table).write(family, (f":{CHAIN} - [0:0]", *lines))

    tables = tuple(
        _attempt(f"{table.value} table", module_of(table, variant, family), partial(load, table))
        for table in (TableName.NAT, TableName.MANGLE)
    )
    rules = (
        _attempt(
            each.feature.name,
            each.feature.module,
            partial(load, each.table, f"-A {CHAIN} {render_rule(each.feature.rule, family)}"),
        )
        for each in table_features(family)
    )
    return (*tables, *rules)


def _sets(features: Iterable[SetFeature]) -> tuple[Trial, ...]:
    try:
        with NetlinkSets() as sets:
            return tuple(_attempt(each.name, each.module, partial(_make_set, sets, each.set)) for each in features)
    except NetpolError as refused:
        return (Trial("ipset", "ip_set", str(refused)),)


def _make_set(sets: NetlinkSets, wanted: IpSet) -> None:
    sets.create((wanted,))
    sets.add(wanted, wanted.members)


def _flow_read(family: Family) -> Trial:
    def read() -> None:
        with NetlinkFlows() as flows:
            flows.read(family)

    return _attempt("read by netlink", "nf_conntrack_netlink", read)


def _log(tables: Mapping[tuple[Variant, Family], Trial]) -> Trial:
    """A rule that logs has the kernel load its side of NFLOG, which then shows in /proc."""
    if not tables:
        return Trial("nfnetlink_log", "nfnetlink_log", "no rule could be loaded that logs")
    return Trial("nfnetlink_log", "nfnetlink_log", None if _LOGGERS.exists() else "the kernel does not offer it")


def _links(namespace: Namespace, peer: Namespace) -> tuple[Trial, ...]:
    with Links(namespace) as links:
        return (
            _attempt("bridge", "bridge", lambda: links.bridge("trial-bridge")),
            _attempt("veth", "veth", lambda: links.veth("trial-veth", peer, "trial-veth")),
        )


def _make_dummy() -> None:
    with DummyLink("trial-dummy") as link:
        link.ensure()


def _ipvs() -> Trial:
    """Asking for IPVS's netlink family has the kernel load the module where it has one."""

    def ask() -> None:
        NetlinkServers().close()

    return Trial("ip_vs", "ip_vs") if _IPVS.exists() else _attempt("ip_vs", "ip_vs", ask)


def _schedulers() -> tuple[Trial, ...]:
    """Each tried: the kernel loads its module where it has one."""
    with NetlinkServers() as servers:
        return tuple(
            Trial(name, f"ip_vs_{name}", None if servers.offers(name) else "the kernel does not have it")
            for name in SCHEDULERS
        )
