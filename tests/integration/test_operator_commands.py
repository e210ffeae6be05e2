"""What operators and restakers do after they have joined: keys in rotation, shards, allocations, changes, exits."""

from __future__ import annotations

import json
import secrets
import shutil
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from eth_utils import keccak

from qanat import bls
from qanat.chain.draws import follow
from qanat.chain.header import encode_header
from qanat.chain.sender import Sender
from qanat.chain.snapshots import SnapshotReader
from qanat.cli import main
from qanat.cli.command import development_account
from qanat.node.answer import build_response
from qanat.node.config import load_config
from qanat.node.folder import NodeFolder
from qanat.objects import encode
from tests.integration import test_commands as people
from tests.integration.test_commands import (
    GOVERNOR,
    OPERATORS,
    OWNER,
    RESTAKER,
    STRANGER,
    TOKEN,
    balance,
    mine,
    register,
    run,
)

world, undone = people.world, people.undone

SHARDS = """
shards:
  small: &small
    {epoch: 10, finality: 2, sealing: 12, window: 6, reporting: 8, term_epochs: 14, samples: 4, max_operators: 8,
     max_rows_per_ticket: 100, unproven_to_payer_bps: 5000, bond_token: QBOND, payment_token: QUSD,
     collaterals: {QALPHA: 1e18}, ticket_price: 50e18, bond_per_ticket: 5e18, min_bond: 5e18,
     bond_slash_per_ticket: 1e18, stake_slash_per_ticket: 2e18, reporter_fee: 5e17,
     price_per_byte_epoch_wad: 1e27, intake_price_per_byte_wad: 1e27,
     jail_misses: 3, jail_epochs: 10}
  other: {<<: *small, epoch: 12}
"""


class TestSettings:
    def test_settings_that_an_operator_added_stay(self, world):
        """Registering again changes what it is told, and nothing else."""
        file = world.folder / "node0" / "node.json"
        before = json.loads(file.read_text())
        file.write_text(json.dumps({**before, "capacityBytes": 12345}))
        register(world, 0, OPERATORS[0])
        assert json.loads(file.read_text()) == {**before, "capacityBytes": 12345}


class TestRotation:
    """Each test works on a copy of the first operator's folder: the chain is undone after it, files are not."""

    @pytest.fixture
    def folder(self, world, tmp_path):
        return shutil.copytree(world.folder / "node0", tmp_path / "node0")

    def keys(self, folder):
        named = json.loads((folder / "node.json").read_text())["keys"]["bls"]
        names = [named] if isinstance(named, str) else named
        return [bls.load_key(folder / name, "word").public_key for name in names]

    def test_the_node_has_both_keys_and_the_chain_the_new_one(self, world, folder):
        """The old key is still what roster 1 counts, and its file stays."""
        me = world.address(OPERATORS[0])
        (old,) = self.keys(folder)
        done = run("rotate-key", "--folder", folder, account=OPERATORS[0])
        first, new = self.keys(folder)
        assert (first, new) == (old, world.views.key_of(me))
        assert done["key_hash"] == "0x" + keccak(new).hex()
        end = world.views.roster(1, 1).head.end_epoch
        needed = {"key_hash": "0x" + keccak(old).hex(), "needed_until_block": world.views.seed_block(1, end)}
        assert done["old_keys"] == [needed]
        assert world.views.roster(1, 1).entry_of(me).key_hash == keccak(old)
        assert load_config(folder / "node.json").bls_keys[1].stat().st_mode & 0o077 == 0

    def test_the_next_roster_counts_the_new_key(self, world, folder):
        me = world.address(OPERATORS[0])
        run("rotate-key", "--folder", folder, account=OPERATORS[0])
        terms = world.views.shard_parameters(1)
        mine(world, terms.term_epochs * terms.epoch_length // 2)
        taken = run("roster", account=STRANGER)["roster"]
        new = self.keys(folder)[1]
        roster = world.views.roster(1, taken)
        assert roster.entry_of(me).key_hash == keccak(new)
        assert roster.aggregate_key == bls.aggregate_keys(
            [world.views.key_of(entry.operator) for entry in roster.entries]
        )

    def test_an_interrupted_rotation_is_finished_with_the_same_key(self, world, folder):
        """The file was written and named, nothing was sent: no third key comes."""
        prepared = bls.SecretKey.generate()
        NodeFolder(folder).add_bls_key(prepared, "word")
        run("rotate-key", "--folder", folder, account=OPERATORS[0])
        assert self.keys(folder)[1:] == [prepared.public_key]
        assert world.views.key_of(world.address(OPERATORS[0])) == prepared.public_key

    def test_registering_again_keeps_both(self, world, folder):
        run("rotate-key", "--folder", folder, account=OPERATORS[0])
        before = self.keys(folder)
        words = ("--endpoint", "http://127.0.0.1:7201", "--port", 7201, "--bond", "40", "--folder", folder)
        assert run("register", *words, account=OPERATORS[0])["transactions"] == {}
        assert self.keys(folder) == before

    def test_a_key_is_dropped_when_no_roster_counts_it(self, world, folder):
        """Not before the last object of its last roster can have ended; the current one never."""
        me = OPERATORS[0]
        assert run("rotate-key", "--drop", "--folder", folder, account=me)["dropped"] == []
        run("rotate-key", "--folder", folder, account=me)
        _, new = self.keys(folder)
        kept = run("rotate-key", "--drop", "--folder", folder, account=me)
        assert (kept["dropped"], kept["kept"][0]["file"]) == ([], str(folder / "keys/bls.json"))
        mine(world, kept["kept"][0]["needed_until_block"] - world.chain.latest() - 1)
        assert run("rotate-key", "--drop", "--folder", folder, account=me)["dropped"] == []
        mine(world, 1)
        done = run("rotate-key", "--drop", "--folder", folder, account=me)
        assert done["dropped"] == [str(folder / "keys/bls.json")]
        assert self.keys(folder) == [new]
        assert not (folder / "keys/bls.json").exists()
        assert run("rotate-key", "--drop", "--folder", folder, account=me)["dropped"] == []

    def test_a_lost_key_is_replaced(self, world, folder):
        """A file that is gone is named no more."""
        (folder / "keys/bls.json").unlink()
        run("rotate-key", "--folder", folder, account=OPERATORS[0])
        assert self.keys(folder) == [world.views.key_of(world.address(OPERATORS[0]))]

    def test_refuses_without_paying(self, world, folder, tmp_path, monkeypatch):
        """No folder, another operator's, a wrong passphrase."""
        before = world.chain.latest()
        run("rotate-key", "--folder", tmp_path / "none", account=OPERATORS[0], code=11)
        run("rotate-key", "--folder", folder, account=OPERATORS[1], code=14)
        monkeypatch.setenv("QANAT_PASSPHRASE", "other")
        run("rotate-key", "--folder", folder, account=OPERATORS[0], code=63)
        assert world.chain.latest() == before
        assert len(self.keys_files(folder)) == 1

    def keys_files(self, folder):
        return list((folder / "keys").glob("bls*.json"))


def stored(world):
    """Store an object with the operators' own keys; returns what answers need of it."""
    encoded = encode(secrets.token_bytes(1000), k=4, n=world.views.roster(1, 1).tickets, width=64)
    object_id = people.stored_object(world, encoded=encoded)
    return SimpleNamespace(id=object_id, encoded=encoded, record=world.views.object(object_id))


def seal(world, epoch):
    """Mine to an epoch's seed block and seal it."""
    mine(world, max(0, world.views.seed_block(1, epoch) + 1 - world.chain.latest()))
    header = encode_header(world.chain.block(world.views.seed_block(1, epoch)))
    send(world, "Audits", "seal", 1, epoch, header, development_account(STRANGER).address)


def send(world, contract, function, *arguments, account=STRANGER):
    sender = Sender(world.chain, development_account(account))
    return sender.send(getattr(world.chain.contract(contract).functions, function)(*arguments))


def answer(world, item, epoch, account):
    """Answer an epoch for an operator, as its node would."""
    operator = world.address(account)
    draw = SnapshotReader(world.views).draw(1, epoch, operator)
    response = build_response(
        1,
        epoch,
        operator,
        follow(draw, epoch, lambda _: ()),
        draw.context,
        manifest_of=lambda _: item.encoded.manifest,
        slice_of=lambda _, index: item.encoded.slices[index],
    )
    send(world, "Audits", "respond", response.as_tuple())


class TestExit:
    def test_says_until_when_duty_and_stake_are_bound(self, world):
        """Places, their tickets, the block; the bond comes back then, to the unit."""
        me = world.address(OPERATORS[3])
        before = balance(world, "QBOND", OPERATORS[3])
        left = run("exit", account=OPERATORS[3])
        assert (left["left"], left["bond_queued"]) == (True, 40 * TOKEN)
        roster = world.views.roster(1, 1)
        assert left["open_places"] == [
            {
                "roster": 1,
                "tickets": roster.entry_of(me).tickets,
                "ends_at_block": world.views.seed_block(1, roster.head.end_epoch),
            }
        ]
        assert left["bound_until_block"] == world.views.bound_in(1, me, 0, world.chain.latest()) > world.chain.latest()
        assert left["ready_block"] >= left["bound_until_block"]
        assert me not in world.views.members(1)
        run("exit", account=OPERATORS[3], code=14)
        queued = run("status", "--address", me)["queue"]
        assert {item["block"] for item in queued} == {left["ready_block"]}
        assert len(run("withdraw", account=OPERATORS[3])["waiting"]) == len(queued) == 3
        mine(world, left["ready_block"] - world.chain.latest())
        assert run("withdraw", account=OPERATORS[3])["waiting"] == []
        assert balance(world, "QBOND", OPERATORS[3]) == before + 40 * TOKEN

    def test_who_has_nothing_there(self, world):
        before = world.chain.latest()
        run("exit", account=STRANGER, code=14)
        assert world.chain.latest() == before


class TestShards:
    @pytest.fixture
    def file(self, world, tmp_path):
        """A file with two shards; the deployment's file is put back afterwards."""
        recorded = world.chain.deployment.path
        kept = recorded.read_text()
        path = tmp_path / "shards.yaml"
        path.write_text(SHARDS)
        yield path
        recorded.write_text(kept)

    def test_shows_parameters_and_members(self, world):
        (shard,) = run("shard")["shards"]
        assert (shard["shard"], shard["name"], shard["active_roster"]) == (1, "main", 1)
        assert shard["parameters"]["epoch_length"] == world.views.shard_parameters(1).epoch_length
        assert {item["operator"] for item in shard["members"]} == {world.address(item) for item in OPERATORS}
        for item in shard["members"]:
            assert (item["bond"], item["tickets"]) == (40 * TOKEN, 2)
            assert [part["effective"] for part in item["allocations"]] == [TOKEN, TOKEN]
        shown = CliRunner(mix_stderr=False).invoke(main, ["shard", "--shard", "main"]).stdout
        assert "100 of weight" in shown
        assert all(world.address(account) in shown for account in OPERATORS)
        run("shard", "--shard", "nowhere", code=14)

    def test_opens_one_while_the_first_runs(self, world, file):
        """Parameters as the file says, name and number recorded; operators come in and a roster is taken there."""
        opened = run("shard", "--open", file, "--name", "small", account=GOVERNOR)
        assert (opened["shard"], opened["name"]) == (2, "small")
        terms = world.views.shard_parameters(2)
        assert (terms.epoch_length, terms.samples, terms.ticket_price) == (10, 4, 50 * TOKEN)
        assert (terms.jail_misses, terms.jail_epochs) == (3, 10)
        assert run("shard", "--shard", "small")["shards"][0]["shard"] == 2
        assert run("deploy", account=STRANGER, code=14)["message"]
        run("shard", "--open", file, "--name", "small", account=GOVERNOR, code=14)
        assert run("shard", "--open", file, "--name", "other", account=GOVERNOR)["shard"] == 3

    @pytest.mark.parametrize(
        ("words", "account", "code"),
        [
            (("--name", "small"), STRANGER, 34),
            ((), GOVERNOR, 14),
            (("--name", "third"), GOVERNOR, 14),
            (("--name", "small", "--complete"), GOVERNOR, 14),
        ],
    )
    def test_opens_nothing(self, world, file, words, account, code):
        """Not the governor; several in the file, none of that name; two things at once."""
        before = world.chain.latest()
        run("shard", "--open", file, *words, account=account, code=code)
        assert world.chain.latest() == before

    def test_periods_that_do_not_hold_together(self, world, file):
        """What the file says is checked against the network's delays before anything is sent."""
        file.write_text(SHARDS.replace("sealing: 12", "sealing: 60"))
        before = world.chain.latest()
        run("shard", "--open", file, "--name", "small", account=GOVERNOR, code=14)
        assert world.chain.latest() == before

    def test_part_of_a_pool_moves_to_another_shard(self, world, file, tmp_path):
        """Less behind the first; more behind the second waits, since there is stake; then it is completed."""
        me, account = world.address(OPERATORS[0]), OPERATORS[0]
        token = world.chain.deployment.token("QALPHA").address
        run("shard", "--open", file, "--name", "small", account=GOVERNOR)
        error = run("shard", "--shard", "small", "--allocate", "QALPHA=40", account=account, code=14)
        assert "only 0.00% is free" in error["message"]
        down = run("shard", "--shard", "main", "--allocate", "QALPHA=60", account=account)
        (part,) = down["allocations"]
        assert (part["effective"], part["queued"]) == (6 * TOKEN // 10, 4 * TOKEN // 10)
        assert run("shard", "--shard", "main", "--allocate", "QALPHA=60", account=account)["sent"] == 0
        (out,) = run("status", "--address", me)["queue"]
        mine(world, out["block"] - world.chain.latest())
        run("withdraw", "--keep", account=account)
        up = run("shard", "--shard", "small", "--allocate", "QALPHA=40", account=account)
        (part,) = up["allocations"]
        assert (part["effective"], part["waiting"]) == (0, 4 * TOKEN // 10)
        assert part["ready_block"] == world.chain.latest() + world.views.withdrawal_delay()
        assert world.views.stake(me, 2, token) == 0
        waits = [item for item in run("status", "--address", me)["queue"] if item["what"] == "allocation to shard 2"]
        assert [item["block"] for item in waits] == [part["ready_block"]]
        early = run("shard", "--complete", account=account)
        assert (early["completed"], len(early["waiting"])) == ([], 1)
        mine(world, part["ready_block"] - world.chain.latest())
        done = run("shard", "--complete", "--operator", me, account=STRANGER)
        assert done["completed"] == [{"shard": 2, "token": token, "magnitude": 4 * TOKEN // 10}]
        assert world.views.stake(me, 2, token) == 80 * TOKEN
        shown = run("status", "--address", me)
        parts = {(item["shard"], item["token"]): item["effective"] for item in shown["allocations"]}
        assert (parts[1, token], parts[2, token]) == (6 * TOKEN // 10, 4 * TOKEN // 10)
        joined = run(
            *("register", "--shard", "small", "--endpoint", "http://127.0.0.1:7201", "--allocate", "QALPHA=40"),
            *("--folder", shutil.copytree(world.folder / "node0", tmp_path / "second")),
            account=account,
        )
        assert joined["joined"]
        assert run("roster", "--shard", "small", account=STRANGER)["roster"] == 1

    @pytest.mark.parametrize("words", [("QUSD=10",), ("QALPHA=101",), ("QALPHA=x",), ("NONE=1",)])
    def test_allocates_nothing(self, world, words):
        before = world.chain.latest()
        run("shard", "--allocate", *words, account=OPERATORS[0], code=14)
        assert world.chain.latest() == before


class TestRestakers:
    def test_stake_goes_to_another_operator(self, world):
        """With the delay of a withdrawal; completed, it is delegated there, not paid out."""
        first, second = (world.address(account) for account in OPERATORS[:2])
        token = world.chain.deployment.token("QALPHA").address
        me = world.address(RESTAKER)
        free = world.views.free_balance(me, token)
        words = ("--operator", first, "--token", "QALPHA", "--amount", "50", "--to", second)
        queued = run("undelegate", *words, account=RESTAKER)
        assert (queued["worth"], queued["to_operator"]) == (50 * TOKEN, second)
        (item,) = run("status", "--address", me)["queue"]
        assert (item["to_operator"], item["block"], item["due"]) == (second, queued["free_from_block"], False)
        mine(world, queued["free_from_block"] - world.chain.latest())
        assert len(run("withdraw", "--keep", account=RESTAKER)["completed"]) == 1
        assert world.views.free_balance(me, token) == free
        waiting, _ = world.views.pending(me, second, token)
        shares = world.views.shares(me, second, token)
        assert waiting + world.views.pool(second, token).worth(shares) == 250 * TOKEN

    @pytest.mark.parametrize("to", ["same", "0x" + "55" * 20, "0x12"])
    def test_not_to_nobody(self, world, to):
        """To the same operator, to one that isn't registered, to no address: nothing is sent."""
        first = world.address(OPERATORS[0])
        before = world.chain.latest()
        words = ("--operator", first, "--token", "QALPHA", "--amount", "50", "--to", first if to == "same" else to)
        run("undelegate", *words, account=RESTAKER, code=13 if to == "0x12" else 14)
        assert world.chain.latest() == before

    def test_what_waits_can_be_taken_back(self, world):
        words = ("--operator", world.address(OPERATORS[0]), "--token", "QALPHA")
        token = world.chain.deployment.token("QALPHA").address
        free = world.views.free_balance(world.address(RESTAKER), token)
        run("delegate", *words, "--amount", "10", account=RESTAKER)
        back = run("delegate", *words, "--cancel", account=RESTAKER)
        assert (back["cancelled"], back["free"]) == (10 * TOKEN, free)
        run("delegate", *words, "--cancel", account=RESTAKER, code=14)
        run("delegate", *words, "--cancel", "--all", account=RESTAKER, code=14)

    def test_late_stake_has_no_part_in_what_was_earned_before(self, world):
        """Status shows what is to come; maturing settles it first; the late restaker gets none of it."""
        first, me, late = world.address(OPERATORS[0]), world.address(RESTAKER), OWNER
        token = world.chain.deployment.token("QALPHA").address
        item = stored(world)
        epoch = item.record.first_epoch
        seal(world, epoch)
        answer(world, item, epoch, OPERATORS[0])
        whole, part = world.views.earned_in(1, epoch, first)
        assert (part, part > 0) == (whole * 50 // 10_000, True)
        earned = whole - part
        (coming,) = run("status", "--address", me)["rewards"]
        assert (coming["expected"], coming["claimable"]) == (earned - earned // 10, 0)
        assert coming["unsettled_epochs"] == 1
        (own,) = run("status", "--address", first)["rewards"]
        assert own["expected"] == earned // 10
        (sealers,) = run("status", "--address", world.address(STRANGER))["rewards"]
        assert (sealers["operator"], sealers["expected"], sealers["claimable"]) == (first, part, 0)

        run("stake", "--token", "QALPHA", "--amount", "200", account=late)
        words = ("--operator", first, "--token", "QALPHA")
        waits = run("delegate", *words, "--all", account=late)
        mine(world, max(0, waits["matures_at_block"] - world.chain.latest()))
        done = run("delegate", *words, account=late)
        assert (done["worth"], done["waiting"]) == (200 * TOKEN, 0)
        assert waits["settled_epochs"] + done["settled_epochs"] == 1
        (booked,) = run("status", "--address", me)["rewards"]
        assert booked["claimable"] == earned - earned // 10
        assert world.views.claimable(coming["token"], world.address(STRANGER)) >= part
        assert run("status", "--address", world.address(late))["rewards"] == []
        assert world.views.shares(world.address(late), first, token) > 0


class TestSlashes:
    def test_are_shown_from_the_report_on(self, world):
        """Pending with its block, then executed with what it took; to the operator, its restaker, and everybody."""
        operator = world.address(OPERATORS[1])
        item = stored(world)
        epoch = item.record.first_epoch
        seal(world, epoch)
        mine(world, world.views.seed(1, epoch).deadline + 1 - world.chain.latest())
        send(world, "Audits", "reportMiss", 1, epoch, operator)
        (pending,) = run("status", "--address", operator)["slashes"]
        assert (pending["state"], pending["operator"], pending["epoch"]) == ("pending", operator, epoch)
        mine(world, pending["block"] - world.chain.latest())
        restaking = world.chain.contract("Restaking")
        slash_id = restaking.functions.slashId(1, epoch, operator).call()
        send(world, "Restaking", "executeSlash", slash_id)
        for words in (("--address", operator), ("--address", world.address(RESTAKER)), ()):
            (done,) = run("status", *words)["slashes"]
            assert (done["state"], done["bond_taken"]) == ("executed", 10 * TOKEN)
            assert list(done["stake_taken"].values()) == [20 * TOKEN]
        assert run("status", "--address", world.address(OWNER))["slashes"] == []
        shown = CliRunner(mix_stderr=False).invoke(main, ["status"]).stdout
        assert "executed in block" in shown
