"""What runs a node as a service: the unit and the image call commands that there are, and copy files that there are."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from qanat.cli import load


def instructions(checkout: Path) -> list[list[str]]:
    """The image's instructions, each as its words; continued lines are one."""
    text = (checkout / "packaging" / "Containerfile").read_text().replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def check_command(words: list[str]) -> None:
    """Raise for a command line of `qanat` that click does not take."""
    name, *rest = words
    load(name).for_click().make_context(name, rest)


def test_the_unit_starts_a_node(checkout: Path) -> None:
    """Its command is one, and it starts again whatever happens."""
    unit = (checkout / "packaging" / "qanat-node.service").read_text()
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    program, *words = shlex.split(line)
    assert Path(program).name == "qanat"
    check_command(words)
    assert "\nRestart=always\n" in unit


def test_the_image_copies_what_there_is_and_starts_a_node(checkout: Path) -> None:
    """Sources exist and are sent along, its Python is one that the package is for, its command is one."""
    lines = instructions(checkout)
    sent = (checkout / ".dockerignore").read_text().splitlines()
    sources = [source for name, *words in lines if name == "COPY" for source in words[:-1]]
    assert sources
    for source in sources:
        assert (checkout / source).exists()
        assert f"!{source}" in sent
    (image,) = [words[1] for words in lines if words[0] == "FROM"]
    (locked_for,) = re.findall(r'"\$version" = (3\.[0-9]+)', (checkout / "toolchain" / "setup.sh").read_text())
    assert image == f"python:{locked_for}-slim"
    (command,) = [words[1:] for words in lines if words[0] == "CMD"]
    program, *words = [word.strip('[]",') for word in command]
    assert program == "qanat"
    check_command(words)


def test_the_image_takes_locked_versions_alone(checkout: Path) -> None:
    """What its line makes of the lock names each package of it once, with its version and nothing else."""
    (line,) = [" ".join(words) for words in instructions(checkout) if words[:2] == ["RUN", "sed"]]
    expression = shlex.split(line)[3]
    lock = checkout / "requirements.lock"
    made = subprocess.run(["sed", "-n", expression, lock], capture_output=True, text=True, check=True).stdout.split()
    assert len(made) == len(re.findall(r"^[A-Za-z0-9][^ ]*==", lock.read_text(), re.MULTILINE)) > 100
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!]*", item) for item in made)
