"""Where commitment kernels are had by name; nothing heavy is imported before one is asked for."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

from qanat.errors import BadParameters
from qanat.kzg.protocol import CommitmentKernel


@cache
def commitment_kernel(name: str = "fast") -> CommitmentKernel[Any]:
    """Return the kernel called ``fast`` (compiled loops, arkworks), ``gpu`` (CUDA too) or ``reference`` (py_ecc).

    The same object always. Where arkworks is not (Python 3.10), the fast one's group is py_ecc's: right, and slow.
    """
    if name == "reference":
        from qanat.kzg.reference import ReferenceCommitments

        return ReferenceCommitments()
    if name == "fast" and find_spec("py_arkworks_bls12381") is None:
        from qanat.kzg.without_arkworks import CommitmentsWithoutArkworks

        return CommitmentsWithoutArkworks()
    if name == "fast":
        from qanat.kzg.fast import FastCommitments

        return FastCommitments()
    if name == "gpu":
        from qanat.kzg.gpu import GpuCommitments

        return GpuCommitments()
    raise BadParameters(f"There is no commitment kernel called {name!r}.", hint="Use 'fast', 'gpu' or 'reference'.")
