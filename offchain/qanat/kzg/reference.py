"""The clear commitment kernel: ``py_ecc`` and integers, after consensus-specs' ``polynomial-commitments.md``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from py_ecc.bls.hash import os2ip
from py_ecc.bls.point_compression import compress_G1, decompress_G1, decompress_G2
from py_ecc.fields import optimized_bls12_381_FQ as Fp
from py_ecc.optimized_bls12_381.optimized_curve import G1, G2, Z1, add, eq, multiply, neg
from py_ecc.typing import Optimized_Point3D

from qanat.errors import InvalidPoint
from qanat.field import ELEMENT_BYTES, MODULUS, batch_inverse, kernel, root_of_unity
from qanat.kzg.points import NUMBER_BYTES, check_compressed
from qanat.kzg.reference_points import pairings_equal, read_g1, write_g1
from qanat.kzg.setup import BLOB_ELEMENTS, reverse_bits, trusted_setup

ReferencePoint = Optimized_Point3D[Fp]


class ReferenceCommitments:
    """The scheme as its specification writes it; seconds per operation."""

    name = "reference"

    def identity(self) -> ReferencePoint:
        """Return the neutral element."""
        return Z1

    def decompress(self, data: bytes) -> ReferencePoint:
        """Read 48 bytes, with curve and subgroup checks."""
        check_compressed(data)
        try:
            point = decompress_G1(os2ip(data))  # type: ignore[arg-type]
        except ValueError as error:
            raise InvalidPoint("A compressed G1 point is not on the curve.", point=data) from error
        return _in_subgroup(point, data)

    def decompress_all(self, data: Sequence[bytes]) -> list[ReferencePoint]:
        """Read many, one by one."""
        return [self.decompress(point) for point in data]

    def compress(self, point: ReferencePoint) -> bytes:
        """Write 48 bytes."""
        return int(compress_G1(point)).to_bytes(NUMBER_BYTES, "big")

    def from_raw(self, data: bytes) -> ReferencePoint:
        """Read 96 bytes, with curve and subgroup checks."""
        point: ReferencePoint = read_g1(data)
        return point

    def to_raw(self, point: ReferencePoint) -> bytes:
        """Write 96 bytes."""
        return write_g1(point)

    def add(self, left: ReferencePoint, right: ReferencePoint) -> ReferencePoint:
        """Return the sum."""
        return add(left, right)

    def negate(self, point: ReferencePoint) -> ReferencePoint:
        """Return the opposite point."""
        return neg(point)

    def multiply(self, point: ReferencePoint, scalar: int) -> ReferencePoint:
        """Return the point times a scalar."""
        return multiply(point, scalar)

    def combine(self, points: Sequence[ReferencePoint], scalars: Sequence[int]) -> ReferencePoint:
        """Return the sum of scalars[i] * points[i], by buckets of 8-bit digits when there are many."""
        pairs = [(point, scalar) for point, scalar in zip(points, scalars, strict=True) if scalar]
        total = Z1
        if len(pairs) < 32:
            for point, scalar in pairs:
                total = add(total, multiply(point, scalar))
            return total
        for window in range(31, -1, -1):
            for _ in range(8):
                total = add(total, total)
            buckets = [Z1] * 256
            for point, scalar in pairs:
                digit = (scalar >> (8 * window)) & 255
                buckets[digit] = add(buckets[digit], point)
            running = subtotal = Z1
            for bucket in reversed(buckets[1:]):
                running = add(running, bucket)
                subtotal = add(subtotal, running)
            total = add(total, subtotal)
        return total

    def commit(self, blob: bytes) -> bytes:
        """Return the sum of blob[i] * [l_i(tau)]."""
        return self.compress(self._commit(_elements(blob)))

    def open_at(self, blob: bytes, z: bytes) -> tuple[bytes, bytes]:
        """Return the commitment to (p(X) - p(z)) / (X - z), and p(z)."""
        values, point = _elements(blob), int.from_bytes(z, "big")
        y = _evaluate(values, point)
        roots = _roots()
        quotient = [0] * BLOB_ELEMENTS
        if point in roots:
            # compute_quotient_eval_within_domain: q_m = sum over i != m of (p_i - y) w_i / (z (z - w_i))
            at = roots.index(point)
            for i, root in enumerate(roots):
                if i != at:
                    quotient[i] = (values[i] - y) * pow(root - point, -1, MODULUS) % MODULUS
                    below = pow(point * (point - root), -1, MODULUS)
                    quotient[at] = (quotient[at] + (values[i] - y) * root * below) % MODULUS
        else:
            below_all = batch_inverse([(root - point) % MODULUS for root in roots])
            quotient = [(value - y) * below % MODULUS for value, below in zip(values, below_all, strict=True)]
        return self.compress(self._commit(quotient)), y.to_bytes(ELEMENT_BYTES, "big")

    def verify(self, commitment: bytes, z: bytes, y: bytes, proof: bytes) -> bool:
        """Check e(C - [y], G2) = e(proof, [tau] - [z])."""
        point = add(self.decompress(commitment), neg(multiply(G1, int.from_bytes(y, "big"))))
        quotient = self.decompress(proof)
        shifted = add(_tau_g2(), neg(multiply(G2, int.from_bytes(z, "big"))))
        return pairings_equal(point, G2, quotient, shifted)

    def _commit(self, values: Sequence[int]) -> ReferencePoint:
        used = [i for i, value in enumerate(values) if value]
        return self.combine([_lagrange(i) for i in used], [values[i] for i in used])


@cache
def _lagrange(index: int) -> ReferencePoint:
    return decompress_G1(os2ip(trusted_setup().lagrange[index]))  # type: ignore[arg-type]


@cache
def _tau_g2() -> Any:
    data = trusted_setup().monomial_g2[1]
    return decompress_G2((os2ip(data[:NUMBER_BYTES]), os2ip(data[NUMBER_BYTES:])))  # type: ignore[arg-type]


@cache
def _roots() -> list[int]:
    """Return the domain in bit-reversed order, as a blob's elements lie."""
    root = root_of_unity(BLOB_ELEMENTS)
    return [pow(root, reverse_bits(i, BLOB_ELEMENTS), MODULUS) for i in range(BLOB_ELEMENTS)]


def _elements(blob: bytes) -> list[int]:
    field = kernel("reference")
    return field.to_ints(field.from_bytes(blob, (len(blob) // ELEMENT_BYTES,)))


def _evaluate(values: Sequence[int], z: int) -> int:
    """Return p(z) = (z^W - 1)/W * sum of p_i w_i / (z - w_i) (barycentric formula)."""
    roots = _roots()
    if z in roots:
        return values[roots.index(z)]
    used = [i for i, value in enumerate(values) if value]
    inverses = batch_inverse([(z - roots[i]) % MODULUS for i in used])
    total = sum(values[i] * roots[i] * below for i, below in zip(used, inverses, strict=True))
    return total * (pow(z, BLOB_ELEMENTS, MODULUS) - 1) * pow(BLOB_ELEMENTS, -1, MODULUS) % MODULUS


def _in_subgroup(point: ReferencePoint, data: bytes) -> ReferencePoint:
    if not eq(multiply(point, MODULUS), Z1):
        raise InvalidPoint("A G1 point is not in the subgroup of order r.", point=data)
    return point
