"""Connections that another thread ends, with TLS and without."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from api_server import ApiServer
from kubernetes.client.configuration import Configuration
from self_signed import self_signed

from netpol.source.kube.connection import end
from netpol.source.kube.transport import open_client


@pytest.mark.parametrize("is_secure", [False, True])
def test_a_read_under_way_ends(tmp_path: Path, is_secure: bool) -> None:
    certificate = self_signed(tmp_path) if is_secure else None
    with ApiServer(certificate=certificate) as server:
        configuration = Configuration(host=server.url, ssl_ca_cert=str(certificate) if certificate else None)
        sockets: list[socket.socket] = []
        client = open_client(configuration, sockets.append)
        answer = client.call_api("GET", f"{server.url}/api/v1/pods?watch=true&resourceVersion=1")
        ended = threading.Event()

        def read() -> None:
            for _ in answer.response.stream():
                pass

        def read_to_the_end() -> None:
            try:
                read()
            except Exception:
                ended.set()
            else:
                ended.set()

        thread = threading.Thread(target=read_to_the_end)
        thread.start()
        server.wait_for_watch("pods")
        started = time.monotonic()
        end(sockets)
        assert ended.wait(10)
        assert time.monotonic() - started < 1
        thread.join()
        answer.response.close()
        client.close()
