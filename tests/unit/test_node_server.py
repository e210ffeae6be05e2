"""The server under the API: TLS, readers that don't read, memory for bodies; and a node behind a line that breaks."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.responses import Response

from qanat.errors import BadParameters, ChainUnreachable, FileUnreadable, NodeRefused
from qanat.node.budget import Room
from qanat.node.daemon import Patience
from qanat.node.server import Server, settings
from tests.unit.node_doubles import Served


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a certificate of its own for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


async def large(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers with 16 MiB in parts."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(256):
        await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def seen_from(port: int, trusted: Path) -> str:
    """Connect as a client that verifies; return whose certificate it was."""
    context = ssl.create_default_context(cafile=str(trusted))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as wrapped,
    ):
        subject = dict(item[0] for item in wrapped.getpeercert()["subject"])
    return subject["commonName"]


def test_tls_and_a_certificate_that_is_renewed(tmp_path: Path) -> None:
    """HTTPS by the files of node.json; a renewed one serves the next connection, a broken one changes nothing."""
    paths = certificate(tmp_path, "first")
    served = Served(Response("hello"), tls=paths)
    server = Server(served.server.config)
    server.renew()
    context = ssl.create_default_context(cafile=str(paths[0]))
    with httpx.Client(verify=context, trust_env=False) as http:
        assert http.get(f"https://localhost:{served.port}/").text == "hello"
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{served.port}/", trust_env=False)
    assert seen_from(served.port, paths[0]) == "first"
    certificate(tmp_path, "second")
    os.utime(paths[0], (1, 1))
    server.renew()
    assert seen_from(served.port, paths[0]) == "second"
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(paths[0].read_bytes())
    paths[0].write_text("nonsense")
    server.renew()
    assert seen_from(served.port, trusted) == "second"
    served.stop()


def test_files_that_are_no_certificate(tmp_path: Path) -> None:
    """Told before anything is served."""
    paths = certificate(tmp_path, "x")
    with pytest.raises(FileUnreadable):
        settings(Response(""), tls=(paths[0], tmp_path / "nothing"))
    with pytest.raises(BadParameters):
        settings(Response(""), tls=(paths[1], paths[0]))


def test_a_reader_that_does_not_read_is_cut_off() -> None:
    """It holds what was prepared for it for so long only; one that is slow but reads gets all."""
    served = Served(large, stall_seconds=2.0)
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.socket() as stalled, socket.socket() as slow:
        for raw in (stalled, slow):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            raw.connect(("127.0.0.1", served.port))
            raw.sendall(request)
            raw.settimeout(20)
        started, got = time.monotonic(), 0
        while part := slow.recv(1 << 18):
            got += len(part)
            if got < 1 << 18:
                time.sleep(0.01)
            if part.endswith(b"0\r\n\r\n"):
                break
        assert got > 16 << 20
        while time.monotonic() - started < 15 and served.server.server_state.tasks:
            time.sleep(0.05)
        assert not served.server.server_state.tasks
        left = 0
        with contextlib.suppress(ConnectionResetError):  # what lay ready is dropped
            while part := stalled.recv(1 << 20):
                left += len(part)
        assert left < 4 << 20
    served.stop()


def test_bodies_wait_for_room() -> None:
    """No more is held than there may be; who waits comes in turn; who waits too long, or is too many, is told."""

    async def run() -> None:
        room = Room(100, patience=0.3)
        held: list[int] = []

        async def body(size: int, seconds: float) -> None:
            async with room.of(size):
                held.append(room.taken)
                await asyncio.sleep(seconds)

        await asyncio.gather(*(body(40, 0.05) for _ in range(6)))
        assert max(held) == 80
        assert room.taken == 0
        await body(1000, 0)  # larger than all room: alone
        long = asyncio.ensure_future(body(90, 3.0))
        await asyncio.sleep(0.01)
        with pytest.raises(NodeRefused) as caught:
            await body(20, 0)
        assert (caught.value.data["status"], caught.value.data["retry_after"]) == (503, 1)
        leaving = asyncio.ensure_future(body(20, 0))
        await asyncio.sleep(0.01)
        leaving.cancel()
        crowd = await asyncio.gather(*(body(20, 0) for _ in range(300)), return_exceptions=True)
        assert all(isinstance(item, NodeRefused) for item in crowd)
        await long
        assert room.taken == 0
        assert not room._waiting
        await body(100, 0)

    asyncio.run(run())


def test_a_node_that_starts_asks_a_chain_that_fails_again() -> None:
    """At whichever question it fails, until the time is over; what is wrong with the node itself ends it at once."""
    gone = ChainUnreachable("gone")
    answers: list[Exception | str] = [gone, gone, "there", gone]
    asked: list[int] = []

    def question() -> str:
        asked.append(len(asked))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert Patience(5.0, pause=0.01).do(question) == "there"
    assert len(asked) == 3
    with pytest.raises(ChainUnreachable):
        Patience(-1.0, pause=0.01).do(question)
    answers = [BadParameters("wrong key"), "never asked"]
    with pytest.raises(BadParameters):
        Patience(5.0, pause=0.01).do(question)
    assert answers == ["never asked"]


def test_half_open_connections_leave_room_for_others() -> None:
    """Three hundred connections that say nothing are closed, and others are served beside them."""
    served = Served(Response("here"), head_seconds=1.0)
    silent = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(300)]
    try:
        assert httpx.get(served.url, trust_env=False, timeout=10).text == "here"
        deadline = time.monotonic() + 15
        while len(served.server.server_state.connections) > 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(served.server.server_state.connections) <= 1
    finally:
        for raw in silent:
            raw.close()
        served.stop()


def test_a_line_that_breaks_in_the_middle_of_a_body() -> None:
    """Behind a proxy that stops passing bytes on, without a word, a body is given up and its thread is free."""
    reached, freed = threading.Event(), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        from starlette.requests import Request

        from qanat.node.api import read_body

        reached.set()
        with pytest.raises(NodeRefused, match="longer than"):
            await read_body(Request(scope, receive), 1 << 20, 0.7)
        freed.set()
        await Response("", 408)(scope, receive, send)

    served = Served(app)
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        client = socket.create_connection(proxy.getsockname())
        inside, _ = proxy.accept()
        outside = socket.create_connection(("127.0.0.1", served.port))
        client.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000))
        outside.sendall(inside.recv(1 << 16))  # and then nothing more in either direction
        assert reached.wait(10)
        assert freed.wait(10)
        for raw in (client, inside, outside):
            raw.close()
    served.stop()
