"""Ethereum's KZG set-up, from the file that the ``eth_account`` package ships."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from qanat.errors import FileUnreadable

BLOB_ELEMENTS = 4096
BLOB_BYTES = 32 * BLOB_ELEMENTS


@dataclass(frozen=True)
class TrustedSetup:
    """The set-up's points as bytes.

    :param lagrange: 4,096 compressed G1 points [l_i(tau)], i in bit-reversed order, as a blob's elements are.
    :param monomial_g2: compressed G2 points [tau^i], i = 0, 1.
    """

    lagrange: tuple[bytes, ...]
    monomial_g2: tuple[bytes, ...]


def trusted_setup_path() -> Path:
    """Return the set-up's text file: two counts, then G1 Lagrange, G2 monomial, G1 monomial points in hex."""
    package = find_spec("eth_account")  # found without importing it, which takes longer than a hundred openings' checks
    folder = Path(package.origin).parent if package and package.origin else Path("eth_account")
    path = folder / "typed_transactions" / "blob_transactions" / "kzg_trusted_setup.txt"
    if not path.is_file():
        raise FileUnreadable(f"The KZG set-up is missing: {path}.", hint="Reinstall eth-account.", path=str(path))
    return path


def reverse_bits(index: int, size: int) -> int:
    """Return the index with its log2(size) bits reversed."""
    return int(f"{index:0{size.bit_length() - 1}b}"[::-1], 2) if size > 1 else 0


@cache
def trusted_setup() -> TrustedSetup:
    """Read the set-up, once."""
    words = trusted_setup_path().read_text(encoding="ascii").split()
    g1, g2 = int(words[0]), int(words[1])
    natural = [bytes.fromhex(word) for word in words[2 : 2 + g1]]
    return TrustedSetup(
        lagrange=tuple(natural[reverse_bits(i, g1)] for i in range(g1)),
        monomial_g2=tuple(bytes.fromhex(word) for word in words[2 + g1 : 2 + g1 + min(g2, 2)]),
    )
