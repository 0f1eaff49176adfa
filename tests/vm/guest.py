"""A guest: another Linux kernel, one that has IPVS, on which a command runs as root.

The guest's root is the machine's, with a file system in memory laid over it: the command finds every file at its own
path, may write anywhere, and nothing of it is left but what it puts into $VM_OUT. No network leads out.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.processes import Process
from vm.host_cpu import NoGuest, idlest, preloaded

TOOLS = {"linux.uml": "user-mode-linux", "modprobe": "kmod", "busybox": "busybox-static"}
"""What a guest needs of the machine, and the Debian package of each."""

INIT = Path(__file__).parent / "guest-init.sh"
OUT = "/run/vm/out"
IN_GUEST = "VM_GUEST"
"""The environment variable that is there in a guest alone."""

TIMED_OUT, DIED = 124, 125
"""What counts as the command's status where it had none."""

MEMORY_MB = 768
LOOK_SECONDS = 0.05

# All that the tests use, loaded at once: by the kernel's own asking each would take a process of its own.
MODULES = """
ip_vs ip_vs_rr ip_vs_wrr ip_vs_lc ip_vs_wlc ip_vs_lblc ip_vs_lblcr ip_vs_dh ip_vs_sh ip_vs_sed ip_vs_nq ip_vs_mh
ip_vs_fo ip_vs_ovf xt_ipvs xt_set xt_comment xt_mark xt_conntrack xt_MASQUERADE xt_NFLOG nfnetlink_log
nf_conntrack_netlink iptable_filter iptable_nat iptable_mangle ip6table_filter ip6table_nat ip6table_mangle
ip_set_hash_ip ip_set_hash_net ip_set_hash_ipport ip_set_hash_ipportip ip_set_hash_ipportnet ip_set_hash_netport
ip_set_bitmap_port ip_set_list_set dummy veth bridge br_netfilter ipip ip6_tunnel
"""

# Of the machine's root nothing can be written, whatever the guest's root mounts; only these two directories.
_PROTECT = 'mount --bind "$1" "$1" && mount --bind "$2" "$2" && mount -o remount,bind,ro / && shift 2 && "$@"; exit $?'
_APART = ("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child")


class Guest:
    """A guest that runs `command` in `place` and is gone after the `with`; `directory` keeps what it said and left.

    NoGuest where the machine cannot run one.
    """

    def __init__(
        self,
        directory: Path,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        place: Path | None = None,
        memory_mb: int = MEMORY_MB,
    ) -> None:
        require()
        self.directory = directory
        self.out = directory / "out"
        self.out.mkdir(parents=True)
        (directory / "modules").write_text("\n".join(MODULES.split()))
        (directory / "command.sh").write_text(_script(command, environment or {}, place or Path.cwd()))
        self._scratch = tempfile.TemporaryDirectory(prefix="vm-", dir=_roomy(memory_mb))
        try:
            self._process = Process("the guest", self._command(memory_mb), directory / "console")
        except BaseException:
            self._scratch.cleanup()
            raise

    @property
    def console(self) -> str:
        """What the command wrote to standard output and standard error."""
        return (self.directory / "console").read_text(errors="replace")

    def is_running(self) -> bool:
        """True until the command and its kernel have ended."""
        return self._process.status() is None

    def wait(self, seconds: float) -> int:
        """What the command ended with; TIMED_OUT where it had to be ended, DIED where its kernel ended first."""
        end = time.monotonic() + seconds
        while self.is_running() and time.monotonic() < end:
            time.sleep(LOOK_SECONDS)
        timed_out = self.is_running()
        self.kill()
        try:
            return int((self.directory / "status").read_text())
        except FileNotFoundError:
            return TIMED_OUT if timed_out else DIED

    def kill(self) -> None:
        """Nothing of the guest runs any more."""
        if self.is_running():
            # Without namespaces of its own a guest leaves processes behind that are of its session.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._scratch.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _command(self, memory_mb: int) -> list[str]:
        scratch = self._scratch.name
        kernel = [
            *("env", f"TMPDIR={scratch}", f"HOME={scratch}", *preloaded(Path(scratch))),
            # Each system call of the guest is two switches between processes: ten times dearer between two CPUs.
            *("taskset", "--cpu-list", str(idlest())),
            *("linux.uml", f"mem={memory_mb}M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"),
            *(f"init={INIT}", f"vmrun={self.directory}", f"uml_dir={scratch}", "umid=guest"),
            *("con0=null,fd:1", "con=null", "ssl=null", "quiet", "loglevel=0"),
        ]
        quiet = ["sh", "-c", f'"$@" 2>{shlex.quote(str(self.directory / "kernel"))}; exit $?', "sh", *kernel]
        if not _can_be_apart():
            return quiet
        return [*_APART, "sh", "-c", _PROTECT, "sh", str(self.directory), scratch, *quiet]


def require() -> None:
    """Nothing happens where a guest can be had; NoGuest otherwise."""
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            raise NoGuest(f"no {tool} on this machine (Debian: {package})")


def _script(command: Sequence[str], environment: Mapping[str, str], place: Path) -> str:
    # Directories of the system come first: there, looking for a program where it is not takes 8 ms each time.
    path = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", *os.environ.get("PATH", "").split(":")]
    variables = {
        "PATH": ":".join(dict.fromkeys(place for place in path if Path(place).is_dir())),
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "VM_OUT": OUT,
        IN_GUEST: "1",
        **environment,
    }
    exported = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    program, *arguments = command
    words = [shutil.which(program) or program, *arguments]
    return "\n".join([*exported, f"cd {shlex.quote(str(place))} || exit 126", f"exec {shlex.join(words)}", ""])


def _roomy(memory_mb: int) -> Path | None:
    """Where the guest's memory, which is a file, can be: in memory if there is room."""
    shared = Path("/dev/shm")  # noqa: S108  only a directory of its own below it is used
    with suppress(OSError):
        status = os.statvfs(shared)
        if status.f_bavail * status.f_frsize > memory_mb << 20:
            return shared
    return None


def _can_be_apart() -> bool:
    if os.geteuid() != 0:
        return False
    return subprocess.run([*_APART, "true"], capture_output=True, check=False).returncode == 0
