"""`python -m testbed.demo`: the live agent shown to a person, in a real cluster of one node.

What kubectl is asked and answers is printed as it is, and every mark in a table is a connection that was tried.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from testbed.agent import netpol_command
from testbed.binaries import CURRENT, directory
from testbed.contacts import WORLD, measure, snapshot_of
from testbed.guestbook import MODERNISED, NAMESPACES, PORTS, pods_of_the_guestbook, policies_of_the_guestbook
from testbed.live_cluster import LiveCluster
from testbed.node_rules import own_state
from testbed.pod_images import pod_images
from testbed.processes import Ended
from testbed.workloads import CLOSED
from waiting import wait_until

from netpol.command.look import Look, Paint, look_of
from netpol.command.story import compare, say
from netpol.command.table import CHANGED_MEANS, Outcomes, Panel, grids, legend, totals
from netpol.errors import NetpolError
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy.reachability import Reachability

ROOT = Path(__file__).parents[2]
FIREWALL, CLEANUP = (str(ROOT / "manifests" / name) for name in ("netpol-firewall.yaml", "netpol-cleanup.yaml"))
SYSTEM = ("-n", "kube-system")
WAIT = "--timeout=180s"
LOG = (*SYSTEM, "logs", "daemonset/netpol")
EXPLAINED = ("production/toolbox", "production/redis-1", "6379/TCP")


@dataclass(slots=True)
class Story:
    """What is done in the cluster, step after step, and what the tables have shown so far."""

    cluster: LiveCluster
    look: Look
    differences: int = 0
    _steps: int = 0
    _began: str = ""
    _before: dict[ProtocolPort, Reachability] = field(default_factory=dict)

    def tell(self) -> None:
        """Every step was shown; `differences` says how many connections did not go as they should."""
        self._an_open_cluster()
        self._the_agent()
        self._default_deny()
        self._the_policies()
        self._a_killed_agent()
        self._no_agent()
        self._a_clean_node()

    def _an_open_cluster(self) -> None:
        self._begin(
            "An open cluster", "The pods of manifests/examples; each serves both ports. Nothing has a firewall."
        )
        self._type("apply", "-f", "-", given=pods_of_the_guestbook())
        for namespace in NAMESPACES:
            self.cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pods", "--all", WAIT)
        self._type("get", "pods", "--all-namespaces", "--show-labels")
        self._probe(enforced=False)

    def _the_agent(self) -> None:
        self._begin("The agent", "One on each node, by a DaemonSet. No policy isolates anybody yet.")
        self._type("apply", "-f", FIREWALL)
        self._type(*SYSTEM, "rollout", "status", "daemonset/netpol", WAIT)
        self._agent_says()
        self._probe()

    def _default_deny(self) -> None:
        self._begin("DefaultDeny", "Nothing enters a pod of production any more, but for the kubelet's probes.")
        self._type("annotate", "namespace", "production", CLOSED)
        self._agent_says("production")
        self._probe()
        self._type("-n", "production", "get", "pods")

    def _the_policies(self) -> None:
        meaning = "The frontends are open to everybody on 80, the backends to production's frontends on 6379."
        self._begin("The guestbook's policies", meaning)
        self._type("apply", "-f", "-", given=policies_of_the_guestbook(), source=MODERNISED)
        self._agent_says("production/guestbook-allow-frontend", "production/guestbook-allow-backend")
        self._probe()
        self._type(*SYSTEM, "exec", "daemonset/netpol", "--", "netpol", "verify")
        say(self.look.painted("Why does the toolbox not reach redis?", Paint.HEADING))
        asked = ("explain", "--kubeconfig", str(self.cluster.kubeconfig), *EXPLAINED)
        self._answer(("netpol", *asked), self.cluster.run(*netpol_command(*asked)))

    def _a_killed_agent(self) -> None:
        self._begin("The agent is killed", "The rules stay as they are; the next agent finds them right.")
        self._type(*SYSTEM, "delete", "pods", "-l", "k8s-app=netpol", "--force", "--grace-period=0")
        self._probe()
        self._type(*SYSTEM, "rollout", "status", "daemonset/netpol", WAIT)
        self._agent_says()

    def _no_agent(self) -> None:
        self._begin("The agent is taken away", "The rules stay still.")
        self._type("delete", "-f", FIREWALL)
        self._type(*SYSTEM, "wait", "--for=delete", "pods", "-l", "k8s-app=netpol", WAIT)
        self._probe()

    def _a_clean_node(self) -> None:
        self._begin("The node is cleaned", "The policies are still there, and nobody enforces them.")
        self._type("apply", "-f", CLEANUP)
        self._type(*SYSTEM, "rollout", "status", "daemonset/netpol-cleanup", WAIT)
        self._type("delete", "-f", CLEANUP)
        self._probe(enforced=False)
        left = own_state(self.cluster)
        self.differences += len(left)
        say(*left, f"Rules and sets of netpol's that are left on the node: {len(left)}.")

    def _begin(self, title: str, meaning: str) -> None:
        self._steps += 1
        self._began = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        say("", self.look.painted(f"{self._steps}. {title}", Paint.HEADING), f"   {meaning}", "")

    def _type(self, *arguments: str, given: str | None = None, source: Sequence[str] = ()) -> None:
        """The command was typed, and its answer is seen; where it is given something, `source` says what printed it."""
        answer = self.cluster.kubectl(*arguments, given=given)
        self._answer(("kubectl", *arguments), answer, source)

    def _answer(self, command: Sequence[str], answer: str, source: Sequence[str] = ()) -> None:
        typed = " | ".join(shlex.join(words) for words in (source, command) if words)
        typed = typed.replace(f"{ROOT}/", "").replace(f"{self.cluster.directory}/", "")
        say(self.look.painted(f"   $ {typed}", Paint.HEADING), *(f"   {line}" for line in answer.splitlines()), "")

    def _agent_says(self, *awaited: str) -> None:
        """What the agent has logged in this step is seen, once it names all of the `awaited` objects."""
        log = (*LOG, f"--since-time={self._began}")

        def written() -> str:
            text = self.cluster.kubectl(*log)
            return text if all(f" name={name} " in text for name in awaited) else ""

        self._answer(("kubectl", *log), wait_until(written, "the agent's log speaks of it"))

    def _probe(self, *, enforced: bool = True) -> None:
        """Every connection was tried, and is in the table."""
        snapshot = snapshot_of(self.cluster)
        if not enforced:
            snapshot = Snapshot.of(pods=snapshot.pods.values(), nodes=snapshot.nodes.values())
        measurement = measure(self.cluster, snapshot, PORTS)
        reached = {port: measurement.reachability(port) for port in PORTS}
        panels = [Panel(str(port), reached[port], self._before.get(port)) for port in PORTS]
        say(*grids(panels, self.look, [WORLD]), "", totals(panels, Outcomes.PROBED, self.look))
        compare(measurement)
        say("")
        self.differences += len(measurement.differences)
        self._before = reached


def show(look: Look) -> int:
    """The number of connections that did not go as they should, of all that were shown."""
    began = time.monotonic()
    image = directory() / "images" / "netpol.tar"
    say("Making the agent's image: minutes the first time, seconds where the code alone has changed.")
    subprocess.run((sys.executable, "-m", "testbed.agent_image", str(image)), stdout=subprocess.DEVNULL, check=True)
    made = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="netpol-cluster-demo-") as place,
        LiveCluster(Path(place), [*pod_images(), image]) as cluster,
    ):
        say(
            f"Kubernetes {CURRENT} with a node of its own is up (image {made - began:.1f} s, cluster "
            f"{time.monotonic() - made:.1f} s).",
            "",
            legend(Outcomes.PROBED, look, CHANGED_MEANS),
        )
        story = Story(cluster, look)
        story.tell()
    say(
        "",
        "Taken down: the cluster was namespaces of this machine, whose own network, mounts and settings were never "
        f"touched. ({time.monotonic() - began:.0f} s)",
    )
    return story.differences


def main() -> int:
    """0 where every connection went as the policies say, 1 where one did not or the story could not be told."""
    # Whoever ends it with SIGTERM wants the cluster to go too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    look = look_of(sys.stdout, os.environ, shutil.get_terminal_size().columns)
    try:
        return 1 if show(look) else 0
    except KeyboardInterrupt:
        print("\ninterrupted: the cluster is taken down", file=sys.stderr)
        return 130
    except (pytest.skip.Exception, pytest.fail.Exception) as lack:
        print(f"cannot be shown here: {lack.msg}", file=sys.stderr)
    except (AssertionError, Ended, NetpolError, OSError, subprocess.CalledProcessError) as failure:
        print(f"the story ends here: {failure}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
