"""Encodes FOLDER/file into slices there, or restores it from them, in a process of its own; prints its peak in MiB.

    python benchmarks/peak_memory.py encode|restore FOLDER

k = 256, n = 384 in matrices of 32.5 MB. Half of the data rows are withheld from the restoring, so every matrix is
decoded; the result must be the file.
"""

from __future__ import annotations

import hashlib
import resource
import sys
from pathlib import Path

from qanat.objects import Manifest, Shape, encode_file, restore_file

SHAPE = Shape(4096, 256, 384)


def encode(folder: Path) -> None:
    """Write slices and manifest."""
    with (folder / "slices").open("wb") as slices:
        # slices come in order: their place follows
        manifest = encode_file(folder / "file", SHAPE, lambda _index, data: slices.write(data) and None)
    (folder / "manifest").write_bytes(manifest.to_bytes())


def restore(folder: Path) -> None:
    """Write the file anew from the second half of the data rows and the parity rows."""
    manifest = Manifest.from_bytes((folder / "manifest").read_bytes())
    step = manifest.slice_bytes
    with (folder / "slices").open("rb") as slices:

        def fetch(index: int) -> bytes | None:
            if index % manifest.n < manifest.k // 2:
                return None
            slices.seek(index * step)
            return slices.read(step)

        restore_file(manifest, fetch, folder / "back", workers=1)
    digests = []
    for name in ("file", "back"):
        with (folder / name).open("rb") as file:
            digest = hashlib.sha256()
            while chunk := file.read(1 << 20):
                digest.update(chunk)
            digests.append(digest.digest())
    if digests[0] != digests[1]:
        raise SystemExit("other bytes came back")


if __name__ == "__main__":
    {"encode": encode, "restore": restore}[sys.argv[1]](Path(sys.argv[2]))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
