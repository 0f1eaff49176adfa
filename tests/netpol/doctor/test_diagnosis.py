from dataclasses import replace

import pytest
from hosts import EVERY_TOOL, GOOD_HOST, GOOD_TRIALS, PAIRS

from netpol.doctor.checks import FIREWALL, Check, Function, State, firewall_can_run, state_of
from netpol.doctor.diagnosis import diagnose, tools_of
from netpol.doctor.host import Capability, Host, OtherProxy, Trial
from netpol.model.networks import Family
from netpol.settings import Variant

NFT4 = (Variant.NFT, Family.IPV4)
IPV4, IPV6 = ({firewall, Function.DEMO, Function.SERVICE_PROXY} for firewall in FIREWALL.values())
"""What does not work where something of the family is lacking."""


def named(host: Host, name: str, state: State) -> Check:
    found = [check for check in diagnose(host) if check.name == name and check.state is state]
    assert len(found) == 1, found
    return found[0]


def lacking(host: Host) -> set[Function]:
    return {function for function in Function if state_of(function, diagnose(host)).stops}


def with_sysctl(host: Host, key: str, value: str | None) -> Host:
    assert key in host.sysctls
    return replace(host, sysctls=dict(host.sysctls) | {key: value})


def test_a_host_that_has_everything_is_fine() -> None:
    checks = diagnose(GOOD_HOST)
    assert {check.state for check in checks} == {State.OK}
    assert firewall_can_run(checks)
    assert {function for check in checks for function in check.functions} == set(Function)


def test_whatever_is_not_fine_comes_with_a_mend() -> None:
    nothing = replace(
        GOOD_HOST,
        capabilities=frozenset(),
        tools=frozenset(),
        variant=None,
        variant_trouble="no iptables",
        families=(Family.IPV4,),
        sysctls=dict.fromkeys(GOOD_HOST.sysctls),
        bridges=("cni0",),
        other_firewalls=("ufw",),
        other_proxies=frozenset(OtherProxy),
        trials=None,
        untried="no CAP_NET_ADMIN",
    )
    checks = diagnose(nothing)
    assert all(check.mend for check in checks if check.state in (State.MISSING, State.WARNING))
    assert any(check.mend for check in checks)
    assert all(check.found for check in checks)
    assert lacking(nothing) == set(Function)


NO_RIGHTS = replace(
    GOOD_HOST,
    capabilities=frozenset(),
    variant=None,
    variant_trouble="no CAP_NET_ADMIN",
    trials=None,
    untried="no CAP_NET_ADMIN, no CAP_NET_RAW, no CAP_SYS_ADMIN",
)


def test_without_rights_nothing_can_be_said_of_the_kernel() -> None:
    assert "not tried: no CAP_NET_ADMIN, no CAP_NET_RAW" in named(NO_RIGHTS, "IPv6 sets", State.UNKNOWN).found
    assert named(NO_RIGHTS, "variant", State.UNKNOWN).found == "not looked for: no CAP_NET_ADMIN"
    assert lacking(NO_RIGHTS) == set(Function)
    assert not firewall_can_run(diagnose(NO_RIGHTS))


@pytest.mark.parametrize("missing", [Capability.NET_ADMIN, Capability.NET_RAW])
def test_each_privilege_that_is_missing_is_named_with_what_it_is_for(missing: Capability) -> None:
    host = replace(GOOD_HOST, capabilities=frozenset(Capability) - {missing})
    check = named(host, "privileges", State.MISSING)
    assert check.found.startswith(f"no CAP_{missing.name}: ")
    assert missing.name in check.mend
    assert set(FIREWALL.values()) < set(check.functions)
    assert not firewall_can_run(diagnose(host))


def test_without_namespaces_only_the_demo_is_known_to_be_out() -> None:
    host = replace(GOOD_HOST, trials=None, untried="cannot make a network namespace")
    assert named(host, "network namespaces", State.MISSING).functions == (Function.DEMO,)
    assert state_of(Function.FIREWALL_IPV4, diagnose(host)) is State.UNKNOWN


def test_a_container_with_the_rights_of_the_agent_lacks_only_namespaces() -> None:
    rights = frozenset({Capability.NET_ADMIN, Capability.NET_RAW})
    host = replace(GOOD_HOST, capabilities=rights, trials=None, untried="no CAP_SYS_ADMIN")
    assert named(host, "privileges", State.OK).found == "CAP_NET_ADMIN, CAP_NET_RAW"
    check = named(host, "network namespaces", State.MISSING)
    assert check.found.startswith("no CAP_SYS_ADMIN: none can be made")
    assert check.functions == (Function.DEMO,)
    assert named(host, "IPv4 sets", State.UNKNOWN).found == "not tried: no CAP_SYS_ADMIN"


def test_the_tools_of_the_other_variant_are_not_needed() -> None:
    host = replace(GOOD_HOST, tools=EVERY_TOOL - {"ip6tables-legacy-save"})
    check = named(host, "legacy tools", State.MISSING)
    assert "ip6tables-legacy-save" in check.found
    assert "iptables-legacy-restore" not in check.found
    assert check.mend == "apt-get install iptables"
    assert lacking(host) == {Function.LEGACY}


def test_the_tools_of_the_variant_in_use_are_needed() -> None:
    host = replace(GOOD_HOST, tools=EVERY_TOOL - {"iptables-nft-restore"})
    assert lacking(host) == {Function.NFT, *IPV4, *IPV6}


def test_a_host_without_iptables_is_told_so() -> None:
    host = replace(GOOD_HOST, tools=frozenset(), variant=None, variant_trouble="iptables is not installed")
    assert named(host, "variant", State.MISSING).found == "iptables is not installed"
    assert lacking(host) == set(Function) - {Function.AUDIT_LOG}


@pytest.mark.parametrize("variant", Variant)
def test_every_tool_is_named_for_its_variant(variant: Variant) -> None:
    assert len(tools_of(variant)) == 4
    assert all(f"tables-{variant.value}-" in tool for tool in tools_of(variant))


def test_a_match_that_does_not_load_stops_its_family_alone() -> None:
    refused = (Trial("conntrack", "xt_conntrack"), Trial("set", "xt_set", "No such file or directory"))
    host = replace(GOOD_HOST, trials=replace(GOOD_TRIALS, rules=dict(GOOD_TRIALS.rules) | {NFT4: refused}))
    check = named(host, "nft IPv4 rules", State.MISSING)
    assert check.found == "set: No such file or directory"
    assert "modprobe xt_set" in check.mend
    assert named(host, "nft IPv4 rules", State.OK).found == "conntrack"
    assert lacking(host) == {Function.NFT, *IPV4}


def test_a_table_the_kernel_lacks_is_said_once_and_not_for_every_rule() -> None:
    tables = {pair: Trial("filter table", "iptable_filter", "no table") for pair in PAIRS if pair[0] is Variant.LEGACY}
    rules = {pair: trials for pair, trials in GOOD_TRIALS.rules.items() if pair[0] is Variant.NFT}
    trials = replace(GOOD_TRIALS, tables=dict(GOOD_TRIALS.tables) | tables, rules=rules)
    host = replace(GOOD_HOST, trials=trials)
    assert named(host, "legacy IPv4 rules", State.MISSING).mend.startswith("modprobe iptable_filter")
    assert lacking(host) == {Function.LEGACY}


def test_a_set_that_cannot_be_made_stops_its_family() -> None:
    refused = (Trial("hash:ip", "ip_set_hash_ip", "no ip_set"),)
    host = replace(GOOD_HOST, trials=replace(GOOD_TRIALS, sets=dict(GOOD_TRIALS.sets) | {Family.IPV6: refused}))
    assert lacking(host) == IPV6


def test_a_connection_table_that_cannot_be_read_stops_its_family() -> None:
    reads = {family: Trial("read by netlink", "nf_conntrack_netlink", "EINVAL") for family in Family}
    host = replace(GOOD_HOST, trials=replace(GOOD_TRIALS, flow_reads=reads))
    assert lacking(host) == IPV4 | IPV6


def test_a_kernel_without_ipv6_runs_the_firewall_for_ipv4() -> None:
    host = replace(GOOD_HOST, families=(Family.IPV4,))
    assert "--enable-ipv6=false" in named(host, "IPv6", State.WARNING).mend
    assert firewall_can_run(diagnose(host))
    assert not any("IPv6" in check.name for check in diagnose(host) if check.state is State.OK)


def test_what_shows_no_ipv4_cannot_run_the_firewall() -> None:
    host = replace(GOOD_HOST, families=())
    assert "mount /proc" in named(host, "IPv4", State.MISSING).mend
    assert Function.FIREWALL_IPV4 in lacking(host)


@pytest.mark.parametrize("value", ["0", None])
def test_a_host_that_does_not_forward_is_warned(value: str | None) -> None:
    check = named(with_sysctl(GOOD_HOST, "net/ipv4/ip_forward", value), "net.ipv4.ip_forward", State.WARNING)
    assert "net.ipv4.ip_forward=1" in check.mend


def test_a_bridge_whose_packets_meet_no_rule_is_a_warning() -> None:
    off = with_sysctl(replace(GOOD_HOST, bridges=("cni0", "docker0")), "net/bridge/bridge-nf-call-iptables", "0")
    check = named(off, "net.bridge.bridge-nf-call-iptables", State.WARNING)
    assert "cni0 or docker0" in check.found
    assert check.mend == "sysctl -w net.bridge.bridge-nf-call-iptables=1"


def test_a_bridge_without_br_netfilter_needs_the_module_first() -> None:
    absent = with_sysctl(replace(GOOD_HOST, bridges=("cni0",)), "net/bridge/bridge-nf-call-ip6tables", None)
    check = named(absent, "net.bridge.bridge-nf-call-ip6tables", State.WARNING)
    assert check.found.startswith("absent")
    assert check.mend.startswith("modprobe br_netfilter")


def test_without_a_bridge_its_sysctls_do_not_matter() -> None:
    absent = with_sysctl(GOOD_HOST, "net/bridge/bridge-nf-call-iptables", None)
    assert named(absent, "net.bridge.bridge-nf-call-iptables", State.OK).found.startswith("absent")


def test_a_connection_table_that_is_nearly_full_is_a_warning() -> None:
    full = with_sysctl(GOOD_HOST, "net/netfilter/nf_conntrack_count", "950")
    assert named(full, "conntrack table size", State.WARNING).mend.endswith("nf_conntrack_max=2000")


def test_a_host_without_conntrack_has_nothing_to_count() -> None:
    host = replace(GOOD_HOST, sysctls={key: None if "conntrack" in key else "1" for key in GOOD_HOST.sysctls})
    assert "not counted" in named(host, "conntrack table size", State.OK).found
    assert not any("tcp_loose" in check.name for check in diagnose(host))


def test_another_firewall_is_a_warning() -> None:
    host = replace(GOOD_HOST, other_firewalls=("firewalld",))
    assert "reload of firewalld" in named(host, "other firewalls", State.WARNING).mend
    assert firewall_can_run(diagnose(host))


def test_what_the_audit_log_the_demo_and_the_proxy_lack_does_not_stop_the_firewall() -> None:
    trials = replace(
        GOOD_TRIALS,
        log=Trial("nfnetlink_log", "nfnetlink_log", "not offered"),
        links=(Trial("bridge", "bridge", "Operation not supported"), Trial("veth", "veth")),
        ipvs=Trial("ip_vs", "ip_vs", "No such file or directory"),
    )
    host = replace(GOOD_HOST, trials=trials)
    assert lacking(host) == {Function.AUDIT_LOG, Function.DEMO, Function.SERVICE_PROXY}
    assert named(host, "schedulers", State.UNKNOWN).found == "not tried: they are parts of IPVS"


def without_schedulers(*names: str) -> Host:
    """A host whose kernel does not have these."""
    tried = (replace(each, refusal="not there" if each.name in names else None) for each in GOOD_TRIALS.schedulers)
    return replace(GOOD_HOST, trials=replace(GOOD_TRIALS, schedulers=tuple(tried)))


def test_a_usual_scheduler_that_is_not_there_is_a_warning_and_round_robin_is_needed() -> None:
    host = without_schedulers("lc", "mh")
    check = named(host, "schedulers", State.WARNING)
    assert (check.found, check.functions) == ("not available: lc", (Function.SERVICE_PROXY,))
    assert check.mend.startswith("modprobe ip_vs_lc, or")
    assert lacking(host) == set()
    assert lacking(without_schedulers("rr")) == {Function.SERVICE_PROXY}


def test_an_unusual_scheduler_that_is_not_there_is_only_said() -> None:
    check = named(without_schedulers("mh"), "schedulers", State.OK)
    assert check.found == "available: rr, lc, sh, dh; not: mh"


def test_what_only_the_proxys_rules_and_sets_need_stops_nothing_else() -> None:
    refused = (Trial("nat table", "iptable_nat"), Trial("ipvs", "xt_ipvs", "no chain/target/match by that name"))
    rules = replace(GOOD_TRIALS, proxy_rules=dict(GOOD_TRIALS.proxy_rules) | {NFT4: refused})
    host = replace(GOOD_HOST, trials=rules)
    assert lacking(host) == {Function.SERVICE_PROXY}
    assert named(host, "IPv4 rules beside", State.MISSING).mend.startswith("modprobe xt_ipvs")
    sets = (Trial("hash:ip,port,net", "ip_set_hash_ipportnet", "the kernel lacks this type of set"),)
    host = replace(
        GOOD_HOST, trials=replace(GOOD_TRIALS, proxy_sets=dict(GOOD_TRIALS.proxy_sets) | {Family.IPV6: sets})
    )
    assert lacking(host) == {Function.SERVICE_PROXY}
    assert firewall_can_run(diagnose(host))


def test_the_variant_that_the_host_does_not_use_may_lack_what_the_proxy_needs() -> None:
    refused = (Trial("nat table", "iptable_nat", "no table"),)
    legacy = {pair: refused for pair in PAIRS if pair[0] is Variant.LEGACY}
    trials = replace(GOOD_TRIALS, proxy_rules=dict(GOOD_TRIALS.proxy_rules) | legacy)
    assert lacking(replace(GOOD_HOST, trials=trials)) == set()


@pytest.mark.parametrize("other", OtherProxy)
def test_another_service_proxy_is_a_warning_for_ours_alone(other: OtherProxy) -> None:
    host = replace(GOOD_HOST, other_proxies=frozenset({other}))
    check = named(host, "other service proxies", State.WARNING)
    assert check.found.startswith(other.value)
    assert check.functions == (Function.SERVICE_PROXY,)
    cleanup = "kube-router --cleanup-config" if "kube-router" in other.value else "kube-proxy --cleanup"
    assert check.mend.endswith(cleanup)
    assert state_of(Function.SERVICE_PROXY, diagnose(host)) is State.WARNING
    assert state_of(Function.FIREWALL_IPV4, diagnose(host)) is State.OK
