"""Every custom error that a contract declares is named by a test; what no test provokes may as well not be there."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "contracts"
TESTS = ROOT / "tests"

# (component, error) → why no test can provoke it. An entry that is not needed any more fails too.
ALLOWED: dict[tuple[str, str], str] = {}

_DECLARATION = re.compile(r"^\s*error\s+(\w+)\s*\(", re.MULTILINE)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def component_of(path: Path) -> str:
    """Return what a Solidity file is about: `Payments` for `IPayments.sol` and `Payments.sol`."""
    name = path.stem
    return name[1:] if path.parent.name == "interfaces" and re.match(r"I[A-Z]", name) else name


@cache
def declared() -> dict[str, set[str]]:
    """Return error → components that declare it, mocks left out."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in CONTRACTS.rglob("*.sol"):
        if "mocks" in path.parts:
            continue
        for error in _DECLARATION.findall(_COMMENT.sub("", path.read_text())):
            found[error].add(component_of(path))
    return dict(found)


@dataclass(frozen=True)
class Named:
    """What a test file names.

    `errors`: attributes and single words in quotes, as in `payments.X` and `getattr(payments, "X")`; a bare name is
    an error of Python. `words`: those and all other names.
    """

    errors: frozenset[str]
    words: frozenset[str]


@cache
def named_by_tests() -> dict[Path, Named]:
    """Return all test files but this one."""
    found = {}
    for path in TESTS.rglob("*.py"):
        if path == Path(__file__).resolve():
            continue
        errors, words = set(), set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                errors.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                errors.add(node.value)
            elif isinstance(node, ast.Name):
                words.add(node.id)
            elif isinstance(node, ast.arg):
                words.add(node.arg)
        found[path] = Named(frozenset(errors), frozenset(errors | words))
    for path in TESTS.rglob("*.sol"):
        words = frozenset(re.findall(r"\w+", _COMMENT.sub("", path.read_text())))
        found[path] = Named(words, words)
    return found


def is_about(path: Path, file: Named, component: str) -> bool:
    """Tell whether a test file deals with a component: by its own name, or by naming contract, interface or fixture."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", component).lower()
    return snake in path.stem or bool(file.words & {component, f"I{component}", f"{component}Harness", snake})


def untested() -> set[tuple[str, str]]:
    """Return (component, error) for which no test file that deals with the component names the error.

    An error that only one component declares may be named by any test file.
    """
    missing = set()
    for error, components in declared().items():
        naming = [(path, file) for path, file in named_by_tests().items() if error in file.errors]
        for component in components:
            alone = len(components) == 1
            if not any(alone or is_about(path, file, component) for path, file in naming):
                missing.add((component, error))
    return missing


def test_every_error_is_named_by_a_test():
    """Errors of interfaces, libraries, modules and contracts alike; the list names what to write."""
    missing = sorted(untested() - set(ALLOWED))
    assert not missing, "no test provokes: " + ", ".join(f"{component}.{error}" for component, error in missing)


def test_no_exception_is_stale():
    """An allowed error that has a test by now, or is declared no more, leaves the list."""
    stale = sorted(set(ALLOWED) - untested())
    assert not stale, f"not needed in ALLOWED: {stale}"


@pytest.mark.parametrize(
    ("component", "error"),
    [
        ("Payments", "TransferShort"),
        ("Licenses", "TermsInvalid"),
        ("Terms", "StartFell"),
        ("Bls12381", "PointLengthInvalid"),
    ],
)
def test_the_search_finds_what_is_there(component, error):
    """Else the tests above would pass for want of anything to look at."""
    assert component in declared()[error]


def test_the_search_misses_what_is_not_there(monkeypatch):
    """An error without a test is reported, also where another component's test names one like it."""
    names = frozenset({"payments", "CallerNotModule"})
    files = {
        Path("test_payments.py"): Named(names, names),
        Path("test_node.py"): Named(frozenset(), frozenset({"payments", "NeverRaised"})),
    }
    errors = {"CallerNotModule": {"Payments", "Rewards"}, "NeverRaised": {"Payments"}}
    monkeypatch.setattr(f"{__name__}.named_by_tests", lambda: files)
    monkeypatch.setattr(f"{__name__}.declared", lambda: errors)
    assert untested() == {("Rewards", "CallerNotModule"), ("Payments", "NeverRaised")}
