"""The shortened, punctured Reed-Solomon code of docs/design (section 4): any k of n rows restore a matrix.

Take a code with :func:`code`. The check that commitments alone form an encoding is
:func:`qanat.coding.dual.dual_check`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from qanat.coding.points import MAX_STRETCH, Points, points
from qanat.coding.protocol import RowCode
from qanat.errors import BadParameters

__all__ = ["MAX_STRETCH", "Points", "RowCode", "code", "points"]


@lru_cache(maxsize=64)
def code(k: int, n: int, kernel: str = "fast") -> RowCode[Any]:
    """Return the (k, n) code of the kernel called ``fast``, ``gpu`` or ``reference``.

    Parameters out of range raise ``BadParameters``.
    """
    if kernel == "reference":
        from qanat.coding.reference import ReferenceCode

        return ReferenceCode(k, n)
    if kernel == "fast":
        from qanat.coding.fast import FastCode

        return FastCode(k, n)
    if kernel == "gpu":
        from qanat.coding.gpu import GpuCode

        return GpuCode(k, n)
    raise BadParameters(f"There is no row code called {kernel!r}.", hint="Use 'fast', 'gpu' or 'reference'.")
