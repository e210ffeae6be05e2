"""A network that stays: printed commands work, a stop leaves nothing, a new start goes on; docs name real commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from qanat.cli import COMMANDS, load, main
from qanat.devnet.processes import assign_ports
from qanat.devnet.run import commands

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = 4
START_SECONDS = 240
#: Shell words before a command's name.
RUNNERS = (".venv/bin/qanat", "qanat"), (".venv/bin/ape", "ape")


class Devnet:
    """A devnet of its own, on a free port, as its own process group."""

    def __init__(self, folder):
        self.port = assign_ports(1)[0]
        self.kept = ROOT / "build" / f"devnet-{self.port}"
        self.output = folder / "devnet.log"
        self.process = None

    def start(self):
        words = [sys.executable, ROOT / "scripts" / "devnet.py", "--operators", str(OPERATORS)]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                words,
                env={**os.environ, "DEVNET_PORT": str(self.port), "PYTHONUNBUFFERED": "1"},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_for("Ctrl-C stops everything.", START_SECONDS)
        self.children = self._children()
        assert len(self.children) == OPERATORS + 1
        return self

    def text(self):
        return self.output.read_text()

    def wait_for(self, text, seconds):
        deadline = time.monotonic() + seconds
        while text not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.2)

    def interrupt(self):
        """Ctrl-C; returns the exit code, when no child is left."""
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(60)
        assert [pid for pid in self.children if Path(f"/proc/{pid}").exists()] == []
        return code

    def _children(self):
        """Process id → command line."""
        found = subprocess.run(
            ["ps", "--ppid", str(self.process.pid), "-ww", "-o", "pid=,args="],
            capture_output=True,
            text=True,
            check=True,
        )
        return {int(line.split()[0]): line for line in found.stdout.splitlines()}

    def printed(self):
        """The command lines that it printed, by person."""
        lines, person = {}, ""
        for line in self.text().splitlines():
            found = re.fullmatch(r"  (.{12}) (.*\.venv/bin/.*|export .*)", line)
            if found:
                person = found[1].strip() or person
                lines.setdefault(person, []).append(found[2])
        return lines


@pytest.fixture
def devnet(tmp_path):
    made = Devnet(tmp_path)
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.terminate()
            made.process.wait(60)
        shutil.rmtree(made.kept, ignore_errors=True)


def run(line):
    """Run a printed line of `qanat` as a shell would; returns what it printed."""
    words = shlex.split(line)
    assert words[0] == ".venv/bin/qanat", line
    done = CliRunner(mix_stderr=False).invoke(main, words[1:])
    assert done.exit_code == 0, (line, done.stdout, done.stderr, done.exception)
    return done.stdout


def status():
    return json.loads(run(".venv/bin/qanat status --json"))


def test_people_s_commands_then_a_stop_then_the_next_start(devnet, tmp_path, monkeypatch):
    """Owner, licensee and auditor type what is printed; after a restart the licensee can fetch again."""
    devnet.start()
    printed = devnet.printed()
    for assignment in shlex.split(printed["first"][0])[1:]:
        name, _, value = assignment.partition("=")
        monkeypatch.setenv(name, str(ROOT / value) if name == "QANAT_DEPLOYMENTS" else value)
    monkeypatch.setenv("QANAT_INDEX", str(tmp_path / "index.sqlite"))
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "README.md", tmp_path)
    text = (tmp_path / "README.md").read_bytes()

    for person in ("anyone", "data owner", "licensee"):
        for line in printed[person]:
            run(line)
    assert (tmp_path / "build" / "licensed.md").read_bytes() == text
    before = status()["block"]

    assert devnet.interrupt() == 0
    devnet.start()
    assert "with the state of last time" in devnet.text()
    assert "All contracts are deployed" not in devnet.text()
    assert status()["block"] >= before
    assert all(not item["missed"] for item in status()["shards"][0]["operators"])
    (tmp_path / "build" / "licensed.md").unlink()
    run(printed["licensee"][-1])
    assert (tmp_path / "build" / "licensed.md").read_bytes() == text
    run(printed["auditor"][0])

    victim = next(pid for pid, line in devnet.children.items() if "/nodes/2/" in line)
    os.kill(victim, signal.SIGKILL)
    devnet.wait_for("Node 2, of 0x", 20)
    assert devnet.interrupt() == 0


def test_a_port_in_use_is_named(tmp_path):
    """The exit code is the port's, and nothing is written."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, ROOT / "scripts" / "devnet.py", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, f"Port {port}" in done.stderr) == (44, True), done.stderr
    assert not (ROOT / "build" / f"devnet-{port}").exists()


# ---- what docs and help say can be typed


def spoken_commands():
    """Command lines in code spans and blocks of README and docs, and those that the devnet prints."""
    found = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        spans = re.findall(r"`([^`\n]+)`|^((?:\.venv/bin/)?(?:qanat|ape run) .*)$", page.read_text(), re.MULTILINE)
        found += [(page.name, span or line) for span, line in spans]
    found += [("devnet", line) for _, line in commands(["0x" + "11" * 20] * 6, "QALPHA")]
    cases = []
    for where, text in found:
        try:
            words = [word for word in shlex.split(text, comments=True) if not re.fullmatch(r"[A-Z_]+=\S*", word)]
        except ValueError:
            continue
        if words[:1] and words[0] in RUNNERS[0]:
            cases.append((where, "qanat", words[1:]))
        elif words[:1] and words[0] in RUNNERS[1] and words[1:2] == ["run"]:
            cases.append((where, "ape", words[2:]))
    # a pattern (`qanat NAME`, `qanat <command>`) and a signed text of the protocol are no commands
    return [case for case in cases if case[2] and re.match(r"[a-z]+$", case[2][0]) and "\\n" not in " ".join(case[2])]


def without(words, *options):
    """Words without some options and their values."""
    left, skip = [], False
    for word in words:
        if not skip and word not in options:
            left.append(word)
        skip = not skip and word in options
    return left


SPOKEN = spoken_commands()


@pytest.mark.parametrize(
    ("where", "how", "words"), SPOKEN, ids=[f"{where}: {how} {' '.join(words)[:60]}" for where, how, words in SPOKEN]
)
def test_what_docs_say_can_be_typed(where, how, words):
    """Each command exists, and takes the options that are written there."""
    name = words[0]
    if how == "ape":
        assert (ROOT / "scripts" / f"{name}.py").is_file()
        if name not in COMMANDS:
            return
        # these two are Ape's own
        words = without(words, "--network", "--account")
    assert name in COMMANDS
    if len(words) == 1:
        return  # a mention
    load(name).for_click().make_context(name, words[1:])


def test_docs_speak_of_commands_at_all():
    assert {where for where, _, _ in SPOKEN} >= {"README.md", "commands.md", "node.md", "errors.md", "devnet"}
    assert {words[0] for where, _, words in SPOKEN if where == "devnet"} >= {"register", "node", "store", "fetch"}


class TestHelp:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_the_example_of_each_form_can_be_typed(self, name):
        """What --help shows after "Example:" parses as it stands, for `qanat` and for `ape run`."""
        from ape_qanat.scripts import ape_command

        for made, lead in ((load(name).for_click(), ["qanat"]), (ape_command(load(name)), ["ape", "run"])):
            line = made.help.partition("Example:")[2].strip()
            words = shlex.split(line)
            assert words[: len(lead) + 1] == [*lead, name]
            options = {text for item in made.params for text in (*item.opts, *item.secondary_opts)}
            used = [word for word in words if word.startswith("--")]
            assert len(set(used)) == len(used), line
            assert set(used) <= options, line
            needed = {item.opts[0] for item in made.params if isinstance(item, click.Option) and item.required}
            assert needed <= {*used, "--account"}, line

    @pytest.mark.parametrize("name", COMMANDS)
    def test_options_that_every_script_of_ape_has(self, name):
        from ape_qanat.scripts import ape_command

        command = load(name)
        options = {text for item in ape_command(command).params for text in item.opts}
        expected = {"--json"}
        if command.chain:
            expected |= {"--network"}
        if command.account != "no":
            expected |= {"--account", "--yes"}
        assert expected <= options
