"""The command line without a chain: options, questions, output, exit codes."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from web3.exceptions import Web3RPCError

from qanat.chain.views import PURPOSES, OfferTerms, purpose_bits, purpose_names
from qanat.cli import COMMANDS, load, main
from qanat.cli.amounts import format_amount, format_size, parse_address, parse_amount, parse_bytes32
from qanat.cli.command import Command, development_account, endpoint_of, run_command
from qanat.cli.session import Outcome, Session, plain, table
from qanat.errors import AuditFailed, BadParameters, MalformedHex, Refused
from tests.unit.local_chain import KEYS, anvil, free_port, key_signer

ROOT = Path(__file__).resolve().parents[2]


def invoke(*words, **options):
    return CliRunner(mix_stderr=False).invoke(main, list(words), **options)


class TestAmounts:
    @pytest.mark.parametrize(
        ("text", "decimals", "units"),
        [
            ("1", 18, 10**18),
            ("0.5", 1, 5),
            ("12.50", 1, 125),
            ("1_000", 0, 1000),
            ("7.0", 0, 7),
            (" 3 ", 2, 300),
            ("0", 18, 0),
        ],
    )
    def test_reads(self, text, decimals, units):
        assert parse_amount(text, decimals) == units

    @pytest.mark.parametrize("text", ["", "-1", "1e3", "1,5", ".5", "5.", "one", "0x10", "1.23", "1" * 90, "٣x"])
    def test_refuses(self, text):
        with pytest.raises(BadParameters):
            parse_amount(text, 1)

    @given(st.integers(0, 2**255), st.integers(0, 30))
    def test_roundtrip(self, units, decimals):
        """No unit is lost on the way to people and back."""
        assert parse_amount(format_amount(units, decimals), decimals) == units

    def test_sizes(self):
        assert [format_size(item) for item in (0, 999, 1500, 2_000_000, 123_456_789_000)] == [
            "0 B",
            "999 B",
            "1.5 kB",
            "2.0 MB",
            "123 GB",
        ]

    @pytest.mark.parametrize("text", ["", "0x12", "zz" * 32, "11" * 31, "11" * 33, "0x" + "11" * 32 + "0"])
    def test_malformed_hex(self, text):
        with pytest.raises(MalformedHex):
            parse_bytes32(text, "object id")

    def test_hex_with_and_without_prefix(self):
        assert parse_bytes32("11" * 32, "id") == parse_bytes32(" 0x" + "11" * 32, "id") == b"\x11" * 32

    @pytest.mark.parametrize(
        "text", ["", "0x12", "0x" + "g" * 40, "0x70997970c51812DC3A010C7d01b50e0d17dc79C8", "vitalik.eth"]
    )
    def test_malformed_addresses(self, text):
        with pytest.raises(MalformedHex):
            parse_address(text)

    def test_addresses_get_their_capitals(self):
        assert (
            parse_address("0x70997970c51812dc3a010c7d01b50e0d17dc79c8") == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
        )


class TestPurposes:
    def test_roundtrip(self):
        for bits in range(1, 1 << len(PURPOSES)):
            assert purpose_bits(purpose_names(bits)) == bits

    def test_are_those_of_the_contract(self):
        """Bit by bit the constants of contracts/libraries/Purposes.sol."""
        source = (ROOT / "contracts/libraries/Purposes.sol").read_text()
        constants = dict(re.findall(r"constant ([A-Z_]+) = 1 << (\d+);", source))
        assert {name.replace("_", "-").lower(): int(bit) for name, bit in constants.items()} == {
            name: bit for bit, name in enumerate(PURPOSES)
        }

    def test_unknown_ones_are_named(self):
        with pytest.raises(BadParameters, match="sell"):
            purpose_bits("train,sell")

    def test_terms_hash_is_the_abi_s(self):
        """keccak256(abi.encode(terms)): one word for each field, none of them dynamic."""
        terms = OfferTerms(1, "0x" + "11" * 20, 2, 3, 4, 5, 6, b"\7" * 32, 8, True, False, "0x" + "12" * 20)
        words = [1, int("11" * 20, 16), 2, 3, 4, 5, 6]
        tail = b"".join(item.to_bytes(32, "big") for item in (8, 1, 0, int("12" * 20, 16)))
        from eth_utils.crypto import keccak

        assert terms.hash == keccak(b"".join(item.to_bytes(32, "big") for item in words) + b"\7" * 32 + tail)


class TestCommands:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_help_has_an_example_and_json(self, name):
        done = invoke(name, "--help")
        assert done.exit_code == 0, done.output
        assert f"qanat {name} " in done.output
        assert "Example:" in done.output
        assert "--json" in done.output

    @pytest.mark.parametrize("name", COMMANDS)
    def test_has_long_options_only_and_each_explained(self, name):
        for item in load(name).for_click().params:
            if isinstance(item, click.Option):
                assert all(text.startswith("--") for text in item.opts)
                assert item.help

    @pytest.mark.parametrize("name", COMMANDS)
    def test_example_is_understood(self, name):
        """The example of --help has no unknown option and lacks no required one."""
        import shlex

        command = load(name).for_click()
        command.make_context(name, shlex.split(load(name).example), resilient_parsing=False)

    @pytest.mark.parametrize("name", COMMANDS)
    def test_who_may_spend_can_be_told_not_to_ask(self, name):
        options = {text for item in load(name).for_click().params for text in item.opts}
        assert ("--yes" in options) == (load(name).account != "no")

    @pytest.mark.parametrize("name", COMMANDS)
    def test_has_a_script_for_ape_with_the_same_options(self, name):
        """`ape run <command>` has every option of its own that `qanat <command>` has."""
        pytest.importorskip("ape")
        script = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "scripts" / f"{name}.py")
        module = importlib.util.module_from_spec(script)
        script.loader.exec_module(module)
        done = CliRunner().invoke(module.cli, ["--help"])
        assert done.exit_code == 0, done.output
        assert f"ape run {name}" in done.output
        own = {text for item in load(name).for_click().params for text in item.opts}
        of_qanat_alone = {"--network", "--rpc", "--timeout", "--keyfile", "--passphrase-file", "--test-account"}
        assert own - of_qanat_alone <= {text for item in module.cli.params for text in item.opts}
        assert "--network" in done.output

    def test_scripts_do_not_load_what_is_heavy(self):
        """Ape imports every script for every run: they may load no web3, numba or crypto beyond what Ape itself has."""
        for name in COMMANDS:
            source = (ROOT / "scripts" / f"{name}.py").read_text()
            assert re.findall(r"^(?:from|import) (\S+)", source, re.MULTILINE) == [
                "ape_qanat.scripts",
                f"qanat.cli.{COMMANDS[name]}",
            ]
            own = (ROOT / "offchain/qanat/cli" / f"{COMMANDS[name]}.py").read_text()
            loaded = re.findall(r"^(?:from|import) (\S+)", own, re.MULTILINE)
            assert not [
                item for item in loaded if item.split(".")[0] in {"web3", "eth_account", "rich", "numba", "httpx"}
            ]
            assert not [
                item
                for item in loaded
                if item.startswith("qanat.") and not item.startswith(("qanat.cli", "qanat.errors"))
            ]

    def test_unknown_commands_are_usage_errors(self):
        assert invoke("nonsense").exit_code == 2


def command(run, **options):
    return Command(name="test", run=run, summary="A test.", example="", chain=False, account="no", **options)


class TestOutput:
    def test_json_is_one_document(self, capsys):
        outcome = Outcome(
            {"id": b"\1", "many": (1, Path("a")), "none": None}, ["for people"], [table("", ["a"], [[1]])]
        )
        run_command(command(lambda _session: outcome), Session(as_json=True), {})
        assert json.loads(capsys.readouterr().out) == {"id": "0x01", "many": [1, "a"], "none": None}

    def test_people_see_text_and_tables(self, capsys):
        outcome = Outcome({}, ["[bold]not markup[/bold]"], [table("Title", ["column"], [["[red]cell"]])])
        run_command(command(lambda _session: outcome), Session(), {})
        shown = capsys.readouterr().out
        assert "[bold]not markup[/bold]" in shown
        assert "[red]cell" in shown

    def test_an_error_ends_with_its_exit_code(self, capsys):
        def fail(_session):
            raise BadParameters("It is wrong.", hint="Do it right.", what=1)

        with pytest.raises(SystemExit) as caught:
            run_command(command(fail), Session(), {})
        assert caught.value.code == 14
        assert capsys.readouterr().err == "test: It is wrong. Do it right.\n"
        with pytest.raises(SystemExit):
            run_command(command(fail), Session(as_json=True), {})
        assert json.loads(capsys.readouterr().out)["exit_code"] == 14

    def test_an_endpoint_s_nonsense_is_an_error_of_the_chain(self, capsys):
        def fail(_session):
            raise Web3RPCError("no such header")

        with pytest.raises(SystemExit) as caught:
            run_command(command(fail), Session(), {})
        assert caught.value.code == 30
        assert "no such header" in capsys.readouterr().err

    def test_a_finding_is_shown_and_then_fails(self, capsys):
        outcome = Outcome({"clean": False}, failure=AuditFailed("Something does not hold."))
        with pytest.raises(SystemExit) as caught:
            run_command(command(lambda _session: outcome), Session(as_json=True), {})
        assert caught.value.code == 71
        assert json.loads(capsys.readouterr().out) == {"clean": False}

    def test_plain_values(self):
        assert plain({1: {b"\1"}}) == {"1": ["0x01"]}


class TestConnecting:
    def test_nothing_answers(self):
        done = invoke("status", "--rpc", f"http://127.0.0.1:{free_port()}", "--json", "--timeout", "1")
        assert done.exit_code == 31
        assert json.loads(done.stdout)["error"] == "ChainUnreachable"

    def test_a_network_without_endpoint(self, monkeypatch):
        monkeypatch.delenv("SEPOLIA_RPC_URL", raising=False)
        with pytest.raises(BadParameters, match="SEPOLIA_RPC_URL"):
            endpoint_of("sepolia")
        monkeypatch.setenv("SEPOLIA_RPC_URL", "https://example.org")
        assert endpoint_of("sepolia") == "https://example.org"

    def test_nothing_deployed(self, monkeypatch, tmp_path):
        monkeypatch.setenv("QANAT_DEPLOYMENTS", str(tmp_path))
        assert invoke("status", "--network", "local").exit_code == 37
        with anvil() as local:
            assert invoke("status", "--rpc", local.url).exit_code == 37
            (tmp_path / "local.json").write_text(
                json.dumps(
                    {
                        "network": "local",
                        "chainId": 31337,
                        "contracts": {"Directory": {"address": "0x" + "11" * 20, "block": 1}},
                    }
                )
            )
            done = invoke("status", "--rpc", local.url)
            assert done.exit_code == 37
            assert "a fresh one" in done.stderr
            (tmp_path / "local.json").write_text(json.dumps({"network": "local", "chainId": 1}))
            assert invoke("status", "--network", "local", "--rpc", local.url).exit_code == 32


class TestAccounts:
    @pytest.fixture
    def here(self, monkeypatch, tmp_path):
        """A local chain with a Directory (any contract) and one test token."""
        monkeypatch.setenv("QANAT_DEPLOYMENTS", str(tmp_path))
        with anvil() as local:
            chain = local.connect()
            chain.rpc("anvil_setCode", "0x" + "11" * 20, "0x00")
            (tmp_path / "local.json").write_text(
                json.dumps(
                    {
                        "network": "local",
                        "chainId": 31337,
                        "contracts": {"Directory": {"address": "0x" + "11" * 20, "block": 1}},
                        "tokens": {"QUSD": {"address": "0x" + "22" * 20, "faucet": True}},
                    }
                )
            )
            yield local

    def test_none_named(self, here):
        done = invoke("faucet", "--rpc", here.url, "--yes")
        assert done.exit_code == 14
        assert "--keyfile" in done.stderr

    def test_a_key_file_that_does_not_open(self, here, tmp_path, monkeypatch):
        path = tmp_path / "key.json"
        key_signer().save_keyfile(path, "word", iterations=2)
        monkeypatch.delenv("QANAT_KEYFILE_PASSPHRASE", raising=False)
        assert invoke("faucet", "--rpc", here.url, "--yes", "--keyfile", str(path)).exit_code == 14
        wrong = tmp_path / "wrong"
        wrong.write_text("other\n")
        options = ("--rpc", here.url, "--yes", "--keyfile", str(path))
        assert invoke("faucet", *options, "--passphrase-file", str(wrong)).exit_code == 63
        assert invoke("faucet", *options, "--passphrase-file", str(tmp_path / "none")).exit_code == 11
        monkeypatch.setenv("QANAT_KEYFILE_PASSPHRASE", "other")
        assert invoke("faucet", *options).exit_code == 63
        assert invoke("faucet", "--rpc", here.url, "--keyfile", str(tmp_path / "no.json")).exit_code == 11

    def test_development_accounts_are_the_public_ones(self):
        assert development_account(1).address == key_signer(1).address
        assert KEYS[0].startswith("ac0974")

    def test_development_accounts_work_on_local_chains_only(self, monkeypatch, tmp_path):
        monkeypatch.setenv("QANAT_DEPLOYMENTS", str(tmp_path))
        with anvil("--chain-id", "5") as local:
            local.connect().rpc("anvil_setCode", "0x" + "11" * 20, "0x00")
            contracts = {"Directory": {"address": "0x" + "11" * 20, "block": 1}}
            (tmp_path / "x.json").write_text(json.dumps({"network": "x", "chainId": 5, "contracts": contracts}))
            done = invoke("faucet", "--rpc", local.url, "--test-account", "0", "--yes")
            assert done.exit_code == 14
            assert "public" in done.stderr

    def test_nobody_to_ask_means_no(self, here):
        before = here.connect().latest()
        done = invoke("faucet", "--rpc", here.url, "--test-account", "0", "--json", "--to", "0x" + "33" * 20)
        assert done.exit_code == 15
        assert json.loads(done.stdout)["error"] == "Refused"
        assert here.connect().latest() == before

    def test_a_no_is_a_no(self, here, monkeypatch):
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        chain = here.connect()
        session = Session(chain=lambda: chain, signer=key_signer)
        monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
        with pytest.raises(Refused, match="declined"):
            session.confirm("Spend", ["everything"])
        monkeypatch.setattr(click, "confirm", lambda *_, **__: True)
        session.confirm("Spend", ["everything"])

    def test_what_is_spent_is_shown_also_when_nobody_is_asked(self, here, capsys):
        chain = here.connect()
        Session(chain=lambda: chain, signer=key_signer, yes=True).confirm("Spend", ["12 QUSD"], transactions=2)
        shown = capsys.readouterr()
        assert "12 QUSD" in shown.err
        assert "gas of up to 2 transactions" in shown.err
        assert shown.out == ""
