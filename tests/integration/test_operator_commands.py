"""What an operator does after it has joined: settings, keys in rotation."""

from __future__ import annotations

import json
import shutil

import pytest
from eth_utils import keccak

from qanat import bls
from qanat.node.config import load_config
from qanat.node.folder import NodeFolder
from tests.integration import test_commands as people
from tests.integration.test_commands import OPERATORS, STRANGER, mine, register, run

world, undone = people.world, people.undone


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
