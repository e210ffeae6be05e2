"""Actors of the contract tests: Anvil accounts with money and no history. Each test runs on its own snapshot."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def deployer(accounts):
    """Return who deploys and, until it is sealed, fills the directory."""
    return accounts[0]


@pytest.fixture(scope="session")
def owner(accounts):
    """Return a data owner."""
    return accounts[1]


@pytest.fixture(scope="session")
def licensee(accounts):
    """Return who buys licenses."""
    return accounts[2]


@pytest.fixture(scope="session")
def auditor(accounts):
    """Return who watches and reports."""
    return accounts[3]


@pytest.fixture(scope="session")
def stranger(accounts):
    """Return someone with no part in anything."""
    return accounts[4]


@pytest.fixture(scope="session")
def guardian(accounts):
    """Return who may delay a slash."""
    return accounts[5]


@pytest.fixture(scope="session")
def restakers(accounts):
    """Return three restakers."""
    return [accounts[index] for index in range(6, 9)]


@pytest.fixture(scope="session")
def operators(accounts):
    """Return six operators."""
    return [accounts[index] for index in range(9, 15)]


@pytest.fixture(scope="session")
def operator(operators):
    """Return the first operator."""
    return operators[0]


@pytest.fixture(scope="session")
def restaker(restakers):
    """Return the first restaker."""
    return restakers[0]
