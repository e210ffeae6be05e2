"""One or several JSON-RPC endpoints of a chain, asked in turn.

What is not a whole answer to what was asked (no connection, a time-out, a status of 429 or 5xx, JSON cut short, an
answer to another question) is asked again, at the next endpoint if there is one; only what every endpoint fails is
:class:`~qanat.errors.ChainUnreachable`. A transaction is handed over once: whether again is for its sender to say.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import requests
from web3 import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from qanat.errors import ChainUnreachable

__all__ = ["Provider", "without_secrets"]

#: Times that every endpoint is asked.
ROUNDS = 3
#: Seconds to wait before the second round, twice as long before the third.
PAUSE = 0.2
#: Longest wait that an endpoint's ``Retry-After`` is granted, in seconds.
LONGEST_WAIT = 10.0
#: Questions that go into one request: providers that sell access refuse more.
MOST_TOGETHER = 50
#: Most bytes of an answer: more than a block or a refused range of logs ever has, less than memory.
MOST_BYTES = 64 * 2**20

_REPEATABLE = ("eth_", "net_", "web3_")
_SENDS = ("eth_sendRawTransaction", "eth_sendTransaction")
#: Methods for which "nothing" is no answer.
_NEVER_NULL = frozenset(
    {
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_estimateGas",
        "eth_gasPrice",
        "eth_getBalance",
        "eth_getCode",
        "eth_getLogs",
        "eth_getTransactionCount",
        "eth_maxPriorityFeePerGas",
    }
)
_BUSY = re.compile(r"rate.?limit|too many requests|throttl|compute units|request.?capacity", re.IGNORECASE)


def without_secrets(url: str) -> str:
    """Cut a URL, or several, down to scheme and host: its path or user part may be an API key."""
    shown = []
    for item in url.split(","):
        scheme, separator, rest = item.strip().partition("://")
        shown.append(f"{scheme}://{rest.split('/')[0].rpartition('@')[2]}" if separator else item.strip())
    return ", ".join(shown)


class _NoAnswer(Exception):
    """An endpoint did not answer, or not what it was asked."""

    def __init__(self, what: str, *, timeout: bool = False, wait: float = 0.0) -> None:
        super().__init__(what)
        self.what, self.timeout, self.wait = what, timeout, wait


class Provider(HTTPProvider):
    """web3's provider over one or several endpoints. Safe to share between threads."""

    def __init__(self, urls: Sequence[str], *, timeout: float) -> None:
        """Make a provider.

        Args:
            urls: the endpoints; the first is asked as long as it answers.
            timeout: seconds that one request may take, from the first byte sent to the last received.
        """
        super().__init__(urls[0], request_kwargs={"timeout": timeout}, exception_retry_configuration=None)
        self.urls = tuple(urls)
        self.timeout = timeout
        self._current = 0
        #: endpoint → whether it serves the chain that the first one served
        self._right: dict[str, bool] = {}
        self._chain_id: Any = None
        #: endpoints that take one question at a time
        self._one_by_one: set[str] = set()
        self._ids = itertools.count(1)
        self._local = threading.local()

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Ask until there is an answer. Raises :class:`ChainUnreachable`.

        A chain's id is asked once, when it is connected to: web3 wants it again before every call that it makes.
        """
        if method == "eth_chainId" and self._chain_id is not None:
            return cast("RPCResponse", {"jsonrpc": "2.0", "id": next(self._ids), "result": self._chain_id})
        repeatable = method.startswith(_REPEATABLE) and method not in _SENDS
        tries = ROUNDS * len(self.urls) if repeatable else 1
        failure = _NoAnswer("no endpoint of this chain")
        for number in range(tries):
            place = self._current
            url = self.urls[place]
            try:
                if self._is_of_this_chain(url):
                    answer = self._ask(url, method, params)
                    if method == "eth_chainId" and self._chain_id is None and "result" in answer:
                        self._chain_id, self._right[url] = answer["result"], True
                    return cast("RPCResponse", answer)
                failure = _NoAnswer("it serves another chain")
            except _NoAnswer as error:
                failure = error
            self._current = (place + 1) % len(self.urls)
            last_of_round = number % len(self.urls) == len(self.urls) - 1
            if last_of_round and number < tries - 1:
                time.sleep(max(PAUSE * 2 ** (number // len(self.urls)), failure.wait))
        others = f" (nor {len(self.urls) - 1} more)" if tries > ROUNDS else ""
        raise ChainUnreachable(
            f"The chain at {without_secrets(url)} cannot be reached{others}: {failure.what} to {method}.",
            hint="Check the address (--rpc) and that the node runs.",
            method=method,
            timeout=failure.timeout,
        )

    def ask_together(self, questions: Sequence[tuple[str, Any]]) -> list[Any]:
        """Ask independent questions, as (method, parameters), in as few requests as the endpoint takes.

        Returns each one's result; None for every one that has none here, be it an error, or that nothing answered:
        :meth:`make_request` asks it again, on its own, and says what is wrong. Nothing that is sent may be among them.
        """
        found: list[Any] = []
        for start in range(0, len(questions), MOST_TOGETHER):
            part = questions[start : start + MOST_TOGETHER]
            url = self.urls[self._current]
            found += [None] * len(part)
            # the id is known once the chain was connected to
            if len(part) < 2 or url in self._one_by_one or self._chain_id is None:
                continue
            try:
                if self._is_of_this_chain(url):
                    found[start:] = self._ask_together(url, part)
            except _NoAnswer:
                continue
        return found

    def _ask_together(self, url: str, questions: Sequence[tuple[str, Any]]) -> list[Any]:
        """Return results by question. Source: JSON-RPC 2.0, section 6: answers come in any order, by their ids."""
        asked = [(next(self._ids), method, params) for method, params in questions]
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params} for number, method, params in asked
        ]
        status, _, raw = self._post(url, json.dumps(body, default=_plain).encode())
        try:
            answers = json.loads(raw)
        except ValueError:
            answers = None
        if status == 429 or status >= 500:
            raise _NoAnswer(f"HTTP status {status}")
        if not isinstance(answers, list):
            self._one_by_one.add(url)
            raise _NoAnswer("it takes one question at a time")
        results: dict[Any, Any] = {}
        for answer in answers:
            if isinstance(answer, dict) and answer.get("error") is None and isinstance(answer.get("id"), (int, str)):
                results[str(answer["id"])] = answer.get("result")
        return [results.get(str(number)) for number, _, _ in asked]

    def _is_of_this_chain(self, url: str) -> bool:
        """Whether another endpoint than the first serves the same chain: asked once."""
        if self._chain_id is None:
            return True
        if url not in self._right:
            self._right[url] = self._ask(url, "eth_chainId", []).get("result") == self._chain_id
        return self._right[url]

    def _ask(self, url: str, method: str, params: Any) -> dict[str, Any]:
        number = next(self._ids)
        question = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        status, wait, body = self._post(url, json.dumps(question, default=_plain).encode())
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        whole = isinstance(answer, dict) and ("result" in answer or answer.get("error") is not None)
        if status == 429 or status >= 500:
            raise _NoAnswer(f"HTTP status {status}", wait=wait)
        if not whole:
            raise _NoAnswer(f"HTTP status {status}" if status >= 400 else "no JSON-RPC answer")
        if answer.get("id") not in (number, str(number)) and not (answer.get("id") is None and answer.get("error")):
            raise _NoAnswer("the answer to another question")
        error = answer.get("error")
        if error is None:
            answer.pop("error", None)
            if answer["result"] is None and method in _NEVER_NULL:
                raise _NoAnswer("an empty answer")
        elif _BUSY.search(str(error.get("message", "")) if isinstance(error, dict) else str(error)):
            raise _NoAnswer("that it is asked too often")
        return cast("dict[str, Any]", answer)

    def _post(self, url: str, body: bytes) -> tuple[int, float, bytes]:
        """Return status, seconds to wait, body."""
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        deadline = time.monotonic() + self.timeout
        try:
            headers = {"content-type": "application/json", "accept": "application/json"}
            with session.post(url, data=body, headers=headers, timeout=self.timeout, stream=True) as answer:
                parts, size = [], 0
                for part in answer.iter_content(1 << 16):
                    parts.append(part)
                    size += len(part)
                    if size > MOST_BYTES:
                        raise _NoAnswer(f"more than {MOST_BYTES >> 20} MiB", timeout=True)
                    if time.monotonic() > deadline:
                        raise _NoAnswer("no answer in time", timeout=True)
                return answer.status_code, _seconds(answer.headers.get("retry-after", "")), b"".join(parts)
        except requests.Timeout:
            raise _NoAnswer("no answer in time", timeout=True) from None
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
            raise _NoAnswer("half an answer") from None
        except requests.ConnectionError as error:
            # a body whose next part does not come is told as a connection's error
            late = "timed out" in str(error).lower()
            raise _NoAnswer("no answer in time" if late else "no connection", timeout=late) from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise _NoAnswer(f"no answer ({type(error).__name__})") from None


def _seconds(text: str) -> float:
    return min(float(text), LONGEST_WAIT) if text.isdigit() else 0.0


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return "0x" + bytes(value).hex()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
