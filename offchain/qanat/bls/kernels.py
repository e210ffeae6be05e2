"""Where signature kernels are had by name; nothing heavy is imported before one is asked for."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from qanat.bls.protocol import SignatureKernel
from qanat.errors import BadParameters


@cache
def signature_kernel(name: str = "fast") -> SignatureKernel:
    """Return the kernel called ``fast`` (arkworks) or ``reference`` (py_ecc); the same object every time.

    Where arkworks is not (Python 3.10), both are the reference: right, and slow.
    """
    if name == "reference" or (name == "fast" and find_spec("py_arkworks_bls12381") is None):
        from qanat.bls.reference import ReferenceSignatures

        return ReferenceSignatures()
    if name == "fast":
        from qanat.bls.fast import FastSignatures

        return FastSignatures()
    raise BadParameters(f"There is no signature kernel called {name!r}.", hint="Use 'fast' or 'reference'.")
