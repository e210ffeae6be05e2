"""What an implementation of the row code must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from qanat.field import FieldKernel

Elements = TypeVar("Elements")


class RowCode(Protocol[Elements]):
    """Rows of field elements, k of them data, n in all; arrays are those of :attr:`field`.

    ``tests/unit/test_coding.py`` is the conformance test: add an implementation's name there.
    """

    @property
    def k(self) -> int:
        """Data rows: any k rows restore the rest."""
        ...

    @property
    def n(self) -> int:
        """All rows."""
        ...

    @property
    def field(self) -> FieldKernel[Elements]:
        """The kernel whose arrays go in and come out."""
        ...

    def encode(self, data: Elements) -> Elements:
        """Return the n-k parity rows of k data rows, shape (n-k, width)."""
        ...

    def restore(self, indices: Sequence[int], rows: Elements) -> Elements:
        """Return the k data rows from any k rows.

        :param indices: k distinct row numbers below n, in the order of ``rows``.
        :param rows: shape (k, width).

        Too few rows raise ``NotEnoughSlices``; repeated or unknown row numbers ``BadParameters``.
        """
        ...

    def rebuild(self, indices: Sequence[int], rows: Elements, wanted: Sequence[int]) -> Elements:
        """Return the wanted rows, data or parity, from any k rows.

        Shape (len(wanted), width). Errors as ``restore``.
        """
        ...
