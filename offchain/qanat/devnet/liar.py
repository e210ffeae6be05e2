"""A holder of a key that lies: it stands where an operator's node stood, and signs answers that are wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from eth_utils.conversions import to_bytes

from qanat import bls
from qanat.client.release import HeldKey
from qanat.devnet.network import PASSPHRASE, OperatorHost
from qanat.keys.curve import curve_kernel, multiply_g1
from qanat.keys.holding import Receipt

__all__ = ["lying_holder"]


@contextmanager
def lying_holder(host: OperatorHost, held: HeldKey, place: int, licensee: str, block: int) -> Iterator[None]:
    """Answer in the place of a holder, whose node must be down, until the body ends.

    ``licensee``: whose license is asked with. ``block``: the one that receipts name. The receipts are signed with the
    operator's own key, so they are evidence.
    """
    key = bls.load_key(host.folder / "keys" / "bls.json", PASSPHRASE)
    curve, context = curve_kernel(), held.context

    class Liar(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            point, answer = to_bytes(hexstr=asked["point"]), multiply_g1(curve, curve.g1, 12345)
            names = (context.asset_id, context.key_epoch, place, asked["licenseId"], to_bytes(hexstr=licensee))
            receipt = Receipt(*names, block, point, answer)
            said = {
                "operator": host.address,
                "place": place,
                "blockNumber": block,
                "answer": "0x" + answer.hex(),
                "signature": "0x" + key.sign(receipt.digest(context.chain_id, context.contract)).hex(),
            }
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        allow_reuse_address = True
        daemon_threads = True

    server = Server(("127.0.0.1", host.port), Liar)
    thread = threading.Thread(target=server.serve_forever, name="liar", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
