"""What stands in where a library is not made for the machine (docs/decisions/0012): the same bytes."""

from __future__ import annotations

import subprocess
import sys

WITHOUT_ARKWORKS = """
import importlib, pkgutil, sys
sys.modules["py_arkworks_bls12381"] = None  # as on Python 3.10: importing it fails; a card's kernels build on fast ones
import qanat
for module in pkgutil.walk_packages(qanat.__path__, "qanat."):
    if not module.name.endswith((".fast", "_fast", ".gpu", ".__main__")):
        importlib.import_module(module.name)

from qanat import bls, kzg
commitments = kzg.commitment_kernel()
assert type(commitments).__name__ == "CommitmentsWithoutArkworks", commitments
assert type(bls.signature_kernel()).__name__ == "ReferenceSignatures"
first, second = (commitments.commit(bytes(31) + bytes([i]) + bytes(131_040)) for i in (1, 2))
both = commitments.add(commitments.decompress(first), commitments.decompress(second))
secret = bls.SecretKey(7)
print(commitments.compress(both).hex())
print(secret.sign(bytes(32)).hex())
"""


def test_everything_works_without_arkworks() -> None:
    """Commitments, group sums and signatures of a Python that has no arkworks, against those of one that has it."""
    from qanat import bls, kzg

    command = [sys.executable, "-c", WITHOUT_ARKWORKS]
    made = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert made.returncode == 0, made.stderr
    total, signature = (bytes.fromhex(line) for line in made.stdout.split())
    three = kzg.commitment_kernel().commit(bytes(31) + bytes([3]) + bytes(131_040))
    assert total == three
    secret = bls.SecretKey(7)
    assert signature == secret.sign(bytes(32))
    assert bls.verify(secret.public_key, bytes(32), signature)
