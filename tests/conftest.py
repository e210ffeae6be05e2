"""What every test shares; imports nothing heavy, and no Ape."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# The same examples on every machine and every run; `make fuzz` looks for new ones.
settings.register_profile("fixed", derandomize=True, deadline=None, print_blob=True, max_examples=50)
# The same where it is enough that a test fails (`make mutants`): no search for the shortest example.
BRIEF = [phase for phase in Phase if phase not in {Phase.shrink, Phase.explain}]
settings.register_profile("unshrunk", settings.get_profile("fixed"), phases=BRIEF)
settings.register_profile(
    "fuzz",
    deadline=None,
    print_blob=True,
    max_examples=2_000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# What commands note of what they send is not the user's.
os.environ["QANAT_STATE"] = tempfile.mkdtemp(prefix="qanat-state-")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(scope="module", autouse=True)
def state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give each module a state folder: on its chain contracts may have the addresses of another module's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QANAT_STATE", str(tmp_path_factory.mktemp("state")))
        yield


def pytest_configure(config: pytest.Config) -> None:
    """Set Ape up for tests: `own_chain` isolates them, and no trace is printed of a revert that a test expects.

    Ape's isolation takes a snapshot per scope, and goes back whole modules when a fixture comes that it has not met:
    tests then run on another one's chain, or without their contracts. And traces are most of a test's time;
    `APE_TRACES=1 make contracts` brings them back.
    """
    if not config.pluginmanager.hasplugin("ape_test"):
        return
    config.option.disable_isolation = True
    _quicken_ape()
    if not os.environ.get("APE_TRACES"):
        from ape_ethereum.trace import Trace

        Trace.show = lambda self, *args, **kwargs: None


def _quicken_ape() -> None:
    """Spare every call and transaction what Ape asks anew each time: a third of a contract test's time (profiled).

    That is its configuration (for the transaction's type, and for every request), whether a contract has code, and the
    proxies of the machine.
    """
    import requests.sessions
    from ape.contracts import ContractInstance
    from ape_ethereum.ecosystem import Ethereum
    from ape_ethereum.transactions import TransactionType
    from ape_foundry.provider import FoundryProvider

    read_settings = FoundryProvider.settings.fget
    settings: dict[int, object] = {}
    FoundryProvider.settings = property(
        lambda self: settings.get(id(self)) or settings.setdefault(id(self), read_settings(self))
    )
    Ethereum.default_transaction_type = property(lambda self: TransactionType.DYNAMIC)
    ContractInstance.is_contract = property(lambda self: True)
    requests.sessions.get_environ_proxies = lambda *args, **kwargs: {}
    # Anvil would keep every step of every transaction, and write each block's whole state to disk.
    command = FoundryProvider.build_command
    FoundryProvider.build_command = lambda self: [
        *(word for word in command(self) if word != "--steps-tracing" or os.environ.get("APE_TRACES")),
        *("--prune-history", "500"),
    ]


@pytest.fixture(autouse=True)
def own_chain(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let what a test and its fixtures do to the chain end with it.

    What fixtures of a module or a class deployed stays to the end of the run.
    """
    if not request.config.pluginmanager.hasplugin("ape_test"):
        yield
        return
    from ape import chain

    before = chain.snapshot()
    yield
    chain.restore(before)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Return the checkout's root folder."""
    return Path(__file__).resolve().parent.parent
