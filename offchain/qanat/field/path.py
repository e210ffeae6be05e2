"""Which family of compiled loops runs: known before anything is compiled."""

from __future__ import annotations

import os
from functools import cache

from qanat.errors import BadParameters

PATHS = ("portable", "ifma", "ifma-emulated")
"""``portable``: products of 64-bit words, on any processor. ``ifma``: eight numbers at a time, by AVX-512 IFMA's 52-bit
products. ``ifma-emulated``: the same code with these two instructions spelt out, slow on any processor: for tests."""

GPU = "gpu"
"""What ``QANAT_KERNELS`` says where matrices are to be encoded on a CUDA device; the rest takes the best other path."""


def kernel_path() -> str:
    """Return the path's name: the one that ``QANAT_KERNELS`` names, else the best that the processor has.

    A name that is none, or a path that the processor lacks, raises ``BadParameters``.
    """
    named = os.environ.get("QANAT_KERNELS")
    if not named or named == GPU:
        return "ifma" if _ifma() else "portable"
    if named not in PATHS:
        raise BadParameters(
            f"There are no kernels called {named!r}.", hint="Leave QANAT_KERNELS unset, or say 'portable' or 'gpu'."
        )
    if named == "ifma" and not _ifma():
        raise BadParameters(
            "QANAT_KERNELS=ifma, and this processor has no AVX-512 IFMA.",
            hint="Leave QANAT_KERNELS unset: the best kernels that the processor has are taken.",
        )
    return named


@cache
def gpu_wanted() -> bool:
    """Say whether ``QANAT_KERNELS`` asks for a CUDA device; where there is none, that raises ``BadParameters``."""
    if os.environ.get("QANAT_KERNELS") != GPU:
        return False
    if not has_gpu():
        raise BadParameters(
            "QANAT_KERNELS=gpu, and there is no CUDA device that numba.cuda can use.",
            hint="Install the extra `gpu` (numba-cuda) and NVIDIA's driver, or leave QANAT_KERNELS unset.",
        )
    return True


@cache
def has_gpu() -> bool:
    """Say whether ``numba.cuda`` is there and finds a device (or simulates one)."""
    try:
        from numba import cuda
    except ImportError:
        return False
    return bool(cuda.is_available())  # type: ignore[no-untyped-call,unused-ignore]


@cache
def _ifma() -> bool:
    """Say whether what Numba compiles for has the products."""
    from numba.core.registry import cpu_target

    from qanat.field.lanes import has_ifma

    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    return has_ifma(triple, features)
