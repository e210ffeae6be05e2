"""Every person's commands on a real chain: what they say, what they pay, what they refuse.

No node runs here, but where one is meant to fail.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from qanat import bls
from qanat.chain.connection import Chain
from qanat.chain.deployment import Deployment
from qanat.chain.randomness import randomness_proof
from qanat.chain.sender import Sender
from qanat.chain.signer import KeySigner
from qanat.chain.views import ObjectStatus, OpenRequest, Views
from qanat.cli import main
from qanat.cli.command import development_account
from qanat.errors import BadParameters
from qanat.licensing import losses
from qanat.licensing.losses import Loss, Proof, find_losses, find_proof
from qanat.node.paid import FILE, Account, VoucherBook
from qanat.objects import encode
from qanat.payments import ClaimList, make_voucher, read_voucher
from tests.unit.fault_proxy import FaultProxy
from tests.unit.local_chain import anvil

ROOT = Path(__file__).resolve().parents[2]
GOVERNOR, RESTAKER, OWNER, LICENSEE, STRANGER = 0, 2, 5, 6, 7
OPERATORS = (9, 10, 11, 12)
TOKEN = 10**18


def run(*words, code=0, account=None):
    """Run `qanat … --json --yes`, check its exit code, return its document."""
    command = [str(word) for word in words] + ["--json"]
    if account is not None:
        command += ["--test-account", str(account), "--yes"]
    done = CliRunner(mix_stderr=False).invoke(main, command)
    assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Contracts, four operators with bond, stake and a place in the shard, a roster whose first epoch has begun."""
    folder = tmp_path_factory.mktemp("commands")
    patch = pytest.MonkeyPatch()
    with anvil("--accounts", "20", "--slots-in-an-epoch", "1") as local:
        patch.setenv("QANAT_RPC", local.url)
        patch.setenv("QANAT_DEPLOYMENTS", str(folder / "deployments"))
        patch.setenv("QANAT_INDEX", str(folder / "index.sqlite"))
        patch.setenv("QANAT_PASSPHRASE", "word")
        try:
            deployed = run("deploy", account=GOVERNOR)
            chain = local.connect(deployment="local")
            made = SimpleNamespace(folder=folder, chain=chain, views=Views(chain), url=local.url, deployed=deployed)
            made.address = lambda number: development_account(number).address
            for account in (RESTAKER, OWNER, LICENSEE, *OPERATORS):
                run("faucet", "--amount", "100000", account=account)
            for number, account in enumerate(OPERATORS):
                register(made, number, account)
            for token in ("QALPHA", "QBETA"):
                run("stake", "--token", token, "--amount", "2000", account=RESTAKER)
            for number, account in enumerate(OPERATORS):
                words = ("--operator", made.address(account), "--token", "QALPHA", "--amount", "200")
                run("delegate", *words, account=RESTAKER)
                assert register(made, number, account)["joined"]
            made.roster = run("roster", account=STRANGER)
            chain.rpc("anvil_mine", hex(25))
            yield made
        finally:
            patch.undo()


@pytest.fixture(autouse=True)
def undone(world):
    """What a test does to the chain is undone after it."""
    snapshot = world.chain.rpc("evm_snapshot")
    yield
    world.chain.rpc("evm_revert", snapshot)
    world.chain.forget_modules()


def register(world, number, account, *more, code=0):
    return run(
        "register",
        *("--endpoint", f"http://127.0.0.1:{7201 + number}", "--port", 7201 + number),
        *("--bond", "40", "--folder", world.folder / f"node{number}", *more),
        account=account,
        code=code,
    )


def mine(world, blocks):
    world.chain.rpc("anvil_mine", hex(blocks), "0x1")  # a second each


def balance(world, symbol, account):
    token = world.chain.deployment.token(symbol)
    return world.chain.token(token.address).functions.balanceOf(world.address(account)).call()


def stored_object(world, account=OWNER, epochs=3, encoded=None):
    """Open and certify an object with the operators' own keys, as nodes would."""
    views, chain = world.views, world.chain
    sender = Sender(chain, development_account(account))
    roster = views.roster(1, views.active_roster(1))
    encoded = encoded or encode(secrets.token_bytes(1000), k=4, n=roster.tickets, width=64)
    manifest = encoded.manifest
    request = OpenRequest(
        shard=1,
        roster=roster.number,
        width=manifest.width,
        k=manifest.k,
        n=manifest.n,
        matrices=manifest.matrices,
        size=manifest.size,
        epochs=epochs,
        tree_root=manifest.tree.root,
        content_hash=manifest.content_hash,
        header_hash=chain.web3.keccak(manifest.header),
        max_payment=10**30,
    )
    storage, intake, token = views.quote(request)
    objects = chain.contract("Objects")
    sender.approve_if_needed(token, chain.contract("Payments").address, storage + intake)
    object_id = objects.functions.open(request.as_tuple()).call({"from": sender.address})
    sender.send(objects.functions.open(request.as_tuple()))
    assert views.object(object_id).manifest_root == manifest.root
    keys = [bls.load_key(world.folder / f"node{number}" / "keys" / "bls.json", "word") for number in range(4)]
    digest = views.certificate_digest(object_id)
    sender.send(objects.functions.certify(object_id, bls.aggregate([key.sign(digest) for key in keys]), []))
    assert views.object(object_id).status is ObjectStatus.CERTIFIED
    return object_id


class TestDeploy:
    def test_a_second_time_does_nothing(self, world):
        before = world.chain.latest()
        assert run("deploy", account=STRANGER)["steps"] == []
        assert world.chain.latest() == before
        assert world.deployed["contracts"]["Objects"]["block"] > 0

    def test_a_chain_without_the_precompiles(self, tmp_path, monkeypatch):
        """Nothing is sent, nothing is written."""
        monkeypatch.setenv("QANAT_DEPLOYMENTS", str(tmp_path))
        with anvil(hardfork="cancun") as local:
            chain = local.connect()
            chain.rpc("anvil_mine", hex(3))
            error = run("deploy", "--rpc", local.url, account=GOVERNOR, code=33)
            assert "0x0f" in error["message"]
            assert chain.latest() == 3
        assert not list(tmp_path.glob("*.json"))

    def test_a_wrong_chain(self, world, monkeypatch, tmp_path):
        monkeypatch.setenv("QANAT_DEPLOYMENTS", str(tmp_path))
        with anvil("--chain-id", "1337") as local:
            run("deploy", "--rpc", local.url, account=GOVERNOR, code=32)


class TestRestakers:
    def test_stake_takes_exactly_what_was_said(self, world):
        before = balance(world, "QALPHA", RESTAKER)
        done = run("stake", "--token", "qalpha", "--amount", "12.5", account=RESTAKER)
        assert done["deposited"] == 12_500_000_000_000_000_000
        assert balance(world, "QALPHA", RESTAKER) == before - done["deposited"]
        restaking = world.chain.contract("Restaking").address
        token = world.chain.token(done["token"])
        assert token.functions.allowance(world.address(RESTAKER), restaking).call() == 0

    def test_a_stake_killed_between_sending_and_receipt_is_not_paid_twice(self, world):
        """`kill -9` when the chain has it and the command does not know: the same command again pays nothing more."""
        before = balance(world, "QALPHA", RESTAKER)
        words = ("stake", "--token", "QALPHA", "--amount", "7", "--test-account", str(RESTAKER), "--yes", "--json")
        command = [sys.executable, "-c", "from qanat.cli import main; main()", *words]
        with FaultProxy(world.url) as proxy:
            sent = "eth_sendRawTransaction"
            proxy.fault = lambda method, count: "hang" if method == sent and count == 1 else ""  # the approval is first
            process = subprocess.Popen(command, env={**os.environ, "QANAT_RPC": proxy.url}, stdout=subprocess.DEVNULL)
            try:
                assert proxy.reached.wait(120)
            finally:
                process.kill()
                process.wait(10)
            assert [method for method, _ in proxy.seen].count(sent) == 2
        assert balance(world, "QALPHA", RESTAKER) == before - 7 * TOKEN
        block = world.chain.latest()
        done = run("stake", "--token", "QALPHA", "--amount", "7", account=RESTAKER)
        assert (done["deposited"], done["block"]) == (7 * TOKEN, block)
        assert world.chain.latest() == block
        run("stake", "--token", "QALPHA", "--amount", "7", account=RESTAKER)
        assert balance(world, "QALPHA", RESTAKER) == before - 14 * TOKEN

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (("--token", "QALPHA", "--amount", "200000"), 35),
            (("--token", "QALPHA", "--amount", "1", "--max-fee", "0.000000001"), 30),
            (("--token", "QALPHA", "--amount", "0"), 14),
            (("--token", "QALPHA", "--amount", "-1"), 14),
            (("--token", "QALPHA", "--amount", "x"), 14),
            (("--token", "QUSD", "--amount", "1"), 14),
            (("--token", "NONE", "--amount", "1"), 14),
        ],
    )
    def test_stake_refuses_without_paying(self, world, words, code):
        before = world.chain.latest()
        run("stake", *words, account=RESTAKER, code=code)
        assert world.chain.latest() == before

    def test_too_little_to_stake_names_both_figures(self, world):
        error = run("stake", "--token", "QALPHA", "--amount", "200000", account=RESTAKER, code=35)
        assert "holds 98000 QALPHA; 200000 QALPHA are needed" in error["message"]

    def test_delegation_to_a_counted_operator_waits(self, world):
        """Stake that comes after the snapshot counts only when the epochs before it can't be reported any more."""
        operator = world.address(OPERATORS[0])
        words = ("--operator", operator, "--token", "QALPHA")
        done = run("delegate", *words, "--amount", "10", account=RESTAKER)
        assert (done["waiting"], done["worth"]) == (10 * TOKEN, 200 * TOKEN)
        again = run("delegate", *words, account=RESTAKER)
        assert again["waiting"] == 10 * TOKEN
        mine(world, done["matures_at_block"] - world.chain.latest())
        done = run("delegate", *words, account=RESTAKER)
        assert (done["waiting"], done["worth"]) == (0, 210 * TOKEN)

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (("--operator", "0x12", "--token", "QALPHA", "--amount", "1"), 13),
            (("--operator", "0x" + "55" * 20, "--token", "QALPHA", "--amount", "1"), 14),
            (("--token", "QALPHA", "--amount", "1000000"), 35),
            (("--token", "QALPHA"), 14),
            (("--token", "QALPHA", "--amount", "1", "--all"), 14),
        ],
    )
    def test_delegate_refuses_without_paying(self, world, words, code):
        before = world.chain.latest()
        if "--operator" not in words:
            words = (*words, "--operator", world.address(OPERATORS[0]))
        run("delegate", *words, account=RESTAKER, code=code)
        assert world.chain.latest() == before

    def test_stake_comes_back_to_the_unit(self, world):
        """All that was delegated is undelegated, completed, paid out: the wallet is as before the first deposit."""
        for account in OPERATORS:
            words = ("--operator", world.address(account), "--token", "QALPHA", "--all")
            queued = run("undelegate", *words, account=RESTAKER)
        waiting = run("withdraw", "--keep", account=RESTAKER)
        assert len(waiting["waiting"]) == 4
        # the later of the two: the delay is over before the roster's last epoch can't be reported any more
        bound = {world.views.withdrawal(number).free_from_block for number in range(1, 5)}
        assert max(bound) > world.chain.latest() + world.views.withdrawal_delay()
        assert {int(item["why"].split()[-1]) for item in waiting["waiting"]} == bound
        mine(world, max(0, queued["free_from_block"] - world.chain.latest()))
        done = run("withdraw", account=RESTAKER)
        assert (len(done["completed"]), done["waiting"]) == (4, [])
        assert balance(world, "QALPHA", RESTAKER) == 100_000 * TOKEN
        assert balance(world, "QBETA", RESTAKER) == 100_000 * TOKEN
        assert run("withdraw", account=RESTAKER)["paid"] == {}

    def test_undelegate_a_part(self, world):
        words = ("--operator", world.address(OPERATORS[0]), "--token", "QALPHA")
        done = run("undelegate", *words, "--amount", "50", account=RESTAKER)
        assert done["worth"] == 50 * TOKEN
        run("undelegate", *words, "--amount", "151", account=RESTAKER, code=36)
        run("undelegate", *words, account=RESTAKER, code=14)
        run("undelegate", *words, "--all", account=STRANGER, code=14)


class TestOperators:
    def test_registered_keys_are_those_of_the_files(self, world):
        for number, account in enumerate(OPERATORS):
            record = world.views.operator(world.address(account))
            folder = world.folder / f"node{number}"
            settings = json.loads((folder / "node.json").read_text())
            assert settings["operator"] == record.address
            assert bls.load_key(folder / settings["keys"]["bls"], "word").public_key == record.key
            responder = KeySigner.from_keyfile(folder / settings["keys"]["responder"], "word")
            assert responder.address == record.responder
            assert record.endpoint == f"http://127.0.0.1:{7201 + number}"
            for name in ("bls", "sealing", "responder"):
                assert (folder / settings["keys"][name]).stat().st_mode & 0o077 == 0

    def test_a_second_time_sends_nothing(self, world):
        before = world.chain.latest()
        assert register(world, 0, OPERATORS[0])["transactions"] == {}
        assert world.chain.latest() == before

    def test_what_changed_is_changed(self, world):
        done = run(
            "register",
            *("--endpoint", "https://node.example", "--commission", "500", "--bond", "45"),
            *("--folder", world.folder / "node0", "--responder-coins", "0.5"),
            account=OPERATORS[0],
        )
        assert set(done["transactions"]) == {"endpoint", "commission", "bond", "responder coins"}
        assert done["bond"] == 45 * TOKEN
        record = world.views.operator(done["operator"])
        assert record.endpoints == ("https://node.example", f"http://127.0.0.1:{7201}")
        assert record.next_endpoint_block > world.chain.latest()
        assert world.chain.web3.eth.get_balance(done["responder"]) == TOKEN // 2
        register(world, 0, OPERATORS[0])

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (("--endpoint", "ftp://x"), 14),
            (("--endpoint", "http://x/" + "y" * 300), 14),
            (("--endpoint", "http://x", "--bond", "1"), 14),
            (("--endpoint", "http://x", "--bond", "1000000"), 35),
            (("--endpoint", "http://x", "--allocate", "QUSD=10"), 14),
            (("--endpoint", "http://x", "--allocate", "QALPHA=101"), 14),
            (("--endpoint", "http://x", "--shard", "nowhere"), 14),
        ],
    )
    def test_refuses_without_paying_or_writing(self, world, tmp_path, words, code):
        before = world.chain.latest()
        run("register", *words, "--folder", tmp_path / "node", account=OWNER, code=code)
        assert world.chain.latest() == before
        assert not (tmp_path / "node").exists()

    def test_a_newcomer_registers_then_joins(self, world, tmp_path):
        """Stake can be delegated to a registered operator only: the first run can't join, the second does."""
        words = ("--endpoint", "http://127.0.0.1:7300", "--folder", tmp_path / "new", "--allocate", "QALPHA=50")
        first = run("register", *words, account=OWNER)
        assert (first["joined"], first["bond"]) == (False, 10 * TOKEN)
        assert "StakeBelowTicket" in first["why_not_joined"]
        run("register", *words, "--join", account=OWNER, code=36)
        run("delegate", "--operator", first["operator"], "--token", "QALPHA", "--amount", "300", account=RESTAKER)
        second = run("register", *words, account=OWNER)
        assert (second["joined"], second["weight"], second["transactions"]) == (True, 150 * TOKEN, {})
        assert second["operator"] in world.views.members(1)

    def test_wrong_passphrase_and_wrong_folder(self, world, monkeypatch):
        run(
            *("register", "--endpoint", "http://127.0.0.1:7201", "--bond", "40"),
            *("--folder", world.folder / "node1"),
            account=OPERATORS[0],
            code=63,
        )
        monkeypatch.setenv("QANAT_PASSPHRASE", "other")
        register(world, 0, OPERATORS[0], code=63)
        monkeypatch.delenv("QANAT_PASSPHRASE")
        register(world, 0, OPERATORS[0], code=14)

    def test_a_registered_operator_does_not_get_new_keys(self, world, tmp_path):
        error = run(
            *("register", "--endpoint", "http://127.0.0.1:7201", "--bond", "40", "--folder", tmp_path),
            account=OPERATORS[0],
            code=11,
        )
        assert "bls.json" in error["message"]

    def test_roster_too_early_says_when(self, world):
        error = run("roster", account=STRANGER, code=34)
        assert error["data"]["error_name"] == "SnapshotTooEarly"
        assert error["data"]["arguments"]["earliest"] > world.chain.latest()

    def test_node_that_can_not_start(self, world):
        """A port in use, a wrong passphrase, a missing file: each with its exit code, from a process of its own."""
        config = world.folder / "node0" / "node.json"

        def node(path, *words, **environment):
            command = [Path(sys.executable).with_name("qanat"), "node", "--config", path, "--json", *words]
            done = subprocess.run(
                command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
            )
            return done.returncode

        assert node(world.folder / "none.json") == 11
        assert node(config, QANAT_PASSPHRASE="other") == 63
        assert node(config, "--account", world.address(OPERATORS[1])) == 14
        assert node(config, "--network", "sepolia", SEPOLIA_RPC_URL="") == 14
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", 7201))
            taken.listen()
            assert node(config) == 44


class TestOwnersAndLicensees:
    @pytest.fixture
    def asset(self, world):
        """An asset of the owner's, one offer, by the commands."""
        object_id = stored_object(world)
        words = ("--object", "0x" + object_id.hex(), "--content-hash", "ab" * 32, "--metadata", "a test")
        minted = run("mint", *words, account=OWNER)
        offered = run("offer", "--asset", minted["asset"], "--price", "25", "--days", "30", account=OWNER)
        return SimpleNamespace(id=minted["asset"], object_id=object_id, offer=offered["offer"], minted=minted)

    def test_mint_says_what_is_on_chain(self, world, asset):
        assets = world.chain.contract("Assets")
        assert world.views.asset_objects(asset.id) == [asset.object_id]
        assert assets.functions.metadataOf(asset.id).call() == "a test"
        assert assets.functions.contentHashOf(asset.id).call() == bytes.fromhex("ab" * 32)

    def test_an_asset_is_described_in_croissant_and_gets_versions(self, world):
        """Checked before anything is sent; the market tells and finds its schema; records of a bundle are a version."""
        file = Path(__file__).parents[1] / "unit" / "soil.croissant.json"
        first, about, bundle = ("0x" + stored_object(world).hex() for _ in range(3))
        words = ("--object", first, "--content-hash", "ab" * 32, "--metadata", '{"farm": "north"}')
        described = ("--croissant", file, "--croissant-object", about)
        run("mint", *words, "--croissant-object", about, account=OWNER, code=14)
        run("mint", *words[:3], "cd" * 32, *described, account=OWNER, code=14)
        minted = run("mint", *words, *described, account=OWNER)
        number = minted["asset"]
        told = json.loads(minted["metadata"])
        assert (told["croissant"], told["name"], told["farm"]) == (about, "soil", "north")
        assert minted["schema"] == told["schema"] == "samples: depth Integer, ph Float"
        content = world.chain.contract("Assets").functions.contentOf(number, 1).call()
        assert content[4] == bytes.fromhex(about[2:])

        offer = run("offer", "--asset", number, "--price", "1", account=OWNER)["offer"]
        (found,) = run("market", "--schema", "ph float")["offers"]
        assert (found["offer"], found["name"], found["schema"].split(", http")[0]) == (offer, "soil", told["schema"])

        more = ("--version-of", number, "--content-hash", "cd" * 32, "--records", f"{bundle}:10-19")
        added = run("mint", *more, "--metadata", "ten records", account=OWNER)
        assert (added["asset"], added["version"], added["records"][0]["count"]) == (number, 2, 10)
        run("mint", *more, account=STRANGER, code=14)
        run("mint", *more[:4], "--records", f"{bundle}:19-10", account=OWNER, code=14)
        run("mint", *more, account=OWNER, code=34)
        content = world.chain.contract("Assets").functions.contentOf(number, 2).call()
        assert content[1] == [(bytes.fromhex(bundle[2:]), 10, 10)]
        assert found["offer"] not in {item["offer"] for item in run("market", "--schema", "ph float")["offers"]}

    def test_mint_refuses_what_is_not_ours(self, world, asset):
        stranger = "0x" + asset.object_id.hex()
        run("mint", "--object", stranger, "--content-hash", "ab" * 32, account=LICENSEE, code=14)
        run("mint", "--object", stranger, "--content-hash", "ab" * 32, account=OWNER, code=34)
        run("mint", "--object", "0x12", "--content-hash", "ab" * 32, account=OWNER, code=13)
        run("mint", "--object", "0x" + "77" * 32, "--content-hash", "ab" * 32, account=OWNER, code=14)
        run("mint", "--object", stranger, account=OWNER, code=14)
        run("mint", account=OWNER, code=14)
        run("mint", "--recovery", world.folder / "none.json", account=OWNER, code=11)

    def test_a_license_is_bought_at_its_price(self, world, asset):
        before = balance(world, "QUSD", LICENSEE)
        done = run("license", "--offer", asset.offer, "--max-price", "25", account=LICENSEE)
        assert balance(world, "QUSD", LICENSEE) == before - 25 * TOKEN
        assert done["purposes"] == ["train"]
        assert world.views.is_licensed(world.address(LICENSEE), asset.id, 1)
        assert not world.views.is_licensed(world.address(LICENSEE), asset.id, 2)
        assert not world.views.is_licensed(world.address(STRANGER), asset.id, 1)
        shown = run("status", "--address", world.address(LICENSEE))
        assert [item["state"] for item in shown["licenses"]] == ["in force"]

    def test_list_shows_every_kind_of_what_is_there(self, world, asset):
        """As the chain has it: one asset of one object, on sale, sold once, held by four operators of one shard."""
        bought = run("license", "--offer", asset.offer, account=LICENSEE)["license"]
        owner, licensee = world.address(OWNER), world.address(LICENSEE)
        record = world.views.object(asset.object_id)

        def listed(kind, *words):
            found = run("list", kind, *words)
            assert found["total"] == len(found[kind])
            assert found["block"] == world.chain.latest()
            return found[kind]

        operators = listed("operators")
        assert {item["operator"] for item in operators} == {world.address(account) for account in OPERATORS}
        assert all(item["tickets"]["1"] > 0 and item["bonds"]["1"] == 40 * TOKEN for item in operators)
        assert {item["endpoint"] for item in operators} == {f"http://127.0.0.1:{7201 + number}" for number in range(4)}
        (mine_alone,) = listed("operators", "--owner", world.address(OPERATORS[2]))
        assert mine_alone["shards"] == [1]

        (shard,) = listed("shards")
        tickets = world.views.roster(1, 1).tickets
        assert (shard["shard"], shard["operators"], shard["tickets"]) == (1, 4, tickets)

        (stored,) = listed("objects", "--owner", owner)
        assert stored["object"] == "0x" + asset.object_id.hex()
        assert (stored["end_epoch"], stored["state"]) == (record.end_epoch, "certified")
        assert stored["paid"] == record.slices * record.row_fee * record.epochs + record.intake_fee
        assert listed("objects", "--owner", licensee) == listed("objects", "--live") == []

        (minted,) = listed("assets")
        assert (minted["asset"], minted["owner"], minted["licenses"]) == (asset.id, owner, 1)
        assert minted["offers"] == [asset.offer]

        (offered,) = listed("offers", "--live", "--purpose", "train")
        assert (offered["offer"], offered["price"], offered["sold"]) == (asset.offer, 25 * TOKEN, 1)
        assert listed("offers", "--purpose", "infer") == []

        (sold,) = listed("licenses")
        assert (sold["license"], sold["owner"], sold["state"]) == (bought, licensee, "in force")
        assert (sold["asset"], sold["offer"], sold["key_released"]) == (asset.id, asset.offer, False)

    def test_a_license_that_can_not_be_bought_costs_nothing(self, world, asset):
        before = world.chain.latest()
        run("license", "--offer", asset.offer, "--max-price", "24.9", account=LICENSEE, code=14)
        run("license", "--offer", 99, account=LICENSEE, code=34)
        run("license", "--offer", asset.offer, account=STRANGER, code=35)
        run("license", account=LICENSEE, code=14)
        assert world.chain.latest() == before

    def test_an_offer_is_over_with_its_owner(self, world, asset):
        """The asset went to another owner: that is found before the price may be taken."""
        move = world.chain.contract("Assets").functions.transferFrom(
            world.address(OWNER), world.address(STRANGER), asset.id
        )
        Sender(world.chain, development_account(OWNER)).send(move)
        before = world.chain.latest()
        run("license", "--offer", asset.offer, account=LICENSEE, code=14)
        assert world.chain.latest() == before

    def test_a_signed_offer_is_bought_with_its_file(self, world, asset, tmp_path):
        """Nothing is published before the first purchase; both are of one offer; cancelled, it sells nothing."""
        file, other, spoilt = (tmp_path / name for name in ("offer.json", "other.json", "spoilt.json"))
        words = ("--asset", asset.id, "--price", "12.5", "--purposes", "infer", "--days", "30", "--seats", "2")
        before, number = world.chain.latest(), world.chain.contract("Licenses").functions.offerCount().call() + 1
        signed = run("offer", *words, "--sign", file, account=OWNER)
        run("offer", *words, "--sign", file, account=OWNER, code=11)
        run("offer", *words, "--sign", other, account=LICENSEE, code=14)
        assert world.chain.latest() == before
        spoilt.write_text(file.read_text().replace(str(25 * TOKEN // 2), "1"))
        run("license", "--signed", spoilt, account=LICENSEE, code=34)
        run("license", "--signed", file, "--max-price", "12", account=LICENSEE, code=14)
        had = balance(world, "QUSD", LICENSEE)
        bought = [run("license", "--signed", file, account=LICENSEE) for _ in range(2)]
        assert balance(world, "QUSD", LICENSEE) == had - 25 * TOKEN
        assert [item["offer"] for item in bought] == [number, number]
        assert world.views.offer(number)[0].hash == bytes.fromhex(signed["terms_hash"][2:])
        run("license", "--signed", file, account=LICENSEE, code=14)  # both seats are taken

        run("offer", *words, "--sign", other, account=OWNER)
        run("offer", "--cancel", other, account=STRANGER, code=34)
        run("offer", "--cancel", other, account=OWNER)
        run("license", "--signed", other, account=LICENSEE, code=34)

    def test_an_offer_that_was_withdrawn_is_over(self, world, asset):
        run("offer", "--withdraw", asset.offer, account=LICENSEE, code=34)
        run("offer", "--withdraw", asset.offer, account=OWNER)
        run("license", "--offer", asset.offer, account=LICENSEE, code=14)

    @pytest.mark.parametrize(
        "words",
        [
            ("--price", "1", "--purposes", "sell"),
            ("--price", "one"),
            ("--price", "1", "--token", "NONE"),
            (),
            ("--price", "1", "--text", "/nonexistent"),
            ("--price", "1", "--spdx", "CC-BY-99"),
            ("--price", "1", "--spdx", "MIT", "--text", "README.md"),
        ],
    )
    def test_an_offer_that_makes_no_sense(self, world, asset, words):
        before = world.chain.latest()
        code = 11 if "/nonexistent" in words else 14
        run("offer", "--asset", asset.id, *words, account=OWNER, code=code)
        assert world.chain.latest() == before

    def test_a_license_text_is_known_by_its_short_name(self, world, asset, tmp_path):
        (tmp_path / "terms.txt").write_text("Use it well.")
        words = ("--asset", asset.id, "--price", "1")
        named = run("offer", *words, "--spdx", "cc-by-4.0", account=OWNER)["offer"]
        own = run("offer", *words, "--text", tmp_path / "terms.txt", account=OWNER)["offer"]
        texts = {item["offer"]: item["text"] for item in run("market")["offers"]}
        assert texts[named] == "CC-BY-4.0"
        assert texts[own] == f"SHA-256 0x{hashlib.sha256(b'Use it well.').hexdigest()}"
        assert texts[asset.offer] == "none"

    def test_an_offer_of_a_stranger_s_asset(self, world, asset):
        run("offer", "--asset", asset.id, "--price", "1", account=LICENSEE, code=14)

    def test_a_revoked_license_returns_what_was_not_earned(self, world, asset):
        words = ("--price", "30", "--purposes", "infer", "--earned-at-release", "0", "--days", "30")
        offer = run("offer", "--asset", asset.id, *words, account=OWNER)["offer"]
        before = balance(world, "QUSD", LICENSEE)
        license_id = run("license", "--offer", offer, account=LICENSEE)["license"]
        run("revoke", "--license", license_id, account=STRANGER, code=34)
        refund = run("revoke", "--license", license_id, "--cause", "no reason", account=OWNER)["refund"]
        assert 29 * TOKEN < refund <= 30 * TOKEN
        assert run("claim", account=LICENSEE)["paid"][world.chain.deployment.token("QUSD").address] == refund
        assert balance(world, "QUSD", LICENSEE) == before - 30 * TOKEN + refund

    def test_a_key_that_never_came_is_not_paid(self, world, asset):
        before = balance(world, "QUSD", LICENSEE)
        license_id = run("license", "--offer", asset.offer, account=LICENSEE)["license"]
        run("license", "--refund", license_id, account=LICENSEE, code=34)
        world.chain.rpc("evm_increaseTime", 31 * 86_400)
        mine(world, 1)
        assert run("license", "--refund", license_id, account=STRANGER)["refunded"] == 25 * TOKEN
        run("claim", account=LICENSEE)
        assert balance(world, "QUSD", LICENSEE) == before

    def test_what_is_unearned_of_lost_data_comes_back_to_who_was_licensed_before(self, world, asset):
        """The seed block of the first epoch without it is shown with its header; who bought later gets nothing."""
        words = ("--price", "30", "--purposes", "infer", "--earned-at-release", "0", "--days", "30")
        offer = run("offer", "--asset", asset.id, *words, account=OWNER)["offer"]
        before = balance(world, "QUSD", LICENSEE)
        license_id = run("license", "--offer", offer, account=LICENSEE)["license"]
        run("license", "--refund", license_id, account=LICENSEE, code=34)
        end = run("terminate", "--object", "0x" + asset.object_id.hex(), account=OWNER)["end_epoch"]
        shard = world.views.object(asset.object_id).shard
        mine(world, world.views.seed_block(shard, end) - world.chain.latest())
        late = run("license", "--offer", offer, account=LICENSEE)["license"]
        run("license", "--refund", license_id, account=STRANGER, code=14)
        done = run("license", "--refund", license_id, account=LICENSEE)
        assert (done["lost"], done["epoch"]) == ("0x" + asset.object_id.hex(), end)
        assert 29 * TOKEN < done["refunded"] <= 30 * TOKEN
        run("license", "--refund", late, account=LICENSEE, code=14)
        run("license", "--refund", license_id, account=LICENSEE, code=34)
        run("claim", account=LICENSEE)
        assert balance(world, "QUSD", LICENSEE) == before - 60 * TOKEN + done["refunded"]

    def test_a_loss_is_shown_by_an_epoch_before_it_once_its_own_block_is_out_of_reach(self, world, asset, monkeypatch):
        """Epochs between purchase and loss, of which one was sealed; and none. (Mining 8,191 blocks takes minutes.)"""
        monkeypatch.setattr(losses, "_REVEALABLE_BLOCKS", 20)
        offer = run("offer", "--asset", asset.id, "--price", "30", "--days", "300", account=OWNER)["offer"]
        license_id = run("license", "--offer", offer, account=LICENSEE)["license"]
        record = world.views.object(asset.object_id)
        start = world.views.license(license_id).start
        sealed = world.views.epoch_at(record.shard, world.chain.latest()) + 2
        block = world.views.seed_block(record.shard, sealed)
        mine(world, block + 1 - world.chain.latest())
        beacon = world.chain.contract("RandaoBeacon")
        assert sealed < record.end_epoch
        shown = randomness_proof(world.chain, block, ())
        Sender(world.chain, development_account(STRANGER)).send(beacon.functions.reveal(block, shown))
        end_block = world.views.seed_block(record.shard, record.end_epoch)
        loss = Loss(asset.object_id, record.shard, record.end_epoch, end_block)
        mine(world, end_block - world.chain.latest() + 21)
        assert find_losses(world.views, asset.id) == [loss]
        assert find_proof(world.views, [loss], start) == Proof(loss, sealed, block, True)
        with pytest.raises(BadParameters, match="Nothing shows"):
            find_proof(world.views, [loss], int(str(world.chain.block(block)["timestamp"]), 16))
        done = run("license", "--refund", license_id, account=LICENSEE)
        assert (done["epoch"], done["refunded"] > 0) == (sealed, True)

    def test_of_several_losses_one_counts_that_is_later_than_the_license(self, world, asset):
        """One object was over before, the next version's comes to its end while the license runs."""
        first = world.views.object(asset.object_id)
        other = stored_object(world, epochs=5)
        second = world.views.object(other)
        words = ("--version-of", asset.id, "--object", "0x" + other.hex(), "--content-hash", "cd" * 32)
        run("mint", *words, "--metadata", "newer", account=OWNER)
        mine(world, world.views.seed_block(first.shard, first.end_epoch) - world.chain.latest())
        assert second.end_epoch > first.end_epoch
        license_id = run("license", "--offer", asset.offer, account=LICENSEE)["license"]
        run("license", "--refund", license_id, account=LICENSEE, code=14)
        mine(world, world.views.seed_block(second.shard, second.end_epoch) - world.chain.latest())
        run("license", "--refund", license_id, account=LICENSEE, code=14)  # the newest block can't be shown yet
        mine(world, 1)
        assert [item.object_id for item in find_losses(world.views, asset.id)] == [other, asset.object_id]
        done = run("license", "--refund", license_id, account=LICENSEE)
        assert (done["lost"], done["epoch"]) == ("0x" + other.hex(), second.end_epoch)

    def test_a_claim_takes_back_what_a_key_would_have_cost(self, world, asset):
        """Of a license that is over, without a word more."""
        before = balance(world, "QUSD", LICENSEE)
        run("license", "--offer", asset.offer, account=LICENSEE)
        world.chain.rpc("evm_increaseTime", 31 * 86_400)
        mine(world, 1)
        assert any("key of license" in item for item in run("claim", account=LICENSEE)["collected"])
        assert balance(world, "QUSD", LICENSEE) == before

    def test_a_seat_is_renewed_and_all_is_paid_to_the_owner(self, world, asset):
        """The one seat is taken; its license lasts two periods; what both earned comes with the owner's next claim."""
        words = ("--price", "30", "--purposes", "evaluate", "--earned-at-release", "0", "--days", "10", "--seats", "1")
        offer = run("offer", "--asset", asset.id, *words, account=OWNER)["offer"]
        bought = run("license", "--offer", offer, account=LICENSEE)
        run("license", "--offer", offer, account=STRANGER, code=14)
        renewed = run("renew", "--license", bought["license"], account=LICENSEE)
        assert renewed["end"] == bought["record"]["end"] + 10 * 86_400
        run("renew", "--license", bought["license"], account=LICENSEE, code=34)
        run("claim", account=OWNER)
        world.chain.rpc("evm_increaseTime", 22 * 86_400)
        mine(world, 1)
        paid = run("claim", account=OWNER)["paid"][world.chain.deployment.token("QUSD").address]
        assert paid >= 59 * TOKEN
        token = world.chain.deployment.token("QUSD").address
        assert world.views.license_book(asset.id, token)[1] == 0

    def test_what_is_paid_late_goes_back_or_goes_on(self, world, asset):
        """Its payer has it back whole; paid again, the asset's owner lets the license go on."""
        words = ("--price", "30", "--purposes", "infer", "--earned-at-release", "0", "--days", "1")
        offer = run("offer", "--asset", asset.id, *words, account=OWNER)["offer"]
        bought = run("license", "--offer", offer, account=LICENSEE)
        number, before = bought["license"], balance(world, "QUSD", LICENSEE)
        world.chain.rpc("evm_increaseTime", 2 * 86_400)
        mine(world, 1)
        run("renew", "--license", number, "--take-back", account=LICENSEE, code=14)
        paid = run("renew", "--license", number, account=LICENSEE)
        assert (paid["late"], paid["end"]) == (True, bought["record"]["end"])
        run("renew", "--license", number, account=LICENSEE, code=34)
        assert run("renew", "--license", number, "--take-back", account=LICENSEE)["amount"] == 30 * TOKEN
        run("claim", account=LICENSEE)
        assert balance(world, "QUSD", LICENSEE) == before
        run("renew", "--license", number, account=LICENSEE)
        me = world.address(LICENSEE)
        run("renew", "--license", number, "--reinstate", me, account=STRANGER, code=34)
        again = run("renew", "--license", number, "--reinstate", me, account=OWNER)
        assert again["end"] >= bought["record"]["end"] + 2 * 86_400
        run("renew", "--license", number, "--take-back", account=LICENSEE, code=14)
        assert world.views.license(number).end == again["end"]

    def test_a_breach_freezes_what_was_not_earned(self, world, asset):
        """Where the offer names an arbiter; without one it is refused."""
        words = (
            "--asset",
            asset.id,
            "--price",
            "30",
            "--purposes",
            "infer",
            "--earned-at-release",
            "0",
            "--days",
            "30",
        )
        plain = run("offer", *words, account=OWNER)["offer"]
        judged = run("offer", *words, "--arbiter", "0x" + "77" * 20, account=OWNER)["offer"]
        first, second = (run("license", "--offer", item, account=LICENSEE)["license"] for item in (plain, judged))
        run("revoke", "--license", first, "--breach", account=OWNER, code=34)
        done = run("revoke", "--license", second, "--breach", "--cause", "shared it", account=OWNER)
        assert 29 * TOKEN < done["contested"] <= 30 * TOKEN
        assert world.views.license(second).refunded == 0
        run("breach", "--license", first, "--dispute", account=LICENSEE, code=14)
        run("breach", "--license", second, "--dispute", "--conclude", account=LICENSEE, code=14)
        run("breach", "--license", second, "--conclude", account=LICENSEE, code=34)
        assert run("breach", "--license", second, "--dispute", account=LICENSEE)["until"] > done["until"]
        run("breach", "--license", second, "--refund", "1", account=STRANGER, code=34)
        given = run("breach", "--license", second, "--conclude", account=OWNER)
        assert (given["refunded"], given["frozen"]) == (done["contested"], 0)

    def test_an_asset_and_a_license_change_hands(self, world, tmp_path):
        """Of what was earned before, the seller is paid; a license goes where its offer lets it; all can be read."""
        made = ("--object", "0x" + stored_object(world).hex(), "--content-hash", "ab" * 32, "--metadata", "another")
        asset = run("mint", *made, account=OWNER)["asset"]
        words = ("--asset", asset, "--price", "30", "--purposes", "infer", "--earned-at-release", "0", "--days", "10")
        bound = run("offer", *words, account=OWNER)["offer"]
        free = run("offer", *words, "--transferable", "--exclusive", account=OWNER)["offer"]
        license_id = run("license", "--offer", free, account=LICENSEE)["license"]
        run("license", "--offer", bound, account=LICENSEE, code=34)
        other = run(
            "offer", "--asset", asset, "--price", "40", "--days", "10", "--earned-at-release", "100", account=OWNER
        )
        second = run("license", "--offer", other["offer"], account=LICENSEE)["license"]
        call = world.chain.contract("Licenses").functions.recordRelease
        me = Sender(world.chain, development_account(LICENSEE))
        me.send(call(second, world.address(LICENSEE), bytes(31) + b"\1", 2**40, b""))
        stranger = "0x" + "77" * 20
        run("transfer", "--license", license_id, "--to", stranger, account=OWNER, code=14)
        run("transfer", "--license", license_id, "--to", stranger, account=LICENSEE)
        assert world.views.license(license_id).licensee == world.chain.web3.to_checksum_address(stranger)
        world.chain.rpc("evm_increaseTime", 5 * 86_400)
        mine(world, 1)
        run("transfer", "--asset", asset, "--to", stranger, account=LICENSEE, code=14)
        run("transfer", "--asset", asset, "--to", stranger, account=OWNER)
        world.chain.rpc("evm_increaseTime", 7 * 86_400)
        mine(world, 1)
        token = world.chain.deployment.token("QUSD").address
        # in whole units, rounded down: where not a second more than five days passed, a unit less than half
        assert 55 * TOKEN - 1 <= run("claim", account=OWNER)["paid"][token] < 56 * TOKEN
        csv_file = tmp_path / "revenue.csv"
        told = run("revenue", "--csv", csv_file, account=OWNER)
        mine_of = [item for item in told["entries"] if item["asset"] == asset]
        assert [(item["event"], item["license"]) for item in mine_of] == [
            *(("sale", license_id), ("sale", second)),
            *(("paid to the owner", license_id), ("paid to the owner", second), ("paid to the owner", license_id)),
        ]
        assert sum(item["amount"] for item in mine_of) == 0
        assert len(csv_file.read_text().splitlines()) == 1 + len(told["entries"])
        (book,) = run("revenue", "--asset", asset)["books"]
        assert (book["balance"], [item["earned"] for item in book["licenses"]]) == (0, [30 * TOKEN, 40 * TOKEN])
        # each owner what its time brought, and from which sale, in the tree as in the table
        seller, buyer = book["paid"]
        assert (seller["account"].lower(), buyer["account"].lower()) == (world.address(OWNER).lower(), stranger)
        assert [item["license"] for item in seller["sales"]] == [license_id, second]
        assert [item["license"] for item in buyer["sales"]] == [license_id]
        assert 15 * TOKEN - 1 <= seller["sales"][0]["amount"] < 16 * TOKEN
        assert seller["sales"][1]["amount"] == 40 * TOKEN
        assert seller["sales"][0]["amount"] + buyer["sales"][0]["amount"] == 30 * TOKEN
        assert seller["amount"] == sum(item["amount"] for item in seller["sales"])

    def test_the_market_is_browsed(self, world, asset):
        """By purpose, price, and what the asset's description says."""
        dear = run("offer", "--asset", asset.id, "--price", "77", "--purposes", "redistribute", account=OWNER)["offer"]
        every = run("market")["offers"]
        assert [item["price"] for item in every] == sorted(item["price"] for item in every)
        numbers = {item["offer"] for item in every}
        assert dear in numbers
        assert {item["offer"] for item in run("market", "--purpose", "redistribute")["offers"]} >= {dear}
        assert dear not in {item["offer"] for item in run("market", "--max-price", "76")["offers"]}
        assert dear in {item["offer"] for item in run("market", "--max-price", "77", "--token", "QUSD")["offers"]}
        assert run("market", "--words", "nobody wrote this")["offers"] == []
        run("offer", "--withdraw", dear, account=OWNER)
        assert dear not in {item["offer"] for item in run("market")["offers"]}

    def test_an_object_lives_longer_and_then_ends_early(self, world):
        """A stranger adds epochs; only the owner ends it, and gets back to the unit what was not earned."""
        object_id = stored_object(world, epochs=3)
        name, record = "0x" + object_id.hex(), world.views.object(object_id)
        before, rows = balance(world, "QUSD", LICENSEE), record.slices * record.row_fee
        run("extend", "--object", "0x" + "77" * 32, "--epochs", 2, account=LICENSEE, code=14)
        run("extend", "--object", name, "--epochs", 0, account=LICENSEE, code=14)
        done = run("extend", "--object", name, "--epochs", 2, account=LICENSEE)
        assert (done["end_epoch"], done["paid"]) == (record.first_epoch + 5, 2 * rows)
        assert balance(world, "QUSD", LICENSEE) == before - 2 * rows

        run("terminate", "--object", name, account=LICENSEE, code=14)
        done = run("terminate", "--object", name, account=OWNER)
        ends = world.views.object(object_id).end_epoch
        assert (done["end_epoch"], done["returned"]) == (ends, (record.first_epoch + 5 - ends) * rows)
        paid = run("claim", account=OWNER)["paid"]
        assert paid[world.chain.deployment.token("QUSD").address] == done["returned"]
        run("terminate", "--object", name, account=OWNER, code=14)
        run("extend", "--object", name, "--epochs", 1, account=LICENSEE, code=34)
        # before there is a price to agree to: nobody is asked
        words = ["extend", "--object", name, "--epochs", "1", "--test-account", str(LICENSEE)]
        asked = CliRunner(mix_stderr=False).invoke(main, words)
        assert (asked.exit_code, "ObjectOver" in asked.stderr, "pay" in asked.stderr) == (34, True, False)
        assert "store the file anew" in asked.stderr
        (shown,) = [item for item in run("status")["objects"] if item["object"] == name]
        assert shown["end_epoch"] == ends

    def test_fetch_needs_a_license(self, world, asset, tmp_path):
        out = tmp_path / "out.bin"
        run("fetch", "--asset", asset.id, "--out", out, account=STRANGER, code=61)
        run("fetch", "--out", out, account=STRANGER, code=14)
        run("fetch", "--object", "0x12", "--out", out, account=STRANGER, code=13)
        run("fetch", "--object", "0x" + "77" * 32, "--out", out, account=STRANGER, code=14)
        run("fetch", "--recovery", tmp_path / "none", "--out", out, account=OWNER, code=11)
        assert list(tmp_path.iterdir()) == []
        out.write_text("mine")
        run("fetch", "--asset", asset.id, "--out", out, account=LICENSEE, code=11)
        assert out.read_text() == "mine"

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (("nowhere.bin", "--epochs", "2"), 11),
            ((".", "--epochs", "2"), 11),
            (("file", "--epochs", "99"), 14),
            (("file", "--epochs", "2", "--shard", "nowhere"), 14),
            (("file", "--epochs", "2", "--max-payment", "0"), 35),
            (("file", "--epochs", "2", "--tolerate-down", "4"), 14),
        ],
    )
    def test_store_refuses_without_paying(self, world, tmp_path, monkeypatch, words, code):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "file").write_bytes(b"some bytes")
        before = world.chain.latest()
        run("store", *words, "--out-dir", tmp_path / "out", account=OWNER, code=code)
        assert world.chain.latest() == before

    def test_store_by_who_has_no_money(self, world, tmp_path):
        (tmp_path / "file").write_bytes(b"some bytes")
        before = world.chain.latest()
        run("store", tmp_path / "file", "--epochs", "2", "--out-dir", tmp_path, account=STRANGER, code=35)
        assert world.chain.latest() == before
        assert list(tmp_path.iterdir()) == [tmp_path / "file"]

    def test_store_into_what_is_no_folder(self, world, tmp_path):
        (tmp_path / "file").write_bytes(b"some bytes")
        words = ("--epochs", "2", "--out-dir", tmp_path / "file" / "folder")
        run("store", tmp_path / "file", *words, account=OWNER, code=11)
        assert list(tmp_path.iterdir()) == [tmp_path / "file"]

    def test_a_store_that_objects_refuses_leaves_no_allowance(self, world, tmp_path, monkeypatch):
        """The price rises between the quote and the opening: nothing is sent, the approval neither."""
        (tmp_path / "file").write_bytes(b"some bytes")
        quote = Views.quote

        def too_low(*arguments):
            storage, intake, token = quote(*arguments)
            return storage - 1, intake, token

        monkeypatch.setattr(Views, "quote", too_low)
        before = world.chain.latest()
        words = ("--epochs", "2", "--out-dir", tmp_path / "out")
        error = run("store", tmp_path / "file", *words, account=OWNER, code=34)
        assert error["data"]["error_name"] == "PaymentAboveMaximum"
        assert world.chain.latest() == before
        payments = world.chain.contract("Payments").address
        token = world.chain.token(world.chain.deployment.token("QUSD").address)
        assert token.functions.allowance(world.address(OWNER), payments).call() == 0


class TestViews:
    """What is computed off chain is what the contracts say."""

    def test_epochs(self, world):
        shards = world.chain.contract("Shards").functions
        for block in range(world.views.first_block(1), world.chain.latest() + 60, 7):
            assert world.views.epoch_at(1, block) == shards.epochAt(1, block).call()
            assert world.views.first_epoch_after(1, block) == shards.firstEpochAfter(1, block).call()
        for epoch in range(6):
            assert world.views.seed_block(1, epoch) == shards.seedBlockOf(1, epoch).call()
            assert world.views.frozen_block(1, epoch) == shards.frozenBlockOf(1, epoch).call()

    def test_rosters(self, world):
        roster = world.views.roster(1, 1)
        assert roster.tickets == sum(entry.tickets for entry in roster.entries)
        shards = world.chain.contract("Shards").functions
        for index, operator in enumerate(roster.operators):
            assert shards.rosterIndexOf(1, 1, operator).call() == index == roster.index_of(operator.lower())
        for ticket in range(roster.tickets):
            holder = roster.holder_of(ticket)
            assert holder.first_ticket <= ticket < holder.first_ticket + holder.tickets
        assert roster.index_of("0x" + "55" * 20) is None
        keys = [world.views.operator(item).key for item in roster.operators]
        assert roster.aggregate_key == bls.aggregate_keys(keys)

    def test_weight(self, world):
        operator = world.address(OPERATORS[0])
        _, weight, tickets = world.views.standing(1, operator)
        assert world.views.weight(operator, 1) == weight == 200 * TOKEN
        assert world.views.roster(1, 1).entry_of(operator).tickets == world.views.member(1, operator).tickets == tickets

    def test_an_object_at_a_block_before_it_was_opened(self, world):
        before = world.chain.latest()
        object_id = stored_object(world)
        assert world.views.object(object_id, block=before).status is ObjectStatus.NONE
        assert world.views.object(object_id).end_epoch == world.views.object(object_id).first_epoch + 3


class TestEverybody:
    def test_status_shows_the_network(self, world):
        stored_object(world)
        shown = run("status")
        (shard,) = shown["shards"]
        assert shard["active_roster"] == 1
        assert {item["operator"] for item in shard["operators"]} == {world.address(item) for item in OPERATORS}
        assert all(item["bond"] == 40 * TOKEN and item["member"] for item in shard["operators"])
        assert [item["state"] for item in shown["objects"]] == ["certified"]
        assert shown["account"] is None

    def test_status_of_one_person(self, world):
        shown = run("status", "--test-account", RESTAKER)
        behind = [item for item in shown["stake"] if item["where"].startswith("behind")]
        assert [item["amount"] for item in behind] == [200 * TOKEN] * 4
        assert {item["symbol"]: item["amount"] for item in shown["stake"] if item["where"] == "restaking, free"} == {
            "QALPHA": 1200 * TOKEN,
            "QBETA": 2000 * TOKEN,
        }
        run("status", "--address", "0x12", code=13)

    def test_status_for_people(self, world):
        done = CliRunner(mix_stderr=False).invoke(main, ["status"])
        assert done.exit_code == 0
        for account in OPERATORS:
            assert world.address(account) in done.stdout

    def test_claim_with_nothing_to_claim_sends_nothing(self, world):
        before = world.chain.latest()
        assert run("claim", account=STRANGER)["paid"] == {}
        assert world.chain.latest() == before

    def test_a_list_s_file_is_claimed(self, world, tmp_path):
        """Once its root is accepted, to the unit; another list's file is refused, and who isn't listed gets nothing."""
        chain, sender = world.chain, Sender(world.chain, development_account(OWNER))
        token, contract = chain.deployment.token("QUSD").address, chain.contract("ClaimLists")
        terms = (token, world.address(OWNER), world.address(STRANGER), 3_600, 10)
        sender.send(contract.functions.open(terms))
        list_id = int(chain.call(contract.functions.listCount()))
        units = {world.address(LICENSEE): 3 * TOKEN + 1, world.address(RESTAKER): 5}
        made = ClaimList.of(chain.chain_id, contract.address, list_id, units)
        payments = chain.contract("Payments")
        sender.approve_if_needed(token, payments.address, made.total + 10)
        for account, amount in (("fundAccount", made.total), ("bondAccount", 10)):
            place = chain.call(contract.functions[account](list_id))
            sender.send(payments.functions.payIn(token, place, amount))
        made.save(tmp_path / "list.json")
        words = ("--list", tmp_path / "list.json")
        run("claim", *words, account=LICENSEE, code=14)  # no root yet
        sender.send(contract.functions.propose(list_id, made.node, made.total, made.count))
        assert run("claim", *words, account=LICENSEE)["paid"] == {}
        chain.rpc("evm_increaseTime", 3_600)
        mine(world, 1)
        before = balance(world, "QUSD", LICENSEE)
        assert run("claim", *words, account=LICENSEE)["paid"] == {token: 3 * TOKEN + 1}
        assert balance(world, "QUSD", LICENSEE) == before + 3 * TOKEN + 1
        assert run("claim", *words, account=LICENSEE)["paid"] == {}
        assert run("claim", *words, account=OPERATORS[0])["paid"] == {}
        ClaimList.of(chain.chain_id, token, list_id, units).save(tmp_path / "other.json")
        run("claim", "--list", tmp_path / "other.json", account=LICENSEE, code=14)

    def test_a_deposit_for_reads_comes_back_after_its_notice(self, world):
        """For each operator; the first time `--withdraw` says so, a week later it takes it back, to the unit."""
        operators = [word for account in OPERATORS[:2] for word in ("--operator", world.address(account))]
        words = ("--token", "QUSD", *operators)
        before = balance(world, "QUSD", LICENSEE)
        made = run("deposit", *words, "--amount", "2.5", account=LICENSEE)
        assert [item["left"] for item in made["deposits"]] == [TOKEN * 5 // 2] * 2
        assert balance(world, "QUSD", LICENSEE) == before - 5 * TOKEN
        for wrong in ((), ("--amount", "1", "--withdraw"), ("--amount", "0"), (*operators[:2], "--amount", "1")):
            run("deposit", *words, *wrong, account=LICENSEE, code=14)
        announced = run("deposit", *words, "--withdraw", account=LICENSEE)
        assert all(item["withdrawableAt"] > world.chain.timestamp() for item in announced["deposits"])
        assert run("deposit", *words, "--withdraw", account=LICENSEE)["deposits"] == announced["deposits"]
        world.chain.rpc("evm_increaseTime", 7 * 86_400)
        mine(world, 1)
        done = run("deposit", *words, "--withdraw", account=LICENSEE)
        assert [(item["left"], item["withdrawableAt"]) for item in done["deposits"]] == [(0, 0)] * 2
        run("claim", account=LICENSEE)
        assert balance(world, "QUSD", LICENSEE) == before

    def test_vouchers_are_redeemed_beside_the_node(self, world, tmp_path):
        """Of each reader what is new and covered, in one transaction; what pays too little is left."""
        chain, token = world.chain, world.chain.deployment.token("QUSD").address
        payments, operator = chain.contract("Payments"), world.address(OPERATORS[0])
        settings = json.loads((world.folder / "node0" / "node.json").read_text())
        file = world.folder / "node0" / "paid.json"
        file.write_text(json.dumps(settings))
        run("redeem", "--config", file, account=STRANGER, code=14)
        file.write_text(json.dumps(settings | {"paidReads": {"token": token, "unitsPerMiB": 1}}))
        book = VoucherBook(world.folder / "node0" / settings["data"] / FILE)
        for account, named in ((LICENSEE, 700), (OWNER, 5_000), (RESTAKER, 2)):
            signer = development_account(account)
            sender = Sender(chain, signer)
            sender.approve_if_needed(token, payments.address, 1_000)
            sender.send(payments.functions.depositForReads(token, signer.address, [operator], [1_000]))
            header = make_voucher(signer, chain.chain_id, payments.address, operator, token, named)
            book.keep(token, Account(signer.address, read_voucher(header), named))
        done = run("redeem", "--config", file, "--least", 3, account=STRANGER)
        assert done["redeemed"] == 1_700
        assert {item["payer"]: item["amount"] for item in done["vouchers"]} == {
            world.address(LICENSEE): 700,
            world.address(OWNER): 1_000,
        }
        assert world.views.claimable(token, operator) == 1_700
        assert run("redeem", "--config", file, "--least", 3, account=STRANGER)["redeemed"] == 0
        book.close()

    def test_faucet(self, world):
        before = balance(world, "QUSD", STRANGER)
        done = run("faucet", "--token", "QUSD", "--amount", "1.5", "--coins", "2", account=STRANGER)
        assert done["minted"] == {"QUSD": TOKEN * 3 // 2}
        assert balance(world, "QUSD", STRANGER) == before + TOKEN * 3 // 2
        run("faucet", "--token", "QUSD", "--amount", "1000000000000", account=STRANGER, code=14)
        run("faucet", "--to", "0x12", account=STRANGER, code=13)

    def test_faucet_gives_nothing_on_a_live_network(self, world, tmp_path, monkeypatch):
        """Nor does it touch the chain: a token that is not marked as a test token is left alone."""
        deployment = Deployment.load("local").to_json()
        for token in deployment["tokens"].values():
            token["faucet"] = False
        (tmp_path / "local.json").write_text(json.dumps(deployment))
        monkeypatch.setenv("QANAT_DEPLOYMENTS", str(tmp_path))
        run("faucet", account=STRANGER, code=14)
        run("faucet", "--token", "QUSD", account=STRANGER, code=14)

    def test_audit_of_a_network_that_did_nothing_wrong(self, world):
        report = run("audit")
        assert report["clean"] is True
        assert report["rosters"] == 1

    def test_audit_acts_only_with_an_account(self, world):
        run("audit", "--act", code=14)


class TestApe:
    def test_a_key_file_account_stakes_without_being_asked(self, world, tmp_path):
        """`ape run stake` with a keystore account of Ape's: passphrase from the environment, one JSON document."""
        signer = KeySigner.create()
        accounts = tmp_path / "accounts"
        accounts.mkdir()
        signer.save_keyfile(accounts / "alice.json", "secret-Word-1", iterations=2)
        sender = Sender(world.chain, development_account(GOVERNOR))
        sender.transfer(signer.address, TOKEN)
        run("faucet", "--to", signer.address, account=GOVERNOR)

        def ape(*words, **environment):
            return subprocess.run(
                [Path(sys.executable).with_name("ape"), "run", *words],
                cwd=ROOT,
                env={**os.environ, "APE_DATA_FOLDER": str(tmp_path), **environment},
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
                stdin=subprocess.DEVNULL,
            )

        words = ("stake", "--network", f"ethereum:local:{world.url}", "--account", "alice", "--token", "QALPHA")
        refused = ape(*words, "--amount", "7", "--json", APE_ACCOUNTS_alice_PASSPHRASE="secret-Word-1")
        assert refused.returncode == 15, refused.stderr
        done = ape(*words, "--amount", "7", "--yes", "--json", APE_ACCOUNTS_alice_PASSPHRASE="secret-Word-1")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["deposited"] == 7 * TOKEN
        token = world.chain.deployment.token("QALPHA").address
        assert Views(Chain.connect(world.url, deployment="local")).free_balance(signer.address, token) == 7 * TOKEN
