"""Two stores as one: what is used lies in the hot one, the rest in the cold one.

Puts go to the hot store, which makes them durable. When it is nearly full, a thread moves what was used longest ago to
the cold one; what is read from there for the second time lately comes back (a single pass over everything, as a
scrubber makes, brings nothing back). A move is copy, sync, then delete: at no instant is the only copy under way. Where
a crash left both copies, the hot one is the newer and stays.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from qanat.errors import BadParameters, SliceNotFound, StoreCorrupted, StoreError
from qanat.store.locks import KeyedLocks
from qanat.store.protocol import SliceStore, Usage, not_found, slice_key, split_key

__all__ = ["TieredStore"]

#: Moving begins above the first and ends below the second share of the hot store's bytes.
_FULL, _ROOMY = 0.9, 0.8
_BATCH_SLICES, _BATCH_BYTES = 64, 16 << 20
#: How far from the oldest slice others of its object are looked for.
_LOOK = 512
#: Slices whose first reading from the cold store is remembered.
_REMEMBERED = 4096
_RETRY_SECONDS = 5.0
log = structlog.get_logger("qanat.store")


class TieredStore:
    """A :class:`SliceStore` over two others, which it owns and closes.

    :param hot_bytes: most bytes of slices in the hot store. A put waits while it is full, and raises
        :class:`StoreError` (status 507) when nothing can be moved.
    """

    def __init__(self, hot: SliceStore, cold: SliceStore, *, hot_bytes: int) -> None:
        if hot_bytes < 1:
            raise BadParameters("The hot store needs room for at least one byte.", field="hotBytes")
        self.hot, self.cold = hot, cold
        self._limit = hot_bytes
        self._locks = KeyedLocks()
        self._changed = threading.Condition()
        #: keys in the hot store with their lengths, the one used longest ago first
        self._hot: OrderedDict[bytes, int] = OrderedDict()
        self._hot_bytes = 0
        #: bytes of puts that are under way, and whether one waits for room
        self._reserved, self._wanted = 0, False
        self._read_once: OrderedDict[bytes, None] = OrderedDict()
        self._failure: StoreError | None = None
        self._ended = False
        self._take_stock()
        usage = cold.usage()
        self._cold_slices, self._cold_bytes = usage.slices, usage.bytes
        self._mover = threading.Thread(target=self._run, name="tiers", daemon=True)
        self._mover.start()

    # ---- SliceStore

    def put(self, object_id: bytes, index: int, data: bytes) -> None:
        """See :class:`SliceStore`."""
        key = slice_key(object_id, index)
        with self._room(key, len(data)), self._locks.of(object_id):
            in_cold = key not in self._hot and self.cold.has(object_id, index)
            old = self.cold.size(object_id, index) if in_cold else 0
            self.hot.put(object_id, index, data)
            if in_cold:
                self.hot.flush()
                self.cold.delete(object_id, index)
            with self._changed:
                self._hot_bytes += len(data) - self._hot.pop(key, 0)
                self._hot[key] = len(data)
                self._cold_slices -= in_cold
                self._cold_bytes -= old
                self._changed.notify_all()

    def get(self, object_id: bytes, index: int) -> bytes:
        """See :class:`SliceStore`."""
        key = slice_key(object_id, index)
        for store in (self.hot, self.cold, self.hot):  # it may move from one to the other between two looks
            try:
                data = store.get(object_id, index)
            except SliceNotFound:
                continue
            if store is self.hot:
                with self._changed:
                    if key in self._hot:
                        self._hot.move_to_end(key)
            elif self._is_read_again(key):
                self._bring_back(object_id, index)
            return data
        raise not_found(object_id, index)

    def has(self, object_id: bytes, index: int) -> bool:
        """See :class:`SliceStore`."""
        return any(store.has(object_id, index) for store in (self.hot, self.cold, self.hot))

    def size(self, object_id: bytes, index: int) -> int:
        """See :class:`SliceStore`."""
        for store in (self.hot, self.cold, self.hot):
            try:
                return store.size(object_id, index)
            except SliceNotFound:
                continue
        raise not_found(object_id, index)

    def delete(self, object_id: bytes, index: int) -> bool:
        """See :class:`SliceStore`."""
        slice_key(object_id, index)
        with self._locks.of(object_id):
            return self._delete(object_id, [index]) > 0

    def delete_object(self, object_id: bytes) -> int:
        """See :class:`SliceStore`."""
        with self._locks.of(object_id):
            return self._delete(object_id, list(self.indexes(object_id)))

    def indexes(self, object_id: bytes) -> Iterator[int]:
        """See :class:`SliceStore`."""
        hot = set(self.hot.indexes(object_id))
        # the cold ones after the hot ones, and these again: nothing that moves meanwhile is left out
        return iter(sorted(hot.union(self.cold.indexes(object_id), self.hot.indexes(object_id))))

    def objects(self) -> Iterator[bytes]:
        """See :class:`SliceStore`."""
        hot = set(self.hot.objects())
        return iter(sorted(hot.union(self.cold.objects(), self.hot.objects())))

    def usage(self) -> Usage:
        """See :class:`SliceStore`."""
        with self._changed:
            return Usage(len(self._hot) + self._cold_slices, self._hot_bytes + self._cold_bytes)

    def tiers(self) -> tuple[Usage, Usage]:
        """Return how much lies in the hot and how much in the cold store."""
        with self._changed:
            return Usage(len(self._hot), self._hot_bytes), Usage(self._cold_slices, self._cold_bytes)

    def flush(self) -> None:
        """See :class:`SliceStore`."""
        self.hot.flush()  # what is cold became durable before it left the hot store

    def close(self) -> None:
        """See :class:`SliceStore`."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._mover.join()
        try:
            self.hot.close()
        finally:
            self.cold.close()

    # ---- moving

    def _take_stock(self) -> None:
        """List what is hot. Of a slice left in both stores the cold copy goes, or the hot one if it is damaged."""
        for object_id in self.hot.objects():
            for index in self.hot.indexes(object_id):
                if self.cold.has(object_id, index) and self._is_left_cold(object_id, index):
                    continue
                size = self.hot.size(object_id, index)
                self._hot[slice_key(object_id, index)] = size
                self._hot_bytes += size

    def _is_left_cold(self, object_id: bytes, index: int) -> bool:
        try:
            self.hot.get(object_id, index)
        except StoreCorrupted:
            self.cold.get(object_id, index)  # its error passes through: neither copy is deleted then
            self.hot.delete(object_id, index)
            return True
        self.cold.delete(object_id, index)
        return False

    def _delete(self, object_id: bytes, indexes: list[int]) -> int:
        """Delete from the cold store first: what a crash leaves must not come back from there."""
        found = 0
        for index in indexes:
            key = slice_key(object_id, index)
            cold = self.cold.size(object_id, index) if self.cold.has(object_id, index) else None
            if cold is not None:
                self.cold.delete(object_id, index)
            if cold is not None and key not in self._hot:
                found += 1
                with self._changed:
                    self._cold_slices, self._cold_bytes = self._cold_slices - 1, self._cold_bytes - cold
            if key in self._hot:
                found += self.hot.delete(object_id, index)
                self._forget_hot(key)
        return found

    def _forget_hot(self, key: bytes) -> None:
        with self._changed:
            self._hot_bytes -= self._hot.pop(key, 0)
            self._changed.notify_all()

    @contextmanager
    def _room(self, key: bytes, length: int) -> Iterator[None]:
        """Wait until a slice has room in the hot store, and keep it free."""
        if length > self._limit:
            raise StoreError(f"A slice of {length} bytes is larger than the hot store.", status=507)
        with self._changed:
            while self._hot_bytes + self._reserved - self._hot.get(key, 0) + length > self._limit:
                if self._ended:
                    raise StoreError("The store is closed.")
                if self._failure is not None:
                    raise StoreError(
                        f"The hot store is full and nothing can be moved: {self._failure.message}",
                        hint=self._failure.hint,
                        status=507,
                    ) from self._failure
                self._wanted = True
                self._changed.notify_all()
                self._changed.wait(1.0)
            self._wanted = False
            self._reserved += length
        try:
            yield
        finally:
            with self._changed:
                self._reserved -= length
                self._changed.notify_all()

    def _is_read_again(self, key: bytes) -> bool:
        with self._changed:
            if self._read_once.pop(key, b"") is None:
                return True
            self._read_once[key] = None
            if len(self._read_once) > _REMEMBERED:
                self._read_once.popitem(last=False)
            return False

    def _bring_back(self, object_id: bytes, index: int) -> None:
        """Move a slice to the hot store if there is room now; a reader waits for nobody."""
        key = slice_key(object_id, index)
        with self._locks.of(object_id):
            if key in self._hot or not self.cold.has(object_id, index):
                return
            try:
                size = self.cold.size(object_id, index)
                with self._changed:
                    if self._hot_bytes + size > self._limit:
                        return
                self.hot.put(object_id, index, self.cold.get(object_id, index))
                self.hot.flush()
                with self._changed:
                    self._hot[key] = size
                    self._hot_bytes += size
                    self._cold_slices, self._cold_bytes = self._cold_slices - 1, self._cold_bytes - size
                    self._changed.notify_all()
                self.cold.delete(object_id, index)
            except StoreError as error:
                log.warning("slice not brought back", error=error.message)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._wanted or self._hot_bytes > _FULL * self._limit)
            while not self._ended and (self._wanted or self._hot_bytes > _ROOMY * self._limit):
                failure: StoreError | None = None
                try:
                    if not self._move_oldest():
                        failure = StoreError("The oldest slices can't be read.", hint="Check the disk.")
                except StoreError as error:
                    failure = error
                except Exception as error:  # the outermost loop of its thread
                    log.exception("slices not moved")
                    failure = StoreError(f"Moving failed: {error}.")
                with self._changed:
                    self._failure = failure
                    self._changed.notify_all()
                    if failure is not None:
                        log.warning("slices not moved", error=failure.message)
                        self._changed.wait_for(lambda: self._ended, _RETRY_SECONDS)
            if self._ended:
                return

    def _move_oldest(self) -> int:
        """Move a batch of the slices that were used longest ago, of one object; return how many left the hot store."""
        with self._changed:
            oldest = next(iter(self._hot), None)
        if oldest is None:
            return 0
        object_id = split_key(oldest)[0]
        with self._locks.of(object_id):
            batch: dict[int, int] = {}
            for index in self._oldest_of(object_id):
                try:
                    data = self.hot.get(object_id, index)
                except (SliceNotFound, StoreCorrupted):
                    # it can't be moved; whoever reads it finds out, and it can be put again
                    with self._changed:
                        self._hot.move_to_end(slice_key(object_id, index))
                    continue
                self.cold.put(object_id, index, data)
                batch[index] = len(data)
            self.cold.flush()
            for index, length in batch.items():
                self.hot.delete(object_id, index)
                with self._changed:
                    self._hot_bytes -= self._hot.pop(slice_key(object_id, index), 0)
                    self._cold_slices, self._cold_bytes = self._cold_slices + 1, self._cold_bytes + length
                    self._changed.notify_all()
            return len(batch)

    def _oldest_of(self, object_id: bytes) -> list[int]:
        chosen: list[int] = []
        size = 0
        with self._changed:
            for number, (key, length) in enumerate(self._hot.items()):
                if number >= _LOOK or len(chosen) >= _BATCH_SLICES or size >= _BATCH_BYTES:
                    break
                if key[:32] == object_id:
                    chosen.append(split_key(key)[1])
                    size += length
        return chosen
