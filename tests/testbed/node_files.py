"""What the programs of a node are told: their configuration files and command lines."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netpol.model.networks import Family

NODE, NODE_V4, NODE_V6 = "node1", "172.30.77.2", "fd00:77::2"
OUTSIDE_V4, OUTSIDE_V6 = "172.30.77.1", "fd00:77::1"
POD_RANGES = ("10.20.0.0/24", "fd00:20::/64")
SERVICE_RANGES = ("10.96.0.0/16", "fd00:96::/112")
API_PORT = 6443
PAUSE_IMAGE = "registry.k8s.io/pause:3.10.1"


class ServiceProxy(enum.Enum):
    """Who serves the addresses of services; the values but the last are kube-proxy's modes."""

    IPTABLES = "iptables"
    IPVS = "ipvs"
    """Only where the kernel has it, as a guest's does."""
    NONE = "none"
    """Nobody, until a test lets somebody."""


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """The files of a node below one directory, and the commands that are started with them."""

    directory: Path
    programs: Path
    cgroup: str
    first: Family = Family.IPV4
    """The family that the node, its pods and its services have their first address in."""
    proxy: ServiceProxy = ServiceProxy.IPTABLES

    @property
    def api_url(self) -> str:
        """Of the API server, which serves one family only: the first."""
        host = f"[{NODE_V6}]" if self.first is Family.IPV6 else NODE_V4
        return f"https://{host}:{API_PORT}"

    @property
    def kubeconfig(self) -> Path:
        """With it the node's own programs reach the API server, and who runs tests: as one who may do everything."""
        return self.directory / "kubeconfig"

    @property
    def authority(self) -> Path:
        """The certificate of the API server."""
        return self.directory / "certs" / "apiserver.crt"

    def write(self) -> None:
        """Every configuration file is there."""
        self._write("containerd.toml", self._containerd())
        self._write("cni/10-bed.conflist", json.dumps(_cni(self._in_order(*POD_RANGES)), indent=1))
        self._write("kubelet.json", json.dumps(self._kubelet(), indent=1))
        self._write("kube-proxy.json", json.dumps(self._kube_proxy(), indent=1))

    def containerd(self) -> list[str]:
        """Of the machine, not of the beds."""
        return ["containerd", "--config", str(self.directory / "containerd.toml")]

    def kube_apiserver(self, etcd: str) -> list[str]:
        """With service accounts and role-based access control, as every cluster has them."""
        key = self.directory / "service-accounts.key"
        address = self._in_order(NODE_V4, NODE_V6)[0]
        return self._program(
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            f"--bind-address={address}",
            f"--advertise-address={address}",
            f"--secure-port={API_PORT}",
            f"--cert-dir={self.directory / 'certs'}",
            f"--service-cluster-ip-range={','.join(self._in_order(*SERVICE_RANGES))}",
            f"--token-auth-file={self.directory / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            "--enable-priority-and-fairness=false",
            "--max-requests-inflight=0",
            "--max-mutating-requests-inflight=0",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
        )

    def kube_controller_manager(self) -> list[str]:
        """Gives the node its ranges of pod addresses, and makes pods of Deployments."""
        return self._program(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--service-account-private-key-file={self.directory / 'service-accounts.key'}",
            f"--root-ca-file={self.authority}",
            "--allocate-node-cidrs=true",
            f"--cluster-cidr={','.join(self._in_order(*POD_RANGES))}",
            "--node-cidr-mask-size-ipv4=24",
            "--node-cidr-mask-size-ipv6=64",
            f"--service-cluster-ip-range={','.join(self._in_order(*SERVICE_RANGES))}",
        )

    def kube_scheduler(self) -> list[str]:
        """Gives pods their node, there being one."""
        return self._program(
            "kube-scheduler", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--bind-address=127.0.0.1"
        )

    def kubelet(self) -> list[str]:
        """Runs the pods."""
        return self._program(
            "kubelet",
            f"--config={self.directory / 'kubelet.json'}",
            f"--kubeconfig={self.kubeconfig}",
            f"--hostname-override={NODE}",
            f"--node-ip={','.join(self._in_order(NODE_V4, NODE_V6))}",
            "--root-dir=/var/lib/kubelet",
        )

    def kube_proxy(self) -> list[str]:
        """Serves the addresses of services."""
        return self._program("kube-proxy", f"--config={self.directory / 'kube-proxy.json'}")

    def _in_order(self, v4: str, v6: str) -> tuple[str, str]:
        return (v6, v4) if self.first is Family.IPV6 else (v4, v6)

    def _program(self, name: str, *flags: str) -> list[str]:
        return [str(self.programs / name), "--v=2", *flags]

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _containerd(self) -> str:
        # Without CAP_SYS_RESOURCE nobody's OOM score can be lowered, and runc does not say that it is this.
        return f"""\
version = 2
root = "{self.directory}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{self.directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""

    def _kubelet(self) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self._in_order(NODE_V4, NODE_V6)[0],
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "clusterDNS": ["10.96.0.10"],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "eventRecordQPS": 0,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "kubeAPIBurst": 200,
            "kubeAPIQPS": 100,
            "localStorageCapacityIsolation": False,
            "maxPods": 200,
            "nodeStatusUpdateFrequency": "5s",
            "podLogsDir": "/var/log/pods",
            "registryPullQPS": 0,
            "resolvConf": "/dev/null",
            "syncFrequency": "10s",
            "volumeStatsAggPeriod": "0s",
        }

    def _kube_proxy(self) -> dict[str, object]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": self.proxy.value,
            "clusterCIDR": ",".join(self._in_order(*POD_RANGES)),
            "clientConnection": {"kubeconfig": str(self.kubeconfig)},
            "hostnameOverride": NODE,
            "bindAddress": "0.0.0.0",  # noqa: S104  in the node's own network
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "iptables": {"minSyncPeriod": "0.2s", "syncPeriod": "30s"},
            # These are the machine's, not a namespace's: they are left as they are.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }


def _cni(pod_ranges: Sequence[str]) -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": "kube-bridge",
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": pods}] for pods in pod_ranges],
            "dataDir": "/run/cni-addresses",
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return {"cniVersion": "0.3.1", "name": "bed", "plugins": [bridge, ports]}
