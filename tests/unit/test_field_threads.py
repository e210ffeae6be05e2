"""How many threads heavy work takes, and which kernels."""

from __future__ import annotations

import pytest

from qanat.errors import BadParameters
from qanat.field.path import kernel_path
from qanat.field.threads import MOST, processors


def test_the_number_of_threads_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A positive number, capped; by itself one for each processor; anything else is refused."""
    monkeypatch.delenv("QANAT_THREADS", raising=False)
    assert 1 <= processors() <= MOST
    for named, expected in (("1", 1), ("3", 3), ("1000", MOST)):
        monkeypatch.setenv("QANAT_THREADS", named)
        assert processors() == expected
    for bad in ("0", "-1", "two", "1.5", " "):
        monkeypatch.setenv("QANAT_THREADS", bad)
        with pytest.raises(BadParameters):
            processors()


def test_kernels_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one path, by itself and by name; another is refused before anything is compiled for it."""
    for named in ("", "portable"):
        monkeypatch.setenv("QANAT_KERNELS", named)
        assert kernel_path() == "portable"
    for bad in ("ifma", "Portable", " "):
        monkeypatch.setenv("QANAT_KERNELS", bad)
        with pytest.raises(BadParameters):
            kernel_path()
