"""One listener at a time has the group, and stamps what the kernel does not by the clock that it is given."""

from __future__ import annotations

import socket
import subprocess

import pytest

from netpol.audit.capture.listening import listening
from netpol.audit.clock import wall_clock
from netpol.errors import KernelRefusal

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("private_network")]

PREFIX = "1:NETPOL-INVALID"


def test_what_the_node_sends_is_stamped_by_the_clock() -> None:
    lines = f"*filter\n-A OUTPUT -d 127.0.0.2 -j NFLOG --nflog-prefix {PREFIX} --nflog-group 100\nCOMMIT\n"
    subprocess.run(["iptables-nft-restore", "-n"], input=lines, text=True, check=True)
    with listening(100, 60.0, lambda: 1_600_000_000_000_007) as collector:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", ("127.0.0.2", 9))
        (fold,) = collector.flush().folds
    assert (fold.prefix, fold.first, fold.last) == (PREFIX, 1_600_000_000_000_007, 1_600_000_000_000_007)


def test_a_second_listener_is_refused_and_the_group_is_free_again_after_the_first() -> None:
    with listening(100, 1.0, wall_clock), pytest.raises(KernelRefusal, match="another program reads this group"):
        listening(100, 1.0, wall_clock).__enter__()
    with pytest.raises(ZeroDivisionError), listening(100, 1.0, wall_clock):
        raise ZeroDivisionError
    with listening(100, 1.0, wall_clock):
        pass
