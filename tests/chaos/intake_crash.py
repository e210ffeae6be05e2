"""A node's intake, killed at every instant at which something becomes durable: a program of its own.

    python tests/chaos/intake_crash.py FOLDER [STRIDE]

A child (a fork, ended by SIGKILL) takes an object in and signs it, and dies before or after its n-th step; a step is
every write into an LMDB transaction, every transaction, every put and flush of the store, and every signing. It tells
what it acknowledged through a pipe. The next child opens the folder, must find all that was acknowledged, and finishes:
the signature, if one was told, is the same. n runs until a child comes through. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["QANAT_THREADS"] = "1"
# not as tests.unit: an installed package may be called `tests` too
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from node_doubles import FakeNode, FakeViews, make_people

from qanat import bls
from qanat.node.state import NodeState
from qanat.objects import encode
from qanat.store.environment import Environment, Transaction
from qanat.store.lmdb_store import LmdbStore

OBJECT = b"\x41" * 32
PEOPLE = make_people(2)
ENCODED = encode(bytes(i * i % 251 for i in range(6000)), k=2, n=4, width=64)
STEPS: list[tuple[type, str]] = [
    (Transaction, "put"),
    (Transaction, "delete"),
    (Environment, "write"),
    (LmdbStore, "put"),
    (LmdbStore, "flush"),
    (NodeState, "keep_manifest"),
    (NodeState, "record_signature"),
    (bls.SecretKey, "sign"),
]


def die_at(number: int) -> list[str]:
    """Make this process die at its ``number``-th step, counted from 0; returns where it notes the steps' names."""
    passed: list[str] = []

    def step(name: str) -> None:
        if len(passed) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        passed.append(name)

    def around(kind: type, name: str) -> None:
        whole: Callable[..., Any] = getattr(kind, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            step(f"before {kind.__name__}.{name}")
            result = whole(*arguments, **named)
            step(f"after {kind.__name__}.{name}")
            return result

        setattr(kind, name, watched)

    for kind, name in STEPS:
        around(kind, name)
    return passed


def take_in(folder: Path, tell: Callable[[str, str], None], begin: Callable[[], None] = lambda: None) -> None:
    """What a node does for an object, each acknowledgement told after it was given; ``begin``: once it runs."""
    views = FakeViews(PEOPLE)
    views.open_object(OBJECT, ENCODED)
    node = FakeNode(views, PEOPLE[0], folder)
    begin()
    node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())
    tell("manifest", "")
    for index in node.own(OBJECT, ENCODED):
        node.intake.accept_slice(OBJECT, index, ENCODED.slices[index])
        tell("slice", str(index))
    tell("signature", node.intake.sign(OBJECT).hex())
    node.stop()


def check(folder: Path, told: list[tuple[str, str]]) -> None:
    """Raise unless the folder has what was acknowledged, and nothing was signed that isn't all there."""
    views = FakeViews(PEOPLE)
    views.open_object(OBJECT, ENCODED)
    node = FakeNode(views, PEOPLE[0], folder)
    acknowledged(node, told)
    signed = node.state.signed(OBJECT)
    if signed is not None:
        for index in node.own(OBJECT, ENCODED):
            if node.store.get(OBJECT, index) != ENCODED.slices[index]:
                raise AssertionError(f"signed, and slice {index} is lost")
    usage = node.store.usage()
    held = list(node.store.indexes(OBJECT))
    if (usage.slices, usage.bytes) != (len(held), 2048 * len(held)):
        raise AssertionError(f"the totals say {usage}, and {len(held)} slices are there")
    node.stop()
    take_in(folder, lambda what, value: told.append((what, value)))
    if not bls.verify(PEOPLE[0].key.public_key, views.digest(OBJECT), bytes.fromhex(told[-1][1])):
        raise AssertionError("the signature does not verify")
    if signed is not None and told[-1][1] != signed.signature:
        raise AssertionError("another signature than the first")


def acknowledged(node: FakeNode, told: list[tuple[str, str]]) -> None:
    """Raise unless all that was told is there."""
    for what, value in told:
        if what == "manifest" and node.state.manifest(OBJECT) != ENCODED.manifest.to_bytes():
            raise AssertionError("the manifest was acknowledged and is not there")
        if what == "slice" and node.store.get(OBJECT, int(value)) != ENCODED.slices[int(value)]:
            raise AssertionError(f"slice {value} was acknowledged and is not there")
    signed = node.state.signed(OBJECT)
    signature = [value for what, value in told if what == "signature"]
    if signature and (signed is None or signed.signature != signature[0]):
        raise AssertionError("a signature left that is not remembered")


def in_child(body: Callable[[Callable[[str, str], None]], None]) -> tuple[int, list[tuple[str, str]]]:
    """Run in a fork; returns its wait status, and what it told."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            body(lambda what, value: [os.write(writing, f"{what} {value}\n".encode()), None][1])
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, encoding="ascii") as told:
        lines = [line.rstrip("\n").split(" ", 1) for line in told]
    _, status = os.waitpid(child, 0)
    return status, [(what, value) for what, value in lines]


def main(folder: Path, stride: int) -> int:
    """Kill at every ``stride``-th step; returns 1 if something that was promised is gone."""
    killed, number, failures = 0, 0, []
    while True:
        place = folder / str(number)

        def child(tell: Callable[[str, str], None], place: Path = place, number: int = number) -> None:
            die_at(number)
            take_in(place, tell)

        status, told = in_child(child)
        died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if not died and status:
            failures.append({"step": number, "what": "intake failed by itself"})
        verdict, _ = in_child(lambda _tell, place=place, told=told: check(place, list(told)))
        if verdict:
            failures.append({"step": number, "what": "not what was promised", "told": told})
        killed += died
        if not died:
            break
        number += stride
    print(json.dumps({"killed": killed, "failures": failures}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
