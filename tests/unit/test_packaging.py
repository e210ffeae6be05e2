"""What runs a node as a service: the unit and the image call commands that there are, and copy files that there are."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

import pytest

from qanat.cli import load
from qanat.node.daemon import _GRACE_SECONDS as GRACE_SECONDS


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


class TestUnit:
    """What systemd would make of it: it only warns of what it does not know, and starts the service without it."""

    #: Everything that the unit says, by section: a misspelt name is none of these.
    KNOWN: ClassVar = {
        "Unit": {"Description", "After", "Wants"},
        "Service": {
            *("User", "WorkingDirectory", "ExecStart", "Environment", "LoadCredential", "ReadWritePaths"),
            *("Restart", "RestartSec", "TimeoutStopSec", "KillSignal", "LimitNOFILE"),
            *("NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp"),
        },
        "Install": {"WantedBy"},
    }

    @pytest.fixture
    def said(self, checkout: Path) -> dict[str, dict[str, str]]:
        """Section → setting → value; each once."""
        parser = configparser.RawConfigParser(strict=True, delimiters=("=",), comment_prefixes=("#",))
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(checkout / "packaging" / "qanat-node.service")
        return {name: dict(parser[name]) for name in parser.sections()}

    def test_every_setting_is_known_and_none_is_missing(self, said: dict[str, dict[str, str]]) -> None:
        """A setting that came or went is read by somebody, and put here."""
        assert {name: set(values) for name, values in said.items()} == self.KNOWN

    def test_settings_fit_each_other(self, said: dict[str, dict[str, str]]) -> None:
        """It may write where it works, no home is hidden that it needs, its passphrase is the credential it gets."""
        service = said["Service"]
        place = Path(service["WorkingDirectory"])
        assert place.is_relative_to(service["ReadWritePaths"])
        assert Path(service["ExecStart"].split()[0]).is_relative_to(place)
        assert (service["ProtectHome"], place.parts[1] not in ("home", "root", "run")) == ("true", True)
        name, _, source = service["LoadCredential"].partition(":")
        assert service["Environment"] == f"QANAT_PASSPHRASE_FILE=%d/{name}"
        assert Path(source).is_absolute()
        assert service["KillSignal"] in {"SIGTERM", "SIGINT"}
        # a node finishes the requests that it has begun, then what it does on the chain
        assert int(service["TimeoutStopSec"]) > 2 * GRACE_SECONDS
        assert int(service["LimitNOFILE"]) > 512

    def test_systemd_has_nothing_to_say(self, checkout: Path, tmp_path: Path) -> None:
        """`systemd-analyze verify` where there is one; its exit status is 0 also where it ignores a setting."""
        program = shutil.which("systemd-analyze")
        if program is None:
            pytest.skip("there is no systemd-analyze here")
        text = (checkout / "packaging" / "qanat-node.service").read_text()
        good, bad = tmp_path / "qanat-node.service", tmp_path / "misspelt.service"
        good.write_text(text.replace("/srv/qanat/.venv/bin/qanat", "/bin/true"))
        bad.write_text(good.read_text().replace("Restart=always", "Restart=allways"))

        def said(unit: Path) -> list[str]:
            words = [program, "verify", "--man=no", str(unit)]
            done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
            # it reads units of this machine too, and says what it thinks of them
            return [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line]

        assert len(said(bad)) == 1
        assert said(good) == []


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
