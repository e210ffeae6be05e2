"""How many threads heavy work takes, and which kernels."""

from __future__ import annotations

import pytest

from qanat.errors import BadParameters
from qanat.field import path
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


@pytest.mark.parametrize("has_ifma", [False, True])
def test_kernels_can_be_named(monkeypatch: pytest.MonkeyPatch, has_ifma: bool) -> None:
    """By itself the best path that the processor has; a path that it lacks is refused before anything is compiled."""
    monkeypatch.setattr(path, "_ifma", lambda: has_ifma)
    monkeypatch.setenv("QANAT_KERNELS", "")
    assert path.kernel_path() == ("ifma" if has_ifma else "portable")
    monkeypatch.setenv("QANAT_KERNELS", "gpu")  # which is no path of the processor
    assert path.kernel_path() == ("ifma" if has_ifma else "portable")
    for named in ("portable", "ifma-emulated"):
        monkeypatch.setenv("QANAT_KERNELS", named)
        assert path.kernel_path() == named
    monkeypatch.setenv("QANAT_KERNELS", "ifma")
    if has_ifma:
        assert path.kernel_path() == "ifma"
    for bad in ("Portable", " ", *([] if has_ifma else ["ifma"])):
        monkeypatch.setenv("QANAT_KERNELS", bad)
        with pytest.raises(BadParameters):
            path.kernel_path()
