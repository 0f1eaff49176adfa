"""What a run of the agent is told, by flags and environment; validated once."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from pathlib import Path

from netpol.errors import UsageError
from netpol.model.networks import Family, Network, parse_network
from netpol.model.policies import Semantics
from netpol.model.ports import PortRange
from netpol.model.treatment import Treatment

SYNC_PERIOD_SECONDS = 30.0
CACHE_SYNC_TIMEOUT_SECONDS = 60.0
METRICS_PATH = "/metrics"
LOG_GROUP = 100
"""The NFLOG group that the kernel hands packets to."""

HEALTH_PORT = 20244
"""kube-router's, which the probes of its DaemonSets ask."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Variant(enum.Enum):
    """The two kernel backends that iptables' tools write to; the values are in the tools' names."""

    NFT = "nft"
    LEGACY = "legacy"


class NetworkPolicyApi(enum.Enum):
    """The endpoint of the one store of NetworkPolicies that is watched (M5); AUTO is the newest that is served."""

    AUTO = "auto"
    V1 = "networking.k8s.io/v1"
    V1BETA1 = "extensions/v1beta1"


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """How objects are read: which semantics beta policies have (M2), what a broken annotation means (B2)."""

    v1beta1_semantics: Semantics = Semantics.ANNOTATION
    strict_annotations: bool = False


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What the compiler is told of a node.

    `pod_cidrs` are used for a family that the Node object states none of; `fail_open` turns G12 off.
    `treatment` is of pods whose namespace says nothing else.
    """

    name: str
    families: tuple[Family, ...] = (Family.IPV4, Family.IPV6)
    pod_cidrs: tuple[Network, ...] = ()
    fail_open: bool = False
    log_group: int = LOG_GROUP
    treatment: Treatment = field(default_factory=Treatment)


@dataclass(frozen=True, slots=True)
class ApiSource:
    """An API server; with neither a kubeconfig nor a master it is the one of the cluster this process is a pod of.

    `master` is the server's URL, and goes before the one that the kubeconfig names.
    `synthesise_name_label` puts a namespace's name on it as the label that servers before 1.21
    do not put there (G7); manifests are always read so (M6).
    """

    kubeconfig: Path | None = None
    master: str = field(default="", repr=False)
    network_policy_api: NetworkPolicyApi = NetworkPolicyApi.AUTO
    synthesise_name_label: bool = False

    def __str__(self) -> str:
        """What people call the server: its URL without credentials, the kubeconfig, or the cluster of this pod.

        >>> str(ApiSource(master="https://10.0.0.1:6443")), str(ApiSource())
        ('https://10.0.0.1:6443', 'the cluster of this pod')
        >>> str(ApiSource(master="https://me:secret@10.0.0.1"))
        'https://10.0.0.1'
        """
        return without_userinfo(self.master) or str(self.kubeconfig or "the cluster of this pod")


def without_userinfo(url: str) -> str:
    """The URL as it may be shown: without the user and the password that may stand in it, whatever else is wrong.

    >>> without_userinfo("http://me:p/w@host:80/x"), without_userinfo("me:pw@host"), without_userinfo("http://host")
    ('http://host:80/x', 'host', 'http://host')
    """
    if "@" not in url:
        return url
    scheme = _SCHEME.match(url)
    return f"{scheme.group() if scheme else ''}{url.rpartition('@')[2]}"


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """A directory of manifests, or one file of them."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


Source = ApiSource | DirectorySource


@dataclass(frozen=True, slots=True)
class Listener:
    """Where something is served over HTTP; the empty address means all of this host's."""

    port: int
    address: str = ""

    def clashes(self, other: Listener) -> bool:
        """True where the two cannot both listen."""
        return self.port == other.port and (self.address == other.address or not (self.address and other.address))


MOST_FILE_BYTES = 100 << 20
MOST_FILE_BACKUPS = 10
MOST_FILE_DAYS = 30
"""Of a file of the audit log, where nothing else is said."""


class RecordFormat(enum.Enum):
    """How records are sent to an address."""

    JSON = "json"
    """A line each, or a datagram each."""
    SYSLOG = "syslog"
    """RFC 5424, the record's JSON being the message."""


class Transport(enum.Enum):
    """What carries records to an address; the values are the schemes of its URL."""

    UNIX = "unix"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class RecordAddress:
    """A socket that records are sent to: a UNIX socket's `path`, or a UDP `host` and `port`."""

    format: RecordFormat
    transport: Transport
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        """The address as its URL, with the format before the scheme.

        >>> str(RecordAddress(RecordFormat.SYSLOG, Transport.UNIX, path="/dev/log"))
        'syslog+unix:///dev/log'
        >>> str(RecordAddress(RecordFormat.JSON, Transport.UDP, host="::1", port=514))
        'json+udp://[::1]:514'
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = self.path if self.transport is Transport.UNIX else f"{host}:{self.port}"
        return f"{self.format.value}+{self.transport.value}://{place}"


@dataclass(frozen=True, slots=True)
class StandardOutput:
    """The stream that the agent was started with; what is kept of it is the business of whoever reads it."""


@dataclass(frozen=True, slots=True)
class RecordFile:
    """The file that records are appended to, and how much is kept of it.

    The file is put aside before it exceeds `most_bytes`; of those put aside, `most_backups` are
    kept for `most_days`, where 0 is no bound, as in kube-apiserver's audit log.
    """

    path: Path
    most_bytes: int = MOST_FILE_BYTES
    most_backups: int = MOST_FILE_BACKUPS
    most_days: int = MOST_FILE_DAYS


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Where the audit log goes, and for how long repeats of one verdict are folded into one record."""

    file: RecordFile | StandardOutput | None = StandardOutput()
    addresses: tuple[RecordAddress, ...] = ()
    window_seconds: float = 5.0


NODE_PORTS = PortRange(30000, 32767)
CLUSTER_RANGES = (parse_network("10.96.0.0/12"),)
GRACEFUL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ConnectionTimeouts:
    """How many seconds IPVS keeps an idle connection; None leaves what the kernel has."""

    tcp: int | None = None
    tcp_fin: int | None = None
    udp: int | None = None


@dataclass(frozen=True, slots=True)
class AddressRanges:
    """Which addresses and node ports services may ask for; where `external` or `load_balancer` is empty, any.

    With `strict` off no range is asked; what would take an address over from somebody else is refused all the same.
    """

    cluster: tuple[Network, ...] = CLUSTER_RANGES
    external: tuple[Network, ...] = ()
    load_balancer: tuple[Network, ...] = ()
    node_ports: PortRange = NODE_PORTS
    strict: bool = True


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What the service proxy is told.

    `cluster_cidrs` are all nodes' pods: what comes from elsewhere is masqueraded, unless the client's address
    is to be kept; empty, nothing is but for `masquerade_all`. `graceful_seconds` is how long an endpoint that is
    gone may go on serving the connections it has, 0 being not at all. Servers of others in `excluded` networks
    are never touched. `hairpin` is of every service.
    """

    sync_period_seconds: float = SYNC_PERIOD_SECONDS
    cluster_cidrs: tuple[Network, ...] = ()
    masquerade_all: bool = False
    hairpin: bool = False
    permit_all: bool = True
    node_ports_on_all_addresses: bool = False
    graceful_seconds: float = GRACEFUL_SECONDS
    excluded: tuple[Network, ...] = ()
    ranges: AddressRanges = field(default_factory=AddressRanges)
    timeouts: ConnectionTimeouts = field(default_factory=ConnectionTimeouts)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """All that the live agent is told; a listener that is None serves nothing, a variant that is None is found out.

    It runs the firewall, or the service proxy where `proxy` says how, or both. Every
    `sync_period_seconds` the kernel's rules are read back, whatever happened. What is not listed
    completely after `cache_sync_timeout_seconds` is said once, and waited for all the same.
    """

    node: NodeOptions
    source: Source
    policies: PolicyOptions = field(default_factory=PolicyOptions)
    audit: AuditSettings = field(default_factory=AuditSettings)
    sync_period_seconds: float = SYNC_PERIOD_SECONDS
    cache_sync_timeout_seconds: float = CACHE_SYNC_TIMEOUT_SECONDS
    metrics: Listener | None = None
    metrics_path: str = METRICS_PATH
    health: Listener | None = Listener(HEALTH_PORT)
    cleanup_on_exit: bool = False
    variant: Variant | None = None
    verbosity: int = 0
    firewall: bool = True
    proxy: ProxySettings | None = None

    def __post_init__(self) -> None:
        """UsageError where two settings do not fit together."""
        if self.metrics and self.health and self.metrics.clashes(self.health):
            raise UsageError(f"--metrics-port and --health-port are both {self.health.port}: one of them must differ")
        if not self.firewall and self.proxy is None:
            raise UsageError("--run-firewall and --run-service-proxy are both false: nothing is left to run")
