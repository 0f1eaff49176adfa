"""The firewall beside IPVS: rules that only this kernel takes, and who reaches what through a service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import builders
import pytest
import rule_forms
from rule_forms import CHAIN
from vm.conversation import ask
from vm.families import CLUSTER, EXTERNAL, FAMILIES, host_of
from vm.servers import Reply
from vm.service_lab import NODE_ADDRESSES, POD_CIDRS, PORT, ServiceLab

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.names import services_set
from netpol.compiler.ruleset import AddressPort, TableName
from netpol.dataplane.apply import Kernel
from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.keeper import Keeper
from netpol.dataplane.render import render_rule
from netpol.lab.prober import Outcome
from netpol.model.networks import Family
from netpol.model.policies import Policy
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions, Variant

pytestmark = pytest.mark.vm

SECONDS = 1.5
"""Nobody needs longer to answer here."""


@FAMILIES
def test_what_ipvs_sent_on_is_printed_as_it_was_rendered(family: Family, private_network: None) -> None:
    tables = IptablesTables(Variant.LEGACY, table=TableName.NAT)
    rules = tuple(render_rule(rule, family) for rule, _ in rule_forms.balanced_forms(family))
    tables.write(family, [":NETPOL-INPUT - [0:0]", f":{CHAIN} - [0:0]", *(f"-A NETPOL-INPUT {rule}" for rule in rules)])
    assert tables.read(family).chains == {"NETPOL-INPUT": rules, CHAIN: ()}
    printed = [line for line in tables.save(family).split("\n") if line.startswith("-A NETPOL-INPUT")]
    assert printed == [f"-A NETPOL-INPUT {rule}" for rule in rules]


class Enforced:
    """A lab whose node has a virtual server for `x/web-0`, and policies."""

    def __init__(self, lab: ServiceLab, family: Family) -> None:
        self.lab, self.family = lab, family
        self.web = lab.endpoint("x/web-0", family).address
        self._open = ExitStack()
        with lab.node.entered():
            self.sets = self._open.enter_context(NetlinkSets())
            flows = self._open.enter_context(NetlinkFlows())
            self._keeper = Keeper(Kernel(self.sets, IptablesTables(Variant.LEGACY), flows))

    def enforce(self, *policies: Policy) -> None:
        """The node's kernel holds what these come to."""
        pods = [
            builders.pod(name, *(str(each.address) for each in self.lab.lab.endpoints(name)), node="one", labels=labels)
            for name, labels in (("x/web-0", "app=web"), ("x/client", "app=client"))
        ]
        node = builders.node("one", *NODE_ADDRESSES["one"], pod_cidrs=POD_CIDRS["one"])
        snapshot = Snapshot.of([builders.namespace("x")], pods, [node], policies)
        with self.lab.node.entered():
            self._keeper.converge(compile_ruleset(snapshot, NodeOptions("one", fail_open=True)))

    def serve(self, *members: AddressPort) -> None:
        """The service address has a virtual server, and the proxy's set these members."""
        vip, at = CLUSTER[self.family], f"-t {host_of(CLUSTER[self.family])}:80"
        for command in (
            "sysctl -qw net.ipv4.vs.conntrack=1",
            "ip link add kube-dummy-if type dummy",
            f"ip addr add {vip}/{self.family.bits} dev kube-dummy-if",
            "ip link set kube-dummy-if up",
        ):
            self.lab.run(*command.split())
        self.lab.run("ipvsadm", "-R", given=f"-A {at} -s rr\n-a {at} -r {host_of(self.web)}:{PORT} -m\n")
        services = compile_ruleset(Snapshot.of([], [], [], []), NodeOptions("one")).sets[services_set(self.family)]
        with self.lab.node.entered():
            self.sets.add(services, members)

    def ask(self, client: str) -> Reply | Outcome:
        """What the client is told at the service address."""
        return ask(self.lab.endpoint(client, self.family), builders.address(CLUSTER[self.family]), 80, seconds=SECONDS)

    def close(self) -> None:
        self._open.close()


@pytest.fixture(params=list(Family), ids=lambda family: f"IPv{family.value}")
def enforced(request: pytest.FixtureRequest, service_lab: ServiceLab) -> Iterator[Enforced]:
    made = Enforced(service_lab, request.param)
    made.enforce()
    yield made
    made.close()


CLIENTS, PORTS = builders.pods("app=client"), ["8080/TCP"]
TO_WEB = builders.rule([builders.pods("app=web")], PORTS)


def test_a_client_is_judged_by_its_own_address_and_the_endpoints(enforced: Enforced) -> None:
    """X5: the sides of either pod, by the port that the endpoint serves on."""
    enforced.serve(AddressPort(builders.address(CLUSTER[enforced.family]).packed, Protocol.TCP, 80))
    client = str(enforced.lab.endpoint("x/client", enforced.family).address)
    answered = Reply("x/web-0", client)
    assert enforced.ask("x/client") == answered
    enforced.enforce(builders.policy("x/web", "app=web", ingress=[builders.rule([CLIENTS], PORTS)]))
    assert enforced.ask("x/client") == answered
    assert enforced.ask("outside/near") is Outcome.SILENT
    assert enforced.ask("node/two") is Outcome.SILENT
    enforced.enforce(builders.policy("x/client", "app=client", egress=[TO_WEB], directions=builders.EGRESS))
    assert enforced.ask("x/client") == answered
    enforced.enforce(builders.policy("x/client", "app=client", directions=builders.EGRESS))
    assert enforced.ask("x/client") is Outcome.SILENT


def test_an_address_that_the_proxy_does_not_serve_is_the_nodes_own(enforced: Enforced) -> None:
    """X5: without the set's member the egress is judged in INPUT, by the service's address."""
    enforced.serve()
    enforced.enforce(builders.policy("x/client", "app=client", egress=[TO_WEB], directions=builders.EGRESS))
    assert enforced.ask("x/client") is Outcome.SILENT


@FAMILIES
def test_a_tunnel_of_the_node_ends_at_no_isolated_pod(service_lab: ServiceLab, family: Family) -> None:
    """X5: direct return hides the client from every rule; the pod that nothing isolates is sent it."""
    enforced = Enforced(service_lab, family)
    tool, number = ("iptables", 4) if family is Family.IPV4 else ("ip6tables", 41)
    version = "-6" if family is Family.IPV6 else "-4"
    service_lab.run("ipvsadm", "-R", given=_marked(enforced.web, family))
    service_lab.run("ip", version, "rule", "add", "fwmark", "7", "table", "77")
    service_lab.run("ip", version, "route", "add", "local", "default", "dev", "lo", "table", "77")
    mark = ("-t", "mangle", "-A", "PREROUTING", "-d", EXTERNAL[family], "-j", "MARK", "--set-mark", "7")
    service_lab.run(tool, *mark)
    service_lab.run(tool, "-A", "INPUT", "-p", str(number), "-j", "ACCEPT", on="x/web-0")

    def arrived() -> bool:
        """True where the pod was sent a tunnelled packet, once a client outside has asked."""
        service_lab.run(tool, "-Z", on="x/web-0")
        outside = service_lab.endpoint("outside/near", family)
        ask(outside, builders.address(EXTERNAL[family]), 80, seconds=SECONDS)
        counted = service_lab.run(f"{tool}-save", "-c", "-t", "filter", on="x/web-0")
        (line,) = (line for line in counted.split("\n") if "-A INPUT" in line)
        return not line.startswith("[0:0]")

    enforced.enforce()
    assert arrived()
    enforced.enforce(builders.policy("x/web", "app=web", ingress=[builders.rule()]))
    assert not arrived()
    refused = service_lab.run(f"{tool}-save", "-c", "-t", "filter")
    assert [line.startswith("[0:0]") for line in refused.split("\n") if "-A NETPOL-TUNNELLED" in line] == [False, False]
    enforced.enforce(builders.policy("x/web", "app=web", directions=builders.EGRESS))
    assert arrived()
    enforced.close()


def _marked(web: object, family: Family) -> str:
    at = "-f 7 -6" if family is Family.IPV6 else "-f 7"
    return f"-A {at} -s rr\n-a {at} -r {host_of(web)}:0 -i\n"
