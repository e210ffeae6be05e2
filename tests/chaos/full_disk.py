"""A node's intake on a disk that is full after n more pages, for each n: a program of its own.

    python tests/chaos/full_disk.py FOLDER (disk|limit) [STRIDE]

``disk``: FOLDER is a small file system of its own, and a file fills it up; ``limit``: no file may grow any more
(RLIMIT_FSIZE). A child opens a node, the room is taken away but for n pages, and the node takes an object in until it
is refused: then it is ended by SIGKILL. The next one opens the folder with the disk as full as it is, and must find all
that was acknowledged. With room again the third finds it too, finishes, and signs what the first signed, if it did. n
runs until an intake comes through. Prints one JSON object.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from intake_crash import OBJECT, PEOPLE, FakeNode, FakeViews, acknowledged, check, in_child, take_in

from qanat.errors import QanatError

PAGE = 4096
#: More than an intake needs: an end where it never comes through.
MOST_PAGES = 400


class FullDisk:
    """Takes the room of a file system away with a file in it."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self, pages: int) -> None:
        """Leave room for so many pages."""
        with self._ballast.open("wb") as file, contextlib.suppress(OSError):
            while True:
                os.write(file.fileno(), bytes(PAGE))
        size = self._ballast.stat().st_size
        os.truncate(self._ballast, max(0, size - pages * PAGE))

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    @contextlib.contextmanager
    def still_full(self) -> Iterator[None]:
        """It stays as it is."""
        yield


class NoGrowth:
    """Lets no file of this process grow beyond the largest that there is, and so many pages more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self._limit = 0

    def fill(self, pages: int) -> None:
        """Leave room for so many pages in the largest file."""
        largest = max(item.stat().st_size for item in self._folder.rglob("data.mdb"))
        self._limit = largest + pages * PAGE
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._limit, self._before[1]))

    def free(self) -> None:
        """Let files grow."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)

    @contextlib.contextmanager
    def still_full(self) -> Iterator[None]:
        """The limit was its process's own: another one has it too."""
        sizes = [item.stat().st_size for item in self._folder.rglob("data.mdb")]
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes), self._before[1]))
        yield
        self.free()


def take_in_until_refused(place: Path, disk: FullDisk | NoGrowth, pages: int, tell: Callable[[str, str], None]) -> None:
    """Take an object in while room goes out; dies either way."""
    try:
        take_in(place, tell, begin=lambda: disk.fill(pages))
    except QanatError as error:
        tell("refused" if "Free some space" in str(error) else "failed", str(error))
    os.kill(os.getpid(), signal.SIGKILL)


def find_on_a_full_disk(place: Path, told: list[tuple[str, str]]) -> None:
    """Raise unless a node that starts now has what was acknowledged."""
    node = FakeNode(FakeViews(PEOPLE), PEOPLE[0], place)
    acknowledged(node, told)
    if not any(what == "signature" for what, _ in told) and node.state.signed(OBJECT) is not None:
        # it was synced before it left: then all that it is for is there
        acknowledged(node, [("slice", str(index)) for index in node.store.indexes(OBJECT)])
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, kind: str, stride: int) -> int:
    """Let the disk be full at every ``stride``-th page; returns 1 if something that was promised is gone."""
    refused, pages, failures = 0, 0, []
    while pages < MOST_PAGES:
        place = folder / str(pages)
        disk = FullDisk(folder) if kind == "disk" else NoGrowth(place)

        def first(tell: Callable[[str, str], None], place: Path = place, pages: int = pages) -> None:
            take_in_until_refused(place, disk, pages, tell)  # noqa: B023 (it runs before the next round)

        status, told = in_child(first)
        through = told[-1:] and told[-1][0] == "signature"
        if not through and [what for what, _ in told[-1:]] != ["refused"]:
            failures.append({"pages": pages, "what": "it was not refused for want of room", "told": told})
        promised = [item for item in told if item[0] not in ("refused", "failed")]
        with disk.still_full():
            status, _ = in_child(lambda _tell, place=place, told=promised: find_on_a_full_disk(place, list(told)))
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            failures.append(
                {"pages": pages, "what": f"no start on the full disk, or not all there ({status})", "told": told}
            )
        disk.free()
        status, _ = in_child(lambda _tell, place=place, told=promised: check(place, list(told)))
        if status:
            failures.append({"pages": pages, "what": "not what was promised, with room again", "told": told})
        shutil.rmtree(place)
        if through:
            break
        refused += 1
        pages += stride
    print(json.dumps({"refused": refused, "pages": pages, "failures": failures}))
    return 1 if failures or pages >= MOST_PAGES else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1))
