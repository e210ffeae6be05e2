"""Breaks the contracts in one line at a time; each fault of toolchain/mutants.toml must be caught.

    python toolchain/mutants.py [NAME]...     all, or those named

Exit 1 if one survives, doesn't compile or no longer fits the code. Each runs in a copy under build/mutants/, two at a
time. A fault names the tests that should notice: Forge's (`Restaking.t.sol`, seconds) or modules
(`tests/contracts/test_shards.py`, minutes: the copy is compiled by Ape). It is caught if they
fail; without it they pass.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import tomllib

ROOT = Path(__file__).resolve().parent.parent
FAULTS = ROOT / "toolchain" / "mutants.toml"
FOLDER = ROOT / "build" / "mutants"
WORKERS = 2
#: What a copy is made of, and what it shares with the checkout.
COPIED = ("contracts", "tests", "toolchain", "foundry.toml", "ape-config.yaml", "pyproject.toml", "package-lock.json")
SHARED = (".venv", "node_modules", "offchain")
#: Random tests are short here: a fault that only a long run finds deserves a test of its own.
ENVIRONMENT = {
    "FOUNDRY_DYNAMIC_TEST_LINKING": "true",
    "FOUNDRY_FUZZ_RUNS": "64",
    "FOUNDRY_INVARIANT_RUNS": "8",
    "FOUNDRY_INVARIANT_DEPTH": "100",
    # that it fails is enough: no search for the shortest sequence
    "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0",
    "HYPOTHESIS_PROFILE": "unshrunk",
}
LIMIT_S = 1_800


@dataclass(frozen=True)
class Fault:
    """One line of a contract, what it is replaced by, why that is wrong, and who should notice."""

    name: str
    file: str
    old: str
    new: str
    fault: str
    tests: tuple[str, ...]

    def applied(self, source: str) -> str:
        """Return the source with the fault; LookupError if the line isn't there, or is there twice."""
        found = source.count(self.old)
        if found != 1:
            message = f"{self.name}: {found} places in {self.file} read {self.old!r}; one should"
            raise LookupError(message)
        return source.replace(self.old, self.new)


def load() -> list[Fault]:
    """Read all faults; ValueError for two of one name, LookupError for one that no longer fits the code."""
    listed = tomllib.loads(FAULTS.read_text(encoding="utf-8"))["fault"]
    faults = [Fault(**{**item, "tests": tuple(item["tests"])}) for item in listed]
    if len({item.name for item in faults}) != len(faults):
        message = f"two faults of {FAULTS.name} have the same name"
        raise ValueError(message)
    lost = []
    for item in faults:
        try:
            item.applied((ROOT / item.file).read_text(encoding="utf-8"))
        except LookupError as problem:
            lost.append(str(problem))
    if lost:
        raise LookupError("\n".join(lost))
    return faults


def make_copy(number: int) -> Path:
    """Make a copy of the checkout that shares what isn't changed, and keeps what Forge compiled there before."""
    copy = FOLDER / str(number)
    copy.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        target = copy / name
        if target.is_dir():
            shutil.rmtree(target)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns(".cache", "__pycache__"))
        else:
            shutil.copy2(ROOT / name, target)
    if (ROOT / "build/forge").is_dir() and not (copy / "build/forge").is_dir():
        shutil.copytree(ROOT / "build/forge", copy / "build/forge")
    for name in SHARED:
        link = copy / name
        link.unlink(missing_ok=True)
        link.symlink_to((ROOT / name).resolve())
    return copy


def run_tests(copy: Path, tests: tuple[str, ...]) -> tuple[bool, str]:
    """Return whether tests pass in a copy, and what they printed. RuntimeError if the contracts don't compile."""
    printed = ""
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(copy / "offchain")}
    forge = [name for name in tests if name.endswith(".sol")]
    modules = [name for name in tests if name.endswith(".py")]
    commands = []
    if forge:
        pattern = "tests/forge/" + (forge[0] if len(forge) == 1 else "{" + ",".join(forge) + "}")
        binary = next((copy / "node_modules" / "@foundry-rs").glob("forge-*/bin/forge"))
        commands.append([str(binary), "test", "--fail-fast", "--match-path", pattern])
    if modules:
        commands.append(["toolchain/compile.sh"])
        commands.append([".venv/bin/python", "-m", "pytest", "-q", "-x", "--show-capture=no", *modules])
    for command in commands:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        printed += done.stdout + done.stderr
        compiling = command[0].endswith("compile.sh") and done.returncode != 0
        if compiling or "Compiler run failed" in printed or "No tests match" in printed:
            raise RuntimeError(printed[-2_000:])
        if done.returncode != 0:
            return False, printed
    return True, printed


def witness(printed: str) -> str:
    """Return the first line that says which test failed."""
    for line in printed.splitlines():
        if line.startswith("[FAIL"):
            return line.rsplit("]", 1)[-1].split("(")[0].strip() or line[:80]
        if line.startswith("FAILED "):
            return line.split(" - ")[0].rsplit("::", 1)[-1]
    return "?"


def judge(fault: Fault, copies: Queue[Path]) -> tuple[str, str, float]:
    """Return (verdict, witness, seconds) of one fault: `caught`, `SURVIVED` or `BROKEN`."""
    copy = copies.get()
    started = time.monotonic()
    source = copy / fault.file
    before = source.read_text(encoding="utf-8")
    try:
        source.write_text(fault.applied(before), encoding="utf-8")
        passed, printed = run_tests(copy, fault.tests)
        verdict, seen = ("SURVIVED", "") if passed else ("caught", witness(printed))
    except (RuntimeError, subprocess.TimeoutExpired) as problem:
        verdict, seen = "BROKEN", str(problem).strip().splitlines()[-1][:100]
    finally:
        source.write_text(before, encoding="utf-8")
        copies.put(copy)
    return verdict, seen, time.monotonic() - started


def main() -> int:
    """Judge the faults asked for; print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults to judge (all)")
    chosen = parser.parse_args().names
    try:
        faults = [item for item in load() if not chosen or item.name in chosen]
    except (LookupError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 1
    if not faults:
        print(f"no fault named {' '.join(chosen)}", file=sys.stderr)
        return 1

    copies: Queue[Path] = Queue()
    made = [make_copy(number) for number in range(min(WORKERS, len(faults)))]
    every = tuple(sorted({name for item in faults for name in item.tests}))
    passed, printed = run_tests(made[0], every)
    if not passed:
        print(f"the tests fail without a fault: {witness(printed)}", file=sys.stderr)
        return 1
    for copy in made[1:]:  # what Forge compiled serves the others
        if (made[0] / "build").exists() and not (copy / "build").exists():
            shutil.copytree(made[0] / "build", copy / "build")
    for copy in made:
        copies.put(copy)

    caught = 0
    with ThreadPoolExecutor(len(made)) as pool:
        for fault, (verdict, seen, seconds) in zip(
            faults, pool.map(lambda item: judge(item, copies), faults), strict=True
        ):
            caught += verdict == "caught"
            print(f"{verdict:<9} {fault.name:<44} {seconds:5.0f} s  {seen}", flush=True)
            if verdict == "SURVIVED":
                print(f"          {fault.fault} ({fault.file}: {fault.new.strip()!r} for {fault.old.strip()!r})")
    print(f"{caught} of {len(faults)} caught")
    return int(caught != len(faults))


if __name__ == "__main__":
    sys.exit(main())
