"""Waits until a chain answers: `wait_for_chain.py URL PID`; exit 1 if the process ends, or after 20 s."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request


def answers(url: str) -> bool:
    """Return whether the endpoint tells its chain id."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=2) as response:  # noqa: S310 (an address given on the command line)
            return "result" in json.load(response)
    except OSError:
        return False


def main() -> int:
    """Poll until it answers; return the exit status."""
    url, process = sys.argv[1], int(sys.argv[2])
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            print(f"the process that should serve {url} has ended", file=sys.stderr)
            return 1
        if answers(url):
            return 0
        time.sleep(0.1)
    print(f"{url} did not answer in 20 s", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
