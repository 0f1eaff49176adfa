import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hosts import GOOD_HOST, GOOD_TRIALS

from netpol.command import doctor
from netpol.command.doctor import firewall_verdict, proxy_verdict, report_json, report_text
from netpol.command.look import Look
from netpol.doctor.checks import Check, Function, State
from netpol.doctor.diagnosis import diagnose
from netpol.doctor.host import Host, OtherProxy, Trial
from netpol.model.networks import Family

NO_IPVS = replace(GOOD_HOST, trials=replace(GOOD_TRIALS, ipvs=Trial("ip_vs", "ip_vs", "No such file or directory")))
NO_SETS6 = replace(
    GOOD_HOST,
    trials=replace(GOOD_TRIALS, sets=dict(GOOD_TRIALS.sets) | {Family.IPV6: (Trial("hash:ip", "ip_set", "refused"),)}),
)
NO_RIGHTS = replace(GOOD_HOST, capabilities=frozenset(), trials=None, untried="no CAP_NET_ADMIN")
WARNED = replace(GOOD_HOST, other_firewalls=("ufw",))


def run(monkeypatch: pytest.MonkeyPatch, host: Host, *flags: str) -> int:
    monkeypatch.setattr(doctor, "probe", lambda: host)
    parser = argparse.ArgumentParser()
    doctor.add_arguments(parser)
    return doctor.run(parser.parse_args(flags))


@pytest.mark.parametrize(("host", "status"), [(GOOD_HOST, 0), (NO_IPVS, 0), (WARNED, 0), (NO_SETS6, 1), (NO_RIGHTS, 1)])
@pytest.mark.parametrize("flags", [(), ("-o", "json")])
def test_the_status_says_whether_the_firewall_can_run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    host: Host,
    status: int,
    flags: tuple[str, ...],
) -> None:
    assert run(monkeypatch, host, *flags) == status
    assert capsys.readouterr().out


def test_json_is_the_whole_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch, NO_IPVS, "-o", "json")
    answer = json.loads(capsys.readouterr().out)
    assert answer == report_json(diagnose(NO_IPVS))
    assert answer["firewall_can_run"] is True
    assert answer["functions"]["service proxy"] == "missing"
    assert answer["functions"]["firewall, IPv4"] == "ok"
    [refused] = [check for check in answer["checks"] if check["state"] == "missing"]
    assert refused["functions"] == ["service proxy"]
    assert refused["mend"].startswith("modprobe ip_vs")
    assert all(check["mend"] is None for check in answer["checks"] if check["state"] == "ok")


def test_the_text_groups_by_function_and_ends_with_the_verdicts() -> None:
    lines = report_text(diagnose(NO_IPVS), Look())
    headings = [line for line in lines if line and not line.startswith(" ")]
    assert headings[:2] == ["firewall, IPv4: ok", "firewall, IPv6: ok"]
    assert headings[-3] == "service proxy: missing (IPVS, schedulers)"
    assert lines[-2:] == ["The firewall can run on this host.", "The service proxy cannot run on this host: IPVS"]


def test_each_check_is_listed_once_with_its_mend_below() -> None:
    checks = diagnose(NO_SETS6)
    lines = report_text(checks, Look())
    assert sum("mend: " in line for line in lines) == sum(bool(check.mend) for check in checks)
    assert len(lines) == len(checks) + sum(bool(check.mend) for check in checks) + 2 * len(Function) + 2
    at = next(index for index, line in enumerate(lines) if "hash:ip: refused" in line)
    assert lines[at].startswith("  missing  IPv6 sets")
    assert lines[at + 1].strip().startswith("mend: modprobe ip_set")
    assert lines[at + 1].index("mend:") == lines[at].index("hash:ip:")


def test_columns_are_aligned() -> None:
    checks = diagnose(GOOD_HOST)
    entries = [line for line in report_text(checks, Look()) if line.startswith("  ")]
    column = 2 + len("warning") + 2 + max(len(check.name) for check in checks) + 2
    assert [line[column:] for line in entries] == [check.found for check in _listed(checks)]


def _listed(checks: tuple[Check, ...]) -> list[Check]:
    return [check for function in Function for check in checks if check.functions[0] is function]


def test_colours_change_nothing_but_the_colours() -> None:
    checks = diagnose(NO_SETS6)
    coloured = report_text(checks, Look(coloured=True))
    assert any("\x1b[31m" in line for line in coloured)
    assert len(coloured) == len(report_text(checks, Look()))


def test_the_verdict_names_what_is_missing() -> None:
    assert firewall_verdict(diagnose(NO_RIGHTS)) == "The firewall cannot run on this host: privileges"
    assert firewall_verdict(diagnose(replace(GOOD_HOST, tools=frozenset()))).endswith(": nft tools")


def test_the_verdict_offers_ipv4_alone_where_only_ipv6_is_lacking() -> None:
    assert firewall_verdict(diagnose(NO_SETS6)).endswith(
        "cannot run on this host: IPv6 sets; for IPv4 alone it can: netpol run --enable-ipv6=false"
    )


def test_the_verdict_admits_what_is_not_known() -> None:
    unknown = Check("IPv4 sets", (Function.FIREWALL_IPV4,), State.UNKNOWN, "not tried")
    assert firewall_verdict([unknown]) == "Whether the firewall can run on this host is not known: IPv4 sets"


def test_the_verdict_counts_warnings() -> None:
    assert firewall_verdict(diagnose(WARNED)) == "The firewall can run on this host, with 1 warning."
    both = replace(WARNED, other_firewalls=("firewalld", "ufw"))
    assert firewall_verdict(diagnose(both)) == "The firewall can run on this host, with 2 warnings."


def test_the_service_proxy_has_a_verdict_of_its_own() -> None:
    assert proxy_verdict(diagnose(GOOD_HOST)) == "The service proxy can run on this host."
    kube_proxy = replace(GOOD_HOST, other_proxies=frozenset({OtherProxy.KUBE_PROXY}))
    assert proxy_verdict(diagnose(kube_proxy)) == "The service proxy can run on this host, with 1 warning."
    unknown = Check("IPVS", (Function.SERVICE_PROXY,), State.UNKNOWN, "not tried")
    assert proxy_verdict([unknown]) == "Whether the service proxy can run on this host is not known: IPVS"


def test_the_nodes_pod_range_is_reported_where_the_cluster_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--source", "manifests/examples", "--hostname-override", "worker-1", "--enable-ipv6=false", "-o", "json")
    monkeypatch.chdir(Path(__file__).parents[3])

    assert run(monkeypatch, GOOD_HOST, *flags) == 0

    [found] = [each for each in json.loads(capsys.readouterr().out)["checks"] if each["name"] == "IPv4 pod range"]
    assert (found["state"], found["found"]) == ("ok", "10.244.1.0/24")
