"""Reading an object's bytes from a second process, mapped: a node's LMDB while it writes, and hot files."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from qanat.errors import BadParameters, SliceNotFound, StoreCorrupted, StoreError
from qanat.node.state import NodeState
from qanat.objects import Encoded, encode
from qanat.store import LmdbStore, MemoryStore
from qanat.store.reader import HOT_SUFFIX, open_reader, write_hot
from tests.unit.test_node_state import make_held

OBJECT, OTHER = b"\x31" * 32, b"\x32" * 32
DATA = random.Random(1).randbytes(20_001)
ENCODED: Encoded = encode(DATA, k=3, n=6, width=64)


def fill(folder: Path, *, leave_out: tuple[int, ...] = ()) -> LmdbStore:
    """A node's folder with one object; returns its store, still open."""
    state = NodeState(folder / "state")
    state.keep_manifest(OBJECT, make_held(), ENCODED.manifest.to_bytes())
    state.close()
    store = LmdbStore(folder / "slices", map_bytes=1 << 20)
    for index, data in enumerate(ENCODED.slices):
        if index not in leave_out:
            store.put(OBJECT, index, data)
    store.flush()
    return store


def read_elsewhere(folder: Path, ranges: list[tuple[int, int]]) -> list[bytes | str]:
    """Read ranges in a second process; an error comes as its name."""
    program = (
        "import json, sys\nfrom qanat.errors import QanatError\nfrom qanat.store.reader import open_reader\n"
        "folder, object_id, ranges = json.loads(sys.argv[1])\n"
        "with open_reader(folder) as reader:\n"
        "    for offset, length in ranges:\n"
        "        try:\n            print(reader.read(bytes.fromhex(object_id), offset, length).hex(), flush=True)\n"
        "        except QanatError as error:\n            print(type(error).__name__)\n"
    )
    given = json.dumps([str(folder), OBJECT.hex(), ranges])
    done = subprocess.run([sys.executable, "-c", program, given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line if line[:1].isupper() else bytes.fromhex(line) for line in done.stdout.split("\n")[:-1]]


def ranges() -> list[tuple[int, int]]:
    """Ends of elements, rows and matrices, the object's end, and random places."""
    row = 31 * 64
    edges = [0, 1, 30, 31, 32, row - 1, row, row + 1, 3 * row - 1, 3 * row, len(DATA) - 1, len(DATA), len(DATA) + 5]
    found = [(offset, length) for offset in edges for length in (0, 1, 31, 32, 4096)]
    draw = random.Random(2)
    return found + [(draw.randrange(len(DATA)), draw.randrange(9000)) for _ in range(60)]


def test_a_second_process_reads_a_running_nodes_slices(tmp_path: Path) -> None:
    """Every offset and length gives the object's bytes, while the node has its store open."""
    store = fill(tmp_path)
    wanted = ranges()
    assert read_elsewhere(tmp_path, wanted) == [DATA[offset : offset + length] for offset, length in wanted]
    store.close()


def test_hot_files_give_the_same_bytes(tmp_path: Path) -> None:
    """Written from any store."""
    store = MemoryStore()
    for index, data in enumerate(ENCODED.slices):
        store.put(OBJECT, index, data)
    path = write_hot(tmp_path, ENCODED.manifest, OBJECT, store)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    wanted = ranges()
    assert read_elsewhere(tmp_path, wanted) == [DATA[offset : offset + length] for offset, length in wanted]
    with open_reader(tmp_path, verify="always") as reader:
        assert reader.size(OBJECT) == len(DATA)
        assert reader.read(OBJECT, 0, 1 << 30) == DATA
        with pytest.raises(SliceNotFound):
            reader.read(OTHER, 0, 1)
        for offset, length in ((-1, 1), (0, -1)):
            with pytest.raises(BadParameters):
                reader.read(OBJECT, offset, length)
    store.delete(OBJECT, 1)
    with pytest.raises(SliceNotFound):
        write_hot(tmp_path / "other", ENCODED.manifest, OBJECT, store)
    assert list((tmp_path / "other").iterdir()) == []


def test_a_row_that_lies_elsewhere_is_named(tmp_path: Path) -> None:
    """A node holds its own rows; the rest can be read."""
    store = fill(tmp_path, leave_out=(1,))
    store.close()
    with open_reader(tmp_path) as reader:
        row = 31 * 64
        assert reader.read(OBJECT, 0, row) == DATA[:row]
        assert reader.read(OBJECT, 2 * row, 100) == DATA[2 * row : 2 * row + 100]
        with pytest.raises(SliceNotFound) as found:
            reader.read(OBJECT, row - 1, 2)
        assert found.value.data["index"] == 1
        with pytest.raises(SliceNotFound, match="manifest"):
            reader.read(OTHER, 0, 1)


def test_the_reader_follows_a_node_that_goes_on_writing(tmp_path: Path) -> None:
    """The node's map grows manyfold and slices come while another process reads: nothing stale, nothing torn."""
    store = fill(tmp_path, leave_out=(0,))
    program = (
        "import sys\nfrom qanat.errors import SliceNotFound\nfrom qanat.store.reader import open_reader\n"
        f"with open_reader({str(tmp_path)!r}) as reader:\n"
        "    for line in sys.stdin:\n"
        "        try:\n"
        f"            print(reader.read({OBJECT!r}, int(line), 40).hex(), flush=True)\n"
        "        except SliceNotFound:\n            print('none', flush=True)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert child.stdin is not None
    assert child.stdout is not None

    def ask(offset: int) -> str:
        child.stdin.write(f"{offset}\n")
        child.stdin.flush()
        return child.stdout.readline().strip()

    assert ask(0) == "none"
    assert ask(2000) == DATA[2000:2040].hex()
    for index in range(100, 160):
        store.put(OTHER, index, bytes(131072))
        store.flush()
    store.put(OBJECT, 0, ENCODED.slices[0])
    store.flush()
    assert ask(0) == DATA[:40].hex()
    assert ask(2000) == DATA[2000:2040].hex()
    child.stdin.close()
    assert child.wait(30) == 0
    store.close()


@pytest.mark.parametrize("verify", ["first", "always", "never"])
def test_damage_is_found_as_the_policy_says(tmp_path: Path, verify: str) -> None:
    """Before the first touch: found, unless nobody looks. After it: found by `always` alone."""
    store = MemoryStore()
    for index, data in enumerate(ENCODED.slices):
        store.put(OBJECT, index, data)
    path = write_hot(tmp_path, ENCODED.manifest, OBJECT, store)

    def flip(row: int) -> None:
        with path.open("r+b") as file:
            file.seek(4096 + row * (16 + 32 * 64) + 16 + 32 * 5 + 9)
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1]))

    flip(0)
    row = 31 * 64
    with open_reader(tmp_path, verify=verify) as reader:
        if verify == "never":
            assert reader.read(OBJECT, 0, row) != DATA[:row]
        else:
            with pytest.raises(StoreCorrupted) as found:
                reader.read(OBJECT, 0, 10)
            assert found.value.data["index"] == 0
        assert reader.read(OBJECT, row, row) == DATA[row : 2 * row]
        flip(1)
        if verify == "always":
            with pytest.raises(StoreCorrupted):
                reader.read(OBJECT, row, 10)
        else:
            assert reader.read(OBJECT, row, row) != DATA[row : 2 * row]


def test_files_that_are_no_hot_files_are_refused(tmp_path: Path) -> None:
    """Short, of another object, of a newer version, with bytes too many; and a folder with nothing to read."""
    with pytest.raises(StoreError, match="neither"):
        open_reader(tmp_path)
    with pytest.raises(BadParameters):
        open_reader(tmp_path, verify="sometimes")
    store = MemoryStore()
    for index, data in enumerate(ENCODED.slices):
        store.put(OBJECT, index, data)
    path = write_hot(tmp_path, ENCODED.manifest, OBJECT, store)
    good = path.read_bytes()
    for bad in (b"", good[:100], good + b"\0", good[:-1], b"QNTX" + good[4:], good[:4] + b"\2" + good[5:]):
        path.write_bytes(bad)
        with open_reader(tmp_path) as reader, pytest.raises(StoreError):
            reader.read(OBJECT, 0, 1)
    (tmp_path / f"{OTHER.hex()}{HOT_SUFFIX}").write_bytes(good)
    with open_reader(tmp_path) as reader, pytest.raises(StoreCorrupted):
        reader.read(OTHER, 0, 1)
