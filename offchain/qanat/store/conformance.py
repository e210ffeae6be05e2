"""What every slice store must pass: run :func:`check_store` on yours.

::

    check_store(lambda: MyStore(folder), durable=True, damage=flip_one_stored_byte)
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from qanat.errors import BadParameters, SliceNotFound, StoreCorrupted
from qanat.store.protocol import SliceStore

__all__ = ["ConformanceError", "check_store"]

A, B = bytes(31) + b"\x01", bytes(31) + b"\x02"


class ConformanceError(AssertionError):
    """A store does not do what :class:`SliceStore` says."""


def check_store(
    make: Callable[[], SliceStore],
    *,
    durable: bool,
    damage: Callable[[SliceStore, bytes, int], SliceStore] | None = None,
    steps: int = 40,
) -> None:
    """Runs the whole conformance test.

    ``make`` opens the store; called again after ``close`` it opens the same one, empty at first. ``durable``:
    whether what was flushed is
    there after reopening. ``damage(store, object_id, index)`` alters one stored byte of a slice and returns the
    store to go on with; without it
    the checksum goes untested. ``steps``: of each of six threads; less for a store far away. Raises
    :class:`ConformanceError`.
    """
    store = make()
    _expect(isinstance(store, SliceStore), "the store has all methods of SliceStore")
    _reads_what_was_put(store)
    _keeps_order(store)
    _refuses_bad_keys(store)
    _deletes(store)
    _survives_threads(store, steps)
    store = _reopens(store, make) if durable else store
    if damage is not None:
        _finds_damage(store, damage)
    else:
        store.close()


def _reads_what_was_put(store: SliceStore) -> None:
    _expect(store.usage().slices == 0, "a new store is empty")
    for data in (b"x" * 2048, b"", bytes(131072)):
        store.put(A, 7, data)
        _expect(store.get(A, 7) == data, "a slice is readable before flush, and replaces the earlier one")
        store.flush()
        _expect(store.get(A, 7) == data and store.has(A, 7), "a slice is readable after flush")
        _expect(
            (store.usage().slices, store.usage().bytes) == (1, len(data)), "usage counts slices and their bytes once"
        )
    _expect(not store.has(B, 7) and not store.has(A, 8), "has tells objects and indexes apart")
    _expect(store.size(A, 7) == 131072, "size is the slice's length")
    _raises(SliceNotFound, lambda: store.get(A, 8))
    _raises(SliceNotFound, lambda: store.size(A, 8))


def _keeps_order(store: SliceStore) -> None:
    for index in (300, 2, 1, 256, 2**40):
        store.put(B, index, index.to_bytes(8, "big"))
    _expect(list(store.indexes(B)) == [1, 2, 256, 300, 2**40], "indexes ascend by number, not by text")
    _expect(list(store.indexes(A)) == [7], "indexes are of one object")
    _expect(list(store.objects()) == [A, B], "objects are listed once each, ascending")
    walk = store.indexes(B)
    next(walk)
    store.put(B, 3, b"later")
    _expect(list(walk) == [2, 256, 300, 2**40], "a walk shows the store as of the call")
    store.delete(B, 3)


def _refuses_bad_keys(store: SliceStore) -> None:
    def put(object_id: bytes, index: int) -> Callable[[], None]:
        return lambda: store.put(object_id, index, b"")

    for object_id, index in ((b"short", 0), (A + b"\0", 0), (A, -1), (A, 1 << 64)):
        _raises(BadParameters, put(object_id, index))


def _deletes(store: SliceStore) -> None:
    store.put(A, 9, b"gathered, not flushed")
    _expect(store.delete(A, 9) and not store.has(A, 9), "a slice that was just put can be deleted")
    _expect(not store.delete(A, 9), "deleting nothing says so")
    _expect(store.delete_object(B) == 5 and list(store.indexes(B)) == [], "an object goes with all its slices")
    _expect(store.delete_object(B) == 0 and store.has(A, 7), "deleting one object leaves the others")
    _expect(store.usage().slices == 1, "usage falls with deletion")


def _survives_threads(store: SliceStore, steps: int) -> None:
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for step in range(steps):
                index = 1000 * thread + step
                store.put(B, index, bytes([thread]) * 3000)
                if step % 5 == 0:
                    store.flush()
                _expect(store.get(B, index) == bytes([thread]) * 3000, f"thread {thread} reads its own at {index}")
            store.flush()
        except BaseException as error:  # noqa: BLE001  (handed to the caller's thread)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    _expect(len(list(store.indexes(B))) == 6 * steps, "threads lose nothing to each other")


def _reopens(store: SliceStore, make: Callable[[], SliceStore]) -> SliceStore:
    before = store.usage()
    store.put(A, 11, b"flushed by close")
    _expect(store.usage().bytes == before.bytes + 16, "usage counts what was not flushed yet")
    store.close()
    store = make()
    _expect(store.usage().slices == before.slices + 1, "all slices are there after reopening")
    _expect(store.get(A, 11) == b"flushed by close" and store.get(B, 1000) == bytes([1]) * 3000, "with the same bytes")
    return store


def _finds_damage(store: SliceStore, damage: Callable[[SliceStore, bytes, int], SliceStore]) -> None:
    data = bytes(range(256)) * 16
    store.put(A, 21, data)
    store.put(A, 22, data)
    store.flush()
    store = damage(store, A, 21)
    found = _raises(StoreCorrupted, lambda: store.get(A, 21))
    _expect(found.data.get("object_id") == A and found.data.get("index") == 21, "the error names object and slice")
    _expect(store.get(A, 22) == data, "damage to one slice leaves the others readable")
    store.put(A, 21, data)
    store.flush()
    _expect(store.get(A, 21) == data, "a damaged slice can be replaced")
    store.close()


def _expect(held: bool, what: str) -> None:
    if not held:
        raise ConformanceError(f"This does not hold: {what}.")


def _raises(
    kind: type[StoreCorrupted | SliceNotFound | BadParameters], body: Callable[[], object]
) -> StoreCorrupted | SliceNotFound | BadParameters:
    try:
        body()
    except kind as error:
        return error
    raise ConformanceError(f"{kind.__name__} was not raised.")
