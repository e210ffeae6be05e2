"""Which family of compiled loops runs: known before anything is compiled."""

from __future__ import annotations

import os

from qanat.errors import BadParameters

PATHS = ("portable",)
"""``portable``: products of 64-bit words, on any processor. Vectors of 52-bit products (``ifma``) would be another."""


def kernel_path() -> str:
    """Return the path's name: the one that ``QANAT_KERNELS`` names, else the best that the processor has.

    A name that is none raises ``BadParameters``.
    """
    named = os.environ.get("QANAT_KERNELS") or PATHS[0]
    if named not in PATHS:
        raise BadParameters(f"There are no kernels called {named!r}.", hint="Leave QANAT_KERNELS unset, or 'portable'.")
    return named
