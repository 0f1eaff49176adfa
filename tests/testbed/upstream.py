"""`python -m testbed.upstream`: Kubernetes' own tests of network policies, against the agent rolled out in a cluster.

The suite runs in the node, because nobody else reaches its API server; it probes by kubectl exec, as it does anywhere.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from testbed import binaries
from testbed.agent_image import NoImage, make_image
from testbed.live_cluster import LiveCluster
from testbed.pod_images import pod_images
from testbed.processes import Ended
from testbed.toolchain import NoGo

from netpol.model.networks import Family

FIREWALL = Path(__file__).parents[2] / "manifests" / "netpol-firewall.yaml"
ROLLOUT_SECONDS = 90

EVERY_CASE = "Netpol"
OVER_SCTP = "Feature:SCTPConnectivity"


def main(arguments: Sequence[str]) -> int:
    """0 where every case that ran has passed; a line for each is on standard error."""
    options = _parser().parse_args(arguments)
    # Whoever ends it with SIGTERM wants the cluster to go too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return 0 if every_case_passes(options.focus, Family(options.family), options.agent_flag) else 1
    except KeyboardInterrupt:
        return 130
    except (pytest.skip.Exception, pytest.fail.Exception) as lack:
        print(f"cannot be run here: {lack.msg}", file=sys.stderr)
    except (NoGo, NoImage, Ended, AssertionError, OSError, subprocess.CalledProcessError) as failure:
        print(failure, file=sys.stderr)
    return 1


def every_case_passes(focus: str, family: Family, flags: Sequence[str]) -> bool:
    """Whether the cases of `focus` pass in a cluster of their own; its logs, the suite's and the agent's stay."""
    binaries.build(print, [binaries.UPSTREAM])
    image = binaries.directory() / "images" / "netpol.tar"
    image.parent.mkdir(exist_ok=True)
    make_image(image)
    logs = Path(tempfile.mkdtemp(prefix="netpol-upstream-"))
    print(f"logs: {logs}", flush=True)
    with LiveCluster(logs, pod_images(), family) as cluster:
        cluster.import_image(image)
        roll_out(cluster, flags)
        passed = suite_passes(cluster, focus)
        (logs / "agent.log").write_text(cluster.kubectl("-n", "kube-system", "logs", "daemonset/netpol"))
    return passed


def roll_out(cluster: LiveCluster, flags: Sequence[str]) -> None:
    """The manifest's DaemonSet is at work, its agent with these flags besides its own."""
    cluster.kubectl("apply", "-f", "-", given=json.dumps(firewall(flags)))
    rollout = ("rollout", "status", "daemonset/netpol", f"--timeout={ROLLOUT_SECONDS}s")
    cluster.kubectl("-n", "kube-system", *rollout)


def firewall(flags: Sequence[str]) -> dict[str, object]:
    """The objects of the manifest, with these flags added to the agent's."""
    objects = list(yaml.safe_load_all(FIREWALL.read_text()))
    (daemon_set,) = (each for each in objects if each["kind"] == "DaemonSet")
    daemon_set["spec"]["template"]["spec"]["containers"][0]["args"] += flags
    return {"apiVersion": "v1", "kind": "List", "items": objects}


def suite_passes(cluster: LiveCluster, focus: str) -> bool:
    """Whether every case of `focus` passes; its log is with the cluster's."""
    command = [
        str(binaries.program(binaries.UPSTREAM_SUITE)),
        f"--kubeconfig={cluster.kubeconfig}",
        "--provider=local",
        "--ginkgo.fail-on-empty",
        "--ginkgo.v",
        "--ginkgo.no-color",
        f"--ginkgo.focus={focus}",
    ]
    if not has_sctp():
        print("not run, the kernel has no SCTP: the cases that connect over it", flush=True)
        command.append(f"--ginkgo.skip={OVER_SCTP}")
    with (cluster.directory / "suite.log").open("w") as log:
        return subprocess.run([*cluster.inside(), *command], stdout=log, check=False).returncode == 0


def has_sctp() -> bool:
    """Whether the kernel has SCTP sockets; it is nothing of a namespace."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m testbed.upstream", description=__doc__)
    parser.add_argument("--focus", default=EVERY_CASE, help="only the cases whose name this regular expression matches")
    parser.add_argument(
        "--family",
        type=int,
        default=4,
        choices=[4, 6],
        help="of the pods' first addresses, which the suite connects to",
    )
    parser.add_argument("--agent-flag", action="append", default=[], help="another flag for the agent, --name=value")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
