"""What stands between a program and its chain, and fails: a proxy on loopback whose faults a test chooses."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

__all__ = ["FAULTS", "TOGETHER", "FaultProxy"]

#: Fault → whether the chain sees the request.
FAULTS = {
    "drop": False,  # the connection ends before anything was passed on
    "lose": True,  # passed on; the connection ends without an answer
    "twice": True,  # passed on twice; the second answer comes back
    "half": True,  # passed on; the answer is cut in the middle
    "empty": True,  # passed on; the result that comes back is null
    "other": True,  # passed on; the answer has another question's id
    "late": True,  # passed on; the answer comes after the client's patience
    "busy": False,  # 429
    "broken": False,  # 503
    "broken-after": True,  # passed on; 503
    "limited": False,  # a JSON-RPC error about too many requests
    "hang": True,  # passed on; nothing comes until the proxy ends
    "swallow": False,  # not passed on; nothing comes until the proxy ends
}
#: What several questions in one request are named as.
TOGETHER = "together"


class FaultProxy:
    """Passes JSON-RPC on; ``fault`` names what goes wrong with a request, by method and how many came before."""

    def __init__(self, url: str, *, patience: float = 1.0) -> None:
        self.target = url
        self.patience = patience
        self.fault: Callable[[str, int], str] = lambda _method, _count: ""
        #: method and request, of each that came
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.reached = threading.Event()
        self._ended = threading.Event()
        self._client = httpx.Client(verify=False, timeout=60)
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                proxy._serve(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> FaultProxy:  # noqa: PYI034 (typing.Self begins with Python 3.11)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.server.shutdown()
        self.server.server_close()
        self._client.close()

    def once(self, method: str, fault: str, *, times: int = 1) -> None:
        """Fail a method's next ``times`` requests."""
        first = self._counts.get(method, 0)
        self.fault = lambda asked, count: fault if asked == method and count < first + times else ""

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        request = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        method = request["method"] if isinstance(request, dict) else TOGETHER
        with self._lock:
            count = self._counts.get(method, 0)
            self._counts[method] = count + 1
            self.seen.append((method, request))
            fault = self.fault(method, count)
        if fault and not FAULTS[fault]:
            self._refuse(handler, request, fault)
            return
        body = self._pass_on(request)
        if fault == "twice":
            body = self._pass_on(request)
        if fault == "hang":
            self.reached.set()
            self._ended.wait()
        if fault == "late":
            time.sleep(2 * self.patience)
        if fault in ("lose", "hang"):
            handler.close_connection = True
        elif fault == "broken-after":
            self._answer(handler, 503, b"")
        elif fault in ("empty", "other"):
            answer = json.loads(body)
            for item in answer if isinstance(answer, list) else [answer]:
                item.update({"result": None} if fault == "empty" else {"id": 0})
            self._answer(handler, 200, json.dumps(answer).encode())
        else:
            self._answer(handler, 200, body, cut=fault == "half")

    def _refuse(self, handler: http.server.BaseHTTPRequestHandler, request: dict[str, Any], fault: str) -> None:
        if fault in ("drop", "swallow"):
            if fault == "swallow":
                self.reached.set()
                self._ended.wait()
            handler.close_connection = True
        elif fault == "limited":
            error = {"code": -32005, "message": "Too Many Requests: rate limit exceeded"}
            answers = [
                {"jsonrpc": "2.0", "id": item["id"], "error": error}
                for item in (request if isinstance(request, list) else [request])
            ]
            self._answer(handler, 200, json.dumps(answers if isinstance(request, list) else answers[0]).encode())
        else:
            self._answer(handler, 429 if fault == "busy" else 503, b"")

    def _pass_on(self, request: dict[str, Any]) -> bytes:
        return self._client.post(self.target, json=request).content

    @staticmethod
    def _answer(handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes, *, cut: bool = False) -> None:
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            handler.close_connection = True
