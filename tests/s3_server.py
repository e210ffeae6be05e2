"""An S3 of our own, as a process of its own: moto's server."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import httpx

from qanat.devnet.processes import assign_ports


class S3:
    """Runs until :meth:`stop`; takes any credentials."""

    def __init__(self) -> None:
        self.port = assign_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(self.url, timeout=2, trust_env=False)
            except httpx.HTTPError:
                assert time.monotonic() < deadline, "moto does not start"
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def options(self, seconds: float = 30) -> dict[str, Any]:
        config = {"retries": {"max_attempts": 1}, "connect_timeout": seconds, "read_timeout": seconds}
        return {"endpoint_url": self.url, "key": "any", "secret": "any", "config_kwargs": config}

    def bucket(self, name: str) -> str:
        """Make a bucket; returns a prefix in it."""
        assert httpx.put(f"{self.url}/{name}", timeout=10, trust_env=False).status_code == 200
        return f"s3://{name}/node one"
