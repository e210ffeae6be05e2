"""A node whose disk is full, at each page of an intake: what it acknowledged is there, and with room it goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.programs import run

#: A mount of one's own: it ends with its process, and needs nobody's leave where user namespaces are allowed.
APART = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
MOUNT = 'mount -t tmpfs -o size=2m,mode=700 qanat "$1" && shift && exec "$@"'
STRIDE = os.environ.get("QANAT_CRASH_STRIDE", "1")


def small_disk(folder: Path) -> list[str]:
    """Words that run a command with a file system of 2 MiB at a folder; skips where none can be mounted."""
    words = [*APART, "sh", "-c", MOUNT, "sh", str(folder)]
    try:
        tried = run(*words, "true", seconds=60)
    except FileNotFoundError:
        pytest.skip("there is no unshare(1) here")
    if tried.returncode:
        pytest.skip(f"no file system can be mounted here: {tried.stderr.strip()}")
    return words


def judge(done: subprocess.CompletedProcess[str]) -> None:
    """Refused for want of room at more than one page, and nothing lost."""
    assert done.stdout, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failures"] == []
    assert done.returncode == 0, done.stderr
    assert found["refused"] > 1


def test_on_a_disk_that_is_full(tmp_path: Path) -> None:
    """ENOSPC, of a small tmpfs: kill -9 there, a start there, then room."""
    judge(run(*small_disk(tmp_path), sys.executable, "tests/chaos/full_disk.py", tmp_path, "disk", STRIDE))


def test_where_files_may_not_grow(tmp_path: Path) -> None:
    """EFBIG (RLIMIT_FSIZE): the same wherever nothing can be mounted."""
    judge(run(sys.executable, "tests/chaos/full_disk.py", tmp_path, "limit", STRIDE))
