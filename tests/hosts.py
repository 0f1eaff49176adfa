"""Hosts as the doctor finds them: one that has everything, and ways to take something from it."""

from __future__ import annotations

from netpol.doctor.diagnosis import SYSCTLS, tools_of
from netpol.doctor.host import Capability, Host, Trial, Trials
from netpol.model.networks import Family
from netpol.settings import Variant

EVERY_TOOL = frozenset(tool for variant in Variant for tool in tools_of(variant))
PAIRS = [(variant, family) for variant in Variant for family in Family]

GOOD_TRIALS = Trials(
    tables={pair: Trial("filter table", "a_table") for pair in PAIRS},
    rules={pair: (Trial("conntrack", "xt_conntrack"), Trial("set", "xt_set")) for pair in PAIRS},
    sets={family: (Trial("hash:ip", "ip_set_hash_ip"), Trial("list:set", "ip_set_list_set")) for family in Family},
    flow_reads={family: Trial("read by netlink", "nf_conntrack_netlink") for family in Family},
    log=Trial("nfnetlink_log", "nfnetlink_log"),
    links=(Trial("bridge", "bridge"), Trial("veth", "veth")),
    ipvs=Trial("ip_vs", "ip_vs"),
    schedulers=tuple(Trial(name, f"ip_vs_{name}") for name in ("rr", "lc", "sh", "dh", "mh")),
    dummy=Trial("dummy", "dummy"),
    proxy_rules={pair: (Trial("nat table", "iptable_nat"), Trial("ipvs", "xt_ipvs")) for pair in PAIRS},
    proxy_sets={family: (Trial("hash:ip,port,net", "ip_set_hash_ipportnet"),) for family in Family},
)

GOOD_HOST = Host(
    capabilities=frozenset(Capability),
    tools=EVERY_TOOL,
    variant=Variant.NFT,
    variant_trouble="",
    families=tuple(Family),
    sysctls=dict.fromkeys(SYSCTLS, "1") | {"net/netfilter/nf_conntrack_max": "1000"},
    bridges=(),
    other_firewalls=(),
    other_proxies=frozenset(),
    trials=GOOD_TRIALS,
)
