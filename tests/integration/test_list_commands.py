"""Lists of claims by commands alone, on a real chain: opened, funded, proposed, challenged, rejected, claimed, closed.

The commands are those of docs/contracts/claim_lists.md, which are run here as they stand there.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from qanat.cli import main
from qanat.cli.command import development_account
from qanat.payments import ClaimList
from tests.unit.local_chain import anvil

ROOT = Path(__file__).resolve().parents[2]
GOVERNOR, OPENER, ARBITER, ANN, BEN, CARA = 0, 2, 3, 4, 5, 6
TOKEN = 10**18
HOUR = 3_600


def run(*words, code=0, account=None):
    """Run `qanat … --json --yes`, check its exit code, return its document."""
    command = [*(str(word) for word in words), "--json"]
    if account is not None:
        command += ["--test-account", str(account), "--yes"]
    done = CliRunner(mix_stderr=False).invoke(main, command)
    assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
    return json.loads(done.stdout)


def address(account):
    return development_account(account).address


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Contracts, and tokens for those who need some."""
    folder = tmp_path_factory.mktemp("lists")
    patch = pytest.MonkeyPatch()
    with anvil() as local:
        patch.setenv("QANAT_RPC", local.url)
        patch.setenv("QANAT_DEPLOYMENTS", str(folder / "deployments"))
        patch.setenv("QANAT_INDEX", str(folder / "index.sqlite"))
        try:
            run("deploy", account=GOVERNOR)
            run("faucet", "--token", "QUSD", "--amount", "100000", account=OPENER)
            yield local.connect(deployment="local")
        finally:
            patch.undo()


@pytest.fixture(autouse=True)
def undone(chain):
    """What a test does to the chain is undone after it."""
    snapshot = chain.rpc("evm_snapshot")
    yield
    chain.rpc("evm_revert", snapshot)


@pytest.fixture
def made(chain, tmp_path):
    """A list with an hour's window, 100 tokens in its funds, and what a test needs of it."""

    def act(action, *words, account=OPENER, code=0):
        return run("claim-list", action, *words, account=account, code=code)

    words = ("--token", "QUSD", "--bond", "10", "--window", "1", "--arbiter", address(ARBITER))
    number = act("open", *words)["list"]
    act("fund", "--list", number, "--amount", "100")
    found = SimpleNamespace(id=number, act=act, folder=tmp_path, chain=chain)

    def entries(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    def propose(name, amounts, *more, code=0):
        """Propose amounts by account; the list's file is `name`.json."""
        text = "".join(f"{address(who)},{amount}\n" for who, amount in amounts.items())
        words = ("--list", number, "--entries", entries(f"{name}.csv", text), "--out", tmp_path / f"{name}.json", *more)
        return act("propose", *words, code=code)

    def later(seconds=HOUR):
        chain.rpc("evm_increaseTime", seconds)
        chain.rpc("anvil_mine", "0x1")

    found.entries, found.propose, found.later = entries, propose, later
    return found


def balance(chain, account):
    token = chain.deployment.token("QUSD").address
    return int(chain.call(chain.token(token).functions.balanceOf(address(account))))


class TestRounds:
    def test_a_list_s_whole_life(self, made):
        """Two rounds, parts at a time, by its people and for them; then what is left over goes back."""
        first = made.propose("one", {ANN: 30, BEN: "20.5", CARA: 5})
        assert (first["total"], first["count"], first["bondHeld"]) == (TOKEN * 111 // 2, 3, 10 * TOKEN)
        assert [root["state"] for root in first["roots"]] == ["pending"]
        file = made.folder / "one.json"
        made.act("claim", "--file", file, account=ANN, code=34)  # within the window
        made.later()
        part = made.act("claim", "--file", file, "--amount", "12.25", account=ANN)
        assert (part["booked"], part["left"]) == (TOKEN * 49 // 4, TOKEN * 71 // 4)
        made.act("claim", "--file", file, "--amount", "18", account=ANN, code=34)
        made.act("claim", "--file", file, "--amount", "0", account=ANN, code=14)
        others = made.act("claim", "--file", file, "--claimant", address(BEN), account=CARA)
        assert (others["booked"], others["left"]) == (TOKEN * 41 // 2, 0)
        made.act("claim", "--file", file, account=BEN, code=34)  # nothing is left
        made.act("claim", "--file", file, account=ARBITER, code=14)  # isn't listed

        made.propose("two", {ANN: 40, BEN: "20.5", CARA: 6}, "--before", file)
        made.later()
        before = balance(made.chain, ANN)
        run("claim", "--list", made.folder / "two.json", account=ANN)
        assert balance(made.chain, ANN) == before + 40 * TOKEN
        # an accepted root stays
        assert made.act("claim", "--file", file, account=CARA)["booked"] == 5 * TOKEN
        assert made.act("claim", "--file", made.folder / "two.json", account=CARA)["booked"] == TOKEN

        assert made.act("take-back", "--list", made.id, "--bond-back")["booked"] == 10 * TOKEN
        rest = made.act("take-back", "--list", made.id, "--surplus")
        assert rest["booked"] == 100 * TOKEN - TOKEN * 133 // 2
        assert (rest["funds"], rest["claimed"]) == (0, TOKEN * 133 // 2)
        assert [item["list"] for item in run("claim-list")["lists"]] == [made.id]

    def test_amounts_never_fall(self, made):
        """Who proposes is told before it loses its bond; who proposes them all the same loses it to who shows it."""
        made.propose("one", {ANN: 30, BEN: 20})
        made.later()
        made.propose("two", {ANN: 31, BEN: 19}, code=14)  # without the round before
        told = made.propose("two", {ANN: 31, BEN: 19}, "--before", made.folder / "one.json", code=14)
        assert told["data"]["account"] == address(BEN)
        made.propose("two", {ANN: 31}, "--before", made.folder / "one.csv", code=14)

        contract = made.chain.contract("ClaimLists")
        bad = ClaimList.of(
            made.chain.chain_id, contract.address, made.id, {address(ANN): 40 * TOKEN, address(CARA): 12 * TOKEN}
        )
        propose_raw(made, bad)
        bad.save(made.folder / "bad.json")
        looked = made.act("challenge", "--file", made.folder / "bad.json", account=CARA)
        assert looked["fault"] is None
        words = ("--file", made.folder / "bad.json", "--before", made.folder / "one.json")
        shown = made.act("challenge", *words, account=CARA)
        assert address(BEN) in shown["fault"]
        assert shown["rounds"] == 1
        before = balance(made.chain, CARA)
        claim_rewards(made.chain, CARA)
        assert balance(made.chain, CARA) == before + 5 * TOKEN
        made.act("challenge", *words, account=CARA, code=14)  # it has fallen

    def test_an_account_that_stands_twice_is_shown(self, made):
        """As its proposer published it: no honest proposer's command makes such a file."""
        contract = made.chain.contract("ClaimLists")
        people = sorted((address(ANN), address(BEN)), key=lambda who: int(who, 16))
        file = {
            "chainId": made.chain.chain_id,
            "contract": contract.address,
            "listId": made.id,
            "entries": [[people[1], "3"], [people[0], "4"], [people[0], "5"]],
        }
        (made.folder / "bad.json").write_text(json.dumps(file))
        propose_raw(made, ClaimList.published(made.folder / "bad.json"))
        assert made.act("challenge", "--file", made.folder / "bad.json", account=CARA)["rounds"] == 0

    def test_an_arbiter_rejects_wrong_amounts(self, made):
        made.propose("one", {ANN: 30})
        reason = made.entries("why.txt", "Ann has nothing to do with it.")
        words = ("--list", made.id, "--reason-file", reason)
        made.act("reject", *words, account=CARA, code=34)
        made.act("reject", "--list", made.id, "--reason-file", made.folder / "none", account=ARBITER, code=11)
        done = made.act("reject", *words, account=ARBITER)
        assert (done["rounds"], done["bondHeld"], done["funds"]) == (0, 0, 110 * TOKEN)

    def test_refusals_come_before_anything_is_paid(self, made):
        """More than lies there, a stranger, a pending round, a file in the way: the bond isn't paid for any of them."""
        made.propose("much", {ANN: 101}, code=34)
        assert not (made.folder / "much.json").exists()
        text = f"{address(ANN)},1"
        words = ("--list", made.id, "--entries", made.entries("a.csv", text), "--out", made.folder / "a.json")
        made.act("propose", *words, account=ANN, code=34)
        assert run("claim-list", "show", "--list", made.id)["bondHeld"] == 0
        made.propose("one", {ANN: 1})
        made.propose("one", {ANN: 2}, code=11)
        made.propose("two", {ANN: 2}, "--before", made.folder / "one.json", code=34)
        made.act("take-back", "--list", made.id, "--bond-back", code=34)
        made.act("take-back", "--list", made.id, code=14)
        made.act("fund", "--list", made.id, "--amount", "0", code=14)
        made.act("fund", "--list", 99, "--amount", "1", code=34)
        made.act("fund", "--list", made.id, code=14)  # how much?
        made.act("fund", "--list", made.id, "--amount", "1", "--surplus", code=14)
        made.act("open", "--token", "QUSD", "--bond", "0", code=34)


def test_what_the_zero_address_is_given_stays(made):
    """Nobody can claim for it: the tokens lie in the list's funds, promised, and never become surplus."""
    contract = made.chain.contract("ClaimLists")
    zero = "0x" + "00" * 20
    bad = ClaimList.of(made.chain.chain_id, contract.address, made.id, {zero: 7, address(ANN): 5})
    propose_raw(made, bad)
    bad.save(made.folder / "zero.json")
    made.later()
    refused = made.act("claim", "--file", made.folder / "zero.json", "--claimant", zero, account=CARA, code=34)
    assert refused["data"]["error_name"] == "ZeroAccount"
    made.act("claim", "--file", made.folder / "zero.json", account=ANN)
    assert made.act("take-back", "--list", made.id, "--surplus")["funds"] == 7


def test_the_walkthrough_runs_as_it_stands(chain, tmp_path, monkeypatch):
    """Every line of the document, in its order; what is in the people's place there is replaced."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "contracts" / "claim_lists.md").read_text()
    walk = text.split("```sh walkthrough\n")[1].split("```")[0]
    accounts = {"coop.json": OPENER, "ann.json": ANN, "ben.json": BEN, "cara.json": CARA}
    for name, account in (("ANN", ANN), ("BEN", BEN)):
        walk = walk.replace(name, address(account))
    done = []
    for line in walk.strip().splitlines():
        words = shlex.split(line.split("  #")[0])
        if words[0] == "printf":
            assert words[2] == ">"
            Path(words[3]).write_text(words[1].replace("\\n", "\n"))
            continue
        assert words[0] == "qanat"
        account = None
        if "--keyfile" in words:
            at = words.index("--keyfile")
            account = accounts[words[at + 1]]
            del words[at : at + 2]
        done.append(run(*words[1:], account=account))
        if "2 days" in line:
            chain.rpc("evm_increaseTime", 48 * HOUR)
            chain.rpc("anvil_mine", "0x1")
    assert done[-1]["claimed"] == 50 * TOKEN
    assert balance(chain, ANN) == 30 * TOKEN


# ---- what no honest command does


def propose_raw(made, bad):
    """Propose a root whatever it is, with its bond."""
    from qanat.chain.sender import Sender

    chain, sender = made.chain, Sender(made.chain, development_account(OPENER))
    contract, payments = chain.contract("ClaimLists").functions, chain.contract("Payments")
    token = chain.deployment.token("QUSD").address
    missing = 10 * TOKEN - int(
        chain.call(payments.functions.balanceOf(token, chain.call(contract.bondAccount(made.id))))
    )
    if missing:
        call = payments.functions.payIn(token, chain.call(contract.bondAccount(made.id)), missing)
        sender.pay(call, token, payments.address, missing)
    sender.send(contract.propose(made.id, bad.node, bad.total, bad.count))


def claim_rewards(chain, account):
    """Pay out what lies in an account's place in Payments."""
    from qanat.chain.sender import Sender

    token = chain.deployment.token("QUSD").address
    Sender(chain, development_account(account)).send(chain.contract("Payments").functions.claim(token))
