"""A drand network of our own, and the relay that serves its rounds over HTTP, as drand's API does."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import Self

from qanat.bls.kernels import signature_kernel
from qanat.chain.randomness import DRAND_TAG, round_message
from qanat.kzg.points import compress_raw, from_padded

SECRET = 0xD7A4D


class Relay:
    """Serves ``/public/N`` on loopback; the first request for each round finds it not signed yet."""

    def __init__(self, secret: int = SECRET) -> None:
        self.secret = secret
        self.key = signature_kernel("fast").public_key(secret)
        self.served = self.refused = 0
        self.asked: set[int] = set()
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = relay.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def sign(self, number: int) -> bytes:
        """Return a round's signature, 128 bytes."""
        return signature_kernel("fast").sign(self.secret, round_message(number), DRAND_TAG)

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return the answer to a request."""
        number = int(path.removeprefix("/public/"))
        if number not in self.asked:
            self.asked.add(number)
            self.refused += 1
            return 404, b"{}"
        self.served += 1
        signature = compress_raw(from_padded(self.sign(number))).hex()
        return 200, json.dumps({"round": number, "signature": signature}).encode()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
