"""What every test shares; imports nothing heavy, and no Ape."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine and every run; `make fuzz` looks for new ones.
settings.register_profile("fixed", derandomize=True, deadline=None, print_blob=True, max_examples=50)
settings.register_profile(
    "fuzz",
    deadline=None,
    print_blob=True,
    max_examples=2_000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_configure(config: pytest.Config) -> None:
    """Keep Ape from tracing, naming and printing every call of every revert that a test expects: most of a test's time.

    `APE_TRACES=1 make contracts` brings the traces back.
    """
    if not config.pluginmanager.hasplugin("ape_test") or os.environ.get("APE_TRACES"):
        return
    from ape_ethereum.trace import Trace

    Trace.show = lambda self, *args, **kwargs: None


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Return the checkout's root folder."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def vectors(checkout: Path) -> Path:
    """Return the folder of committed test vectors."""
    return checkout / "tests" / "vectors"
