"""Points of BLS12-381 in the byte forms that contracts take, made by code that the contracts do not share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

from ckzg import compute_kzg_proof, load_trusted_setup
from py_arkworks_bls12381 import G1Point, G2Point, Scalar

P = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001

SIGNATURE_TAG = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
POSSESSION_TAG = b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"

IDENTITY_RAW = bytes(96)
IDENTITY_G1 = bytes(128)
IDENTITY_G2 = bytes(256)
IDENTITY_COMPRESSED = b"\xc0" + bytes(47)

BLOB_BYTES = 4096 * 32


def pad(coordinates: bytes) -> bytes:
    """EIP-2537's form of coordinates of 48 bytes each: 16 zero bytes before each."""
    return b"".join(bytes(16) + coordinates[i : i + 48] for i in range(0, len(coordinates), 48))


def raw(point: G1Point) -> bytes:
    return bytes(point.to_xy_bytes_be())


def g1(point: G1Point) -> bytes:
    return pad(point.to_xy_bytes_be())


def g2(point: G2Point) -> bytes:
    return pad(point.to_xy_bytes_be())


def words(values: Iterable[int]) -> bytes:
    """The bytes of a struct of 32-byte words."""
    return b"".join(int(value).to_bytes(32, "big") for value in values)


def sum_of(points: Sequence, identity=None):
    total = identity if identity is not None else type(points[0]).identity()
    for point in points:
        total = total + point
    return total


def secret(seed: int) -> Scalar:
    """A scalar of full size, the same for the same seed."""
    return Scalar(pow(7, seed + 1000, R))


def key_of(sk: Scalar) -> G2Point:
    return G2Point() * sk


def sign(sk: Scalar, digest: bytes, tag: bytes = SIGNATURE_TAG) -> G1Point:
    return G1Point.hash_to_curve(digest, tag) * sk


@cache
def g1_outside_subgroup() -> G1Point:
    """A point on the curve whose order is not r."""
    return _outside(G1Point, 48)


@cache
def g2_outside_subgroup() -> G2Point:
    """As `g1_outside_subgroup`, in G2."""
    return _outside(G2Point, 96)


def _outside(kind, size: int):
    for x in range(2, 100):
        data = bytearray(x.to_bytes(size, "big"))
        data[0] |= 0x80
        try:
            point = kind.from_compressed_bytes_unchecked(bytes(data))
        except ValueError:
            continue
        if not point.is_in_subgroup():
            return point
    raise LookupError("no point found")


@cache
def trusted_setup():
    """Ethereum's own set-up, as the `eth_account` package ships it."""
    path = files("eth_account") / "typed_transactions" / "blob_transactions" / "kzg_trusted_setup.txt"
    return load_trusted_setup(str(path), 0)


def blob_of(elements: Sequence[int]) -> bytes:
    """A blob that begins with these elements and is zero beyond."""
    return words(elements).ljust(BLOB_BYTES, b"\0")


def opening(blob: bytes, z: int) -> tuple[bytes, int]:
    """Proof and value of a blob's polynomial at z."""
    proof, y = compute_kzg_proof(blob, z.to_bytes(32, "big"), trusted_setup())
    return bytes(proof), int.from_bytes(bytes(y), "big")
