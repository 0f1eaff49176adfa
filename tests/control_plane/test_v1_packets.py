"""Policies of networking.k8s.io/v1 on a server of today, from requests to packets of both families."""

from __future__ import annotations

from pathlib import Path

import pytest
from testbed.lab_agent import LabAgent
from testbed.lab_cluster import EVERYBODY, NOBODY, OWN_NODE, LabCluster

pytestmark = pytest.mark.control_plane

POLICY = "production/policy"
CHANGED, GONE = f"NetworkPolicy changed name={POLICY}", f"NetworkPolicy gone name={POLICY}"
OUTSIDE_CLIENTS = [{"ipBlock": {"cidr": "203.0.113.0/24"}}, {"ipBlock": {"cidr": "2001:db8:9::/64"}}]


def labelled(**labels: str) -> dict[str, object]:
    return {"matchLabels": labels}


def test_egress_is_what_its_peers_and_ports_say(v1_cluster: LabCluster, log: Path) -> None:
    others = EVERYBODY - {"production/batch"}
    places = (
        "production/frontend 80/TCP",
        "production/front-two 80/TCP",
        "production/front-two 81/TCP",
        "staging/client 80/TCP",
        "outside/server 80/TCP",
        "node/one 80/TCP",
    )
    silent = dict.fromkeys(places, others)
    with LabAgent(v1_cluster, log) as agent:
        v1_cluster.assert_reached(dict.fromkeys(places, EVERYBODY))
        with agent.bringing(CHANGED):
            v1_cluster.create_policy(POLICY, podSelector=labelled(app="batch"), policyTypes=["Egress"])
        v1_cluster.assert_reached({**silent, "production/batch 80/TCP": EVERYBODY})
        with agent.bringing(CHANGED):
            to_frontends = {"to": [{"podSelector": labelled(tier="frontend")}], "ports": [{"port": 80}]}
            v1_cluster.patch_policy(POLICY, egress=[to_frontends])
        v1_cluster.assert_reached(
            {**silent, "production/frontend 80/TCP": EVERYBODY, "production/front-two 80/TCP": EVERYBODY}
        )
        with agent.bringing(CHANGED):
            to_staging = {"to": [{"namespaceSelector": labelled(team="blue"), "podSelector": labelled(app="client")}]}
            v1_cluster.patch_policy(POLICY, egress=[to_staging])
        v1_cluster.assert_reached({**silent, "staging/client 80/TCP": EVERYBODY, "staging/impostor 80/TCP": others})
        with agent.bringing(GONE):
            v1_cluster.delete_policy(POLICY)
        v1_cluster.assert_reached(dict.fromkeys(places, EVERYBODY))
        agent.until_verified()


def test_blocks_of_addresses_have_their_holes(v1_cluster: LabCluster, log: Path) -> None:
    place = "production/frontend 80/TCP"
    holed = [
        {"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/29"]}},
        {"ipBlock": {"cidr": "2001:db8:9::/64", "except": ["2001:db8:9::8/125"]}},
    ]
    anybody = [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.1.0.0/16", "203.0.113.9/32"]}},
        {"ipBlock": {"cidr": "::/0", "except": ["fd01::/64", "2001:db8:9::9/128"]}},
    ]
    with LabAgent(v1_cluster, log) as agent:
        with agent.bringing(CHANGED):
            v1_cluster.create_policy(POLICY, podSelector=labelled(tier="frontend"), ingress=[{"from": OUTSIDE_CLIENTS}])
        v1_cluster.assert_reached({place: {"outside/client", OWN_NODE}})
        with agent.bringing(CHANGED):
            v1_cluster.patch_policy(POLICY, ingress=[{"from": holed}])
        v1_cluster.assert_reached({place: NOBODY})
        # What one block leaves out, another rule may let in (V5).
        with agent.bringing(CHANGED):
            v1_cluster.patch_policy(POLICY, ingress=[{"from": holed}, {"from": OUTSIDE_CLIENTS}])
        v1_cluster.assert_reached({place: {"outside/client", OWN_NODE}})
        with agent.bringing(CHANGED):
            v1_cluster.patch_policy(POLICY, ingress=[{"from": anybody}])
        v1_cluster.assert_reached({place: {"outside/server", "production/front-two", "staging/impostor", OWN_NODE}})
        with agent.bringing(CHANGED):
            v1_cluster.patch_policy(POLICY, policyTypes=["Egress"], ingress=None, egress=[{"to": holed}])
        v1_cluster.assert_reached({place: EVERYBODY, "outside/client 80/TCP": EVERYBODY - {"production/frontend"}})


def test_ports_have_names_and_ends(v1_cluster: LabCluster, log: Path) -> None:
    shut = {
        f"production/{pod} {port}": NOBODY
        for pod in ("frontend", "batch")
        for port in ("80/TCP", "81/TCP", "85/TCP", "86/TCP", "80/UDP")
    }
    with LabAgent(v1_cluster, log) as agent:
        with agent.bringing(CHANGED):
            v1_cluster.create_policy(POLICY, ingress=[{"ports": [{"port": "http"}]}])
        # A name is each pod's own number (V7).
        v1_cluster.assert_reached(
            {**shut, "production/frontend 80/TCP": EVERYBODY, "production/batch 81/TCP": EVERYBODY}
        )
        with agent.bringing(CHANGED):
            v1_cluster.patch_policy(POLICY, ingress=[{"ports": [{"port": 81, "endPort": 85}]}])
        opened = {f"production/{pod} {port}/TCP": EVERYBODY for pod in ("frontend", "batch") for port in (81, 85)}
        v1_cluster.assert_reached({**shut, **opened})
        with agent.bringing(CHANGED):
            v1_cluster.patch_policy(POLICY, ingress=[{"ports": [{"protocol": "UDP"}]}])
        v1_cluster.assert_reached({**shut, **{f"production/{pod} 80/UDP": EVERYBODY for pod in ("frontend", "batch")}})
        with agent.bringing(CHANGED):
            v1_cluster.patch_policy(
                POLICY, policyTypes=["Egress"], ingress=None, egress=[{"ports": [{"port": "http"}]}]
            )
        # On any pod, and nowhere else.
        outsiders = EVERYBODY - {"production/frontend", "production/backend", "production/batch"}
        everywhere = {
            "production/frontend 80/TCP": EVERYBODY,
            "production/frontend 81/TCP": outsiders,
            "production/batch 81/TCP": EVERYBODY,
            "outside/server 80/TCP": outsiders,
        }
        v1_cluster.assert_reached(everywhere)
        agent.until_verified()
