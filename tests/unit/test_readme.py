"""README names every command, every folder, and first commands that a devnet prints too."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from qanat.cli import COMMANDS, load
from qanat.devnet.run import commands

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
OPERATORS = 6


def table(heading):
    """Cells of the rows of the table whose heading begins with this."""
    lines = README[README.index(heading) :].splitlines()
    rows = []
    for line in lines[2:]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def named(cell):
    """Words in a cell's code spans."""
    return [word for span in re.findall(r"`([^`]+)`", cell) for word in span.split()]


def folders(parent, marker):
    """Folders in which there is a file of this kind."""
    return {item.name for item in parent.iterdir() if item.is_dir() and any(item.glob(marker))}


def test_every_command_is_named_and_no_other():
    assert {word for _, cell in table("| who | commands |") for word in named(cell)} == set(COMMANDS)


def test_first_commands_are_those_that_a_devnet_prints():
    """Without --yes, and in the same order; so they are run with the devnet's, by its own test."""
    printed = [line.replace(" --yes", "") for _, line in commands(["0x" + "11" * 20] * OPERATORS, "QALPHA")]
    written = [
        span
        for _, cell in table("| who | first command |")
        for span in re.findall(r"`([^`]+)`", cell)
        if "bin/qanat" in span
    ]
    assert len(written) >= len(table("| who | first command |"))
    assert [line for line in written if line not in printed] == []


@pytest.mark.parametrize("line", re.findall(r"^\.venv/bin/ape run .*$", README, re.MULTILINE))
def test_lines_of_ape_take_the_options_that_they_have(line):
    from ape_qanat.scripts import ape_command

    _, _, name, *words = shlex.split(line)
    options = {text for item in ape_command(load(name)).params for text in item.opts}
    assert {word for word in words if word.startswith("--")} <= options


FOLDERS = {cells[0]: cells[1] for cells in table("| folder | what |")}


class TestFolders:
    def test_every_folder_of_the_checkout_is_named(self):
        unversioned = {line.strip().strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
        there = {item.name for item in ROOT.iterdir() if item.is_dir() and not item.name.startswith(".")}
        named_ones = {word.strip("/").split("/")[0] for cell in FOLDERS for word in named(cell)}
        assert there - unversioned <= named_ones
        # made by a first deployment
        assert named_ones - there <= {"deployments"}

    @pytest.mark.parametrize(
        ("cell", "parent", "marker"),
        [
            ("`contracts/`", ROOT / "contracts", "*.sol"),
            ("`offchain/qanat/`", ROOT / "offchain" / "qanat", "__init__.py"),
            ("`tests/`", ROOT / "tests", "*test*.py"),
        ],
    )
    def test_what_is_in_them_is_what_there_is(self, cell, parent, marker):
        made_up = {"make", "test"}
        words = {word.strip("/") for word in named(FOLDERS[cell])} - made_up
        there = folders(parent, marker) | (folders(parent, "*.t.sol") if cell == "`tests/`" else set())
        assert words - {"Directory.sol"} == there

    def test_every_page_is_linked(self):
        pages = {f"docs/{item.name}" for item in (ROOT / "docs").glob("*.md")}
        linked = set(re.findall(r"\]\((docs/[^)]+)\)", README))
        assert pages <= linked
        assert [item for item in linked if not (ROOT / item).exists()] == []
