"""Storings that run at the same time share a certificate where several wait for theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from qanat.client import together as module
from qanat.client.listing import CertifiedList
from qanat.client.together import Brought, Together
from qanat.errors import ChainUnreachable, QuorumNotReached

IDS = [bytes([number]) * 32 for number in range(5)]


class Chain:
    """Notes what is brought, in the order of its beginning; the first one waits until it is let go."""

    def __init__(self) -> None:
        self.brought: list[tuple[bytes, ...]] = []
        self.let_go = threading.Event()
        self.fails: Exception | None = None

    def alone(self, object_id: bytes) -> Callable[[], str]:
        def bring() -> str:
            self.brought.append((object_id,))
            assert self.let_go.wait(10)
            return f"alone {object_id[0]}"

        return bring

    def many(self, _views: Any, _sender: Any, object_ids: Sequence[bytes], **_: Any) -> CertifiedList:
        self.brought.append(tuple(object_ids))
        if self.fails is not None:
            raise self.fails
        return CertifiedList(tuple(object_ids), {"0x01": b"signature"}, {"0x02": "was away"}, "list")


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Chain:
    made = Chain()
    monkeypatch.setattr(module, "certify_list", made.many)
    return made


def bring_all(chain: Chain, together: Together, ids: Sequence[bytes] = IDS) -> list[Brought]:
    """Bring the first alone; while it is under way the others come, in order; return what came of each."""
    with ThreadPoolExecutor(len(ids)) as pool:
        tasks = []
        for number, object_id in enumerate(ids):
            tasks.append(pool.submit(together.bring, object_id, chain.alone(object_id)))
            wait_for(lambda number=number: len(together._waiting) == number and len(chain.brought) == 1)
        chain.let_go.set()
        return [task.result(10) for task in tasks]


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_one_waits_for_nobody_and_those_that_come_meanwhile_share_one(chain: Chain) -> None:
    """Two transactions for five objects, and each storing is told who signed what it is under."""
    first, *others = bring_all(chain, Together(None, None))  # type: ignore[arg-type]
    assert [sorted(ids) for ids in chain.brought] == [IDS[:1], IDS[1:]]
    assert first == Brought("alone 0")
    assert [item.transaction for item in others] == ["list"] * 4
    assert all(item.listed is not None and item.listed.failures == {"0x02": "was away"} for item in others)


def test_a_list_has_a_length(chain: Chain) -> None:
    """The rest waits for the next one."""
    chain_of = Together(None, None, most=3)  # type: ignore[arg-type]
    bring_all(chain, chain_of)
    assert [len(ids) for ids in chain.brought] == [1, 3, 1]
    assert sorted(object_id for ids in chain.brought for object_id in ids) == IDS


@pytest.mark.parametrize("error", [QuorumNotReached("one refused"), ChainUnreachable("gone")])
def test_a_list_that_fails_leaves_each_to_itself(chain: Chain, error: Exception) -> None:
    """One attempt is lost, no object."""
    chain.fails = error
    found = bring_all(chain, Together(None, None))  # type: ignore[arg-type]
    assert [item.transaction for item in found] == [f"alone {number}" for number in range(5)]
    assert sorted(chain.brought[2:]) == [(object_id,) for object_id in IDS[1:]]


def test_what_fails_alone_holds_up_nobody(chain: Chain) -> None:
    """The storing hears of it; the next one brings its own."""
    together = Together(None, None)  # type: ignore[arg-type]

    def fail() -> str:
        raise ChainUnreachable("gone")

    with pytest.raises(ChainUnreachable):
        together.bring(IDS[0], fail)
    chain.let_go.set()
    assert together.bring(IDS[1], chain.alone(IDS[1])) == Brought("alone 1")
