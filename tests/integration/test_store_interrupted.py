"""A storing that is killed, at every instant at which it leaves something behind, is finished by the next, paid once.

On a real chain; nodes are played by their keys. With real nodes and real kills: ``test_node_life.py``.
"""

from __future__ import annotations

import json
import os
import threading
from functools import cache, partial

import pytest

from qanat import bls
from qanat.chain.sender import Sender
from qanat.chain.views import ObjectStatus
from qanat.cli.command import development_account
from qanat.client import certifying, checkpoint, store
from qanat.client.disperse import Dispersal
from qanat.client.job import JobFolder
from qanat.client.opening import Opener
from qanat.client.store import store_file
from qanat.errors import BadParameters, FileUnreadable, Refused
from qanat.keys import FileDecryption
from qanat.keys.recovery import RecoveryFile
from qanat.objects import encoder, planner, restore
from tests.integration.test_commands import OWNER, mine, stored_object, undone, world

__all__ = ["undone", "world"]


class Killed(BaseException):
    """What stands for kill -9: from the first on, nothing reaches disk, chain or nodes any more."""


class Instants:
    """Counts the instants at which a storing leaves something behind, and ends it before the chosen one."""

    def __init__(self, monkeypatch, die_at=-1):
        self.names = []
        self.die_at = die_at
        for owner, name in (
            *((os, name) for name in ("fsync", "replace", "unlink", "mkdir", "rmdir", "rename")),
            *((Sender, name) for name in ("_send_raw", "_wait")),
            (RecoveryFile, "save"),
        ):
            self._hook(monkeypatch, owner, name)
        encode = encoder._encode_matrix
        self.computed = 0

        def counted(*arguments):
            self.reach("encode")
            self.computed += 1
            return encode(*arguments)

        monkeypatch.setattr(encoder, "_encode_matrix", counted)

    def _hook(self, monkeypatch, owner, name):
        real = getattr(owner, name)

        def hooked(*arguments, **options):
            self.reach(name)
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, hooked)

    def reach(self, name):
        if len(self.names) == self.die_at:
            raise Killed
        self.names.append(name)


@cache
def keys_of(folder):
    """The operators' signing keys by their public keys."""
    keys = (bls.load_key(folder / f"node{number}" / "keys" / "bls.json", "word") for number in range(4))
    return {key.public_key: key for key in keys}


class Storing:
    """Stores one file, with the nodes played by their own keys."""

    def __init__(self, world, folder, *, encrypt=True):
        self.world, self.folder, self.encrypt = world, folder, encrypt
        self.path = folder / "file"
        self.path.write_bytes(bytes((i * i + 3 * i) % 251 for i in range(15_000)))
        self.sender = Sender(world.chain, development_account(OWNER))
        self.token = world.chain.token(world.chain.deployment.token("QUSD").address)
        self.nonce, self.balance = self.paid()
        self.slices = {}

    def paid(self):
        return self.world.views.nonce(self.sender.address), self.token.functions.balanceOf(self.sender.address).call()

    def disperse(self, object_id, manifest, read, targets, *, known, on_signature, reach=lambda _name: None, **_more):
        self.slices = {index: read(index) for target in targets for index in target.indexes}
        found = Dispersal(signatures=dict(known))
        digest = self.world.views.certificate_digest(object_id)
        for target in targets:
            reach("sign")
            found.signatures[target.operator] = keys_of(self.world.folder)[target.key].sign(digest)
            on_signature(target.operator, found.signatures[target.operator])
        return found

    def run(self, monkeypatch, *, die_at=-1, **options):
        """Return what was stored, or None if it was killed; ``self.instants`` tells of the run."""
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "SYNC_BYTES", 1)
            patch.setattr(planner, "MAX_WIDTH", 64)
            self.instants = Instants(patch, die_at)
            disperse = partial(self.disperse, reach=self.instants.reach)
            patch.setattr(certifying, "disperse", disperse)
            options = {"epochs": 3, "tolerate_down": 1, "encrypt": self.encrypt, **options}
            try:
                return store_file(
                    self.path, chain=self.world.chain, sender=self.sender, shard=1, out_dir=self.folder, **options
                )
            except Killed:
                return None

    def check(self, object_id):
        """Certified, paid once, and the file comes back from the slices and what is left in the folder."""
        record = self.world.views.object(object_id)
        assert record.status is ObjectStatus.CERTIFIED
        nonce, balance = self.paid()
        assert nonce == self.nonce + 1
        opened = self.world.chain.contract("Objects").events.ObjectOpened().get_logs(from_block=0)
        payments = [event["args"]["payment"] for event in opened if event["args"]["objectId"] == object_id]
        assert self.balance - balance == payments[0]
        if self.encrypt:
            recovery = RecoveryFile.load(self.folder / "file.recovery.json")
            assert recovery.object_id == object_id
            key = recovery.open(self.sender.signer)
            stored = b"".join(FileDecryption(key, recovery.manifest.header).apply([self.restored(recovery.manifest)]))
            assert stored == self.path.read_bytes()

    def restored(self, manifest):
        return restore(manifest, self.slices)


class TestInterruptedStore:
    """Whenever a storing ends, the next one finishes it, having paid and encoded once."""

    @pytest.mark.parametrize("encrypt", [True, False])
    def test_killed_at_any_instant(self, world, tmp_path, monkeypatch, encrypt):
        """Every sync, replacement, removal, transaction and signature, one after the other."""
        for name in ("warm", "whole"):  # the first run of all may compile, and leave files elsewhere
            (tmp_path / name).mkdir()
            snapshot = world.chain.rpc("evm_snapshot")
            whole = Storing(world, tmp_path / name, encrypt=encrypt)
            stored = whole.run(monkeypatch)
            whole.check(stored.object_id)
            world.chain.rpc("evm_revert", snapshot)
        snapshot = world.chain.rpc("evm_snapshot")
        matrices, names = stored.manifest.matrices, whole.instants.names
        assert whole.instants.computed == matrices
        assert {"fsync", "replace", "unlink", "_send_raw", "_wait", "sign", "rmdir"} <= set(names)
        seen = {"encoded again": 0, "resumed": 0, "done before": 0}
        # what is not encrypted differs at the end: a receipt takes the recovery file's place
        for die_at in range(0 if encrypt else len(names) - 12, len(names)):
            world.chain.rpc("evm_revert", snapshot)
            snapshot = world.chain.rpc("evm_snapshot")
            folder = tmp_path / str(die_at)
            folder.mkdir()
            storing = Storing(world, folder, encrypt=encrypt)
            assert storing.run(monkeypatch, die_at=die_at) is None, (die_at, names[die_at])
            computed = storing.instants.computed
            left = "file.recovery.json" if encrypt else "file.stored.json"
            if (folder / left).exists() and not (folder / "file.storing" / "job.json").exists():
                # all was done but tidying up
                seen["done before"] += 1
                with pytest.raises(FileUnreadable, match="there already"):
                    storing.run(monkeypatch)
                content = json.loads((folder / left).read_text())
                object_id = bytes.fromhex(content["object_id"] if encrypt else content["objectId"][2:])
            else:
                stored = storing.run(monkeypatch)
                object_id = stored.object_id
                seen["resumed"] += stored.resumed
            total = computed + storing.instants.computed
            seen["encoded again"] += total - matrices
            assert total <= matrices + 1, (die_at, names[die_at])  # a matrix that was not synced
            storing.check(object_id)
            assert sorted(item.name for item in folder.iterdir()) == ["file", left], (die_at, names[die_at])
        assert seen["resumed"] > len(names) / 2 or not encrypt
        assert seen["done before"] < 8, seen

    def test_killed_again_and_again(self, world, tmp_path, monkeypatch):
        """Each run gets one instant further than it must: it still comes to an end, having paid once."""
        storing = Storing(world, tmp_path)
        object_id = b""
        for die_at in range(5, 300, 3):
            stored = storing.run(monkeypatch, die_at=die_at)
            job = JobFolder(tmp_path / "file.storing").load()
            object_id = object_id if job is None else bytes.fromhex(job.object_id)
            if stored is not None or (object_id and job is None):
                break
        storing.check(object_id)

    def test_another_opening_came_first(self, world, tmp_path, monkeypatch):
        """The object has another number than was written down, and the run that opened it never saw that."""
        storing = Storing(world, tmp_path)
        pay = Opener.pay

        def overtaken(opener, request, root, token, prepared):
            def and_another(nonce, object_id):
                prepared(nonce, object_id)
                stored_object(world)
                opener.sender.approve_if_needed(token, world.chain.contract("Payments").address, 10**15)

            return pay(opener, request, root, token, and_another)

        with monkeypatch.context() as patch:
            patch.setattr(Opener, "pay", overtaken)
            patch.setattr(JobFolder, "change", killed_when_opened(JobFolder.change))
            assert storing.run(monkeypatch) is None
        nonce, balance = storing.paid()
        assert nonce == storing.nonce + 2
        stored = storing.run(monkeypatch)
        assert stored.resumed
        assert storing.paid() == (nonce, balance)
        assert RecoveryFile.load(stored.recovery).object_id == stored.object_id
        assert world.views.object(stored.object_id).status is ObjectStatus.CERTIFIED

    def test_a_payment_on_its_way_is_waited_for(self, world, tmp_path, monkeypatch):
        """Killed when the payment had left and no block had taken it: the next run does not pay again."""
        storing = Storing(world, tmp_path)
        wait = Sender._wait

        def killed_with_the_opening_pending(sender, what, *arguments):
            if what.startswith("Objects.open") or "open" in what:
                raise Killed
            return wait(sender, what, *arguments)

        send = Sender._send_raw

        def hold(sender, transaction, *more):
            if transaction["to"].lower() == world.chain.contract("Objects").address.lower():
                world.chain.rpc("evm_setAutomine", False)
            return send(sender, transaction, *more)

        with monkeypatch.context() as patch:
            patch.setattr(Sender, "_wait", killed_with_the_opening_pending)
            patch.setattr(Sender, "_send_raw", hold)
            assert storing.run(monkeypatch) is None
        assert storing.paid() == (storing.nonce, storing.balance)

        def go_on():
            world.chain.rpc("evm_setAutomine", True)
            mine(world, 1)

        timer = threading.Timer(1.5, go_on)
        timer.start()
        try:
            stored = storing.run(monkeypatch)
        finally:
            timer.join()
            go_on()
        assert stored.resumed
        storing.check(stored.object_id)

    def test_a_declined_storing_is_encoded_once(self, world, tmp_path, monkeypatch):
        """Also when the next one asks for another term; other parameters of the code need another encoding."""
        storing = Storing(world, tmp_path)
        with pytest.raises(Refused):
            storing.run(monkeypatch, confirm=lambda _quote: False)
        assert storing.instants.computed > 1
        with pytest.raises(Refused):
            storing.run(monkeypatch, confirm=lambda _quote: False, durability=7)
        assert storing.instants.computed > 1
        stored = storing.run(monkeypatch, epochs=2, durability=7)
        assert (stored.resumed, storing.instants.computed) == (True, 0)
        storing.check(stored.object_id)

    def test_operators_are_judged_once(self, world, tmp_path, monkeypatch):
        """What they failed to answer after it was encoded is no reason to encode it again; a new storing sees it."""
        believed = iter([[0.99] * 4, [0.5] * 4, [0.5] * 4])
        monkeypatch.setattr(store, "measured_availability", lambda *_arguments: next(believed))
        storing = Storing(world, tmp_path)
        with pytest.raises(Refused):
            storing.run(monkeypatch, confirm=lambda _quote: False)
        stored = storing.run(monkeypatch)
        assert (stored.resumed, storing.instants.computed) == (True, 0)
        storing.check(stored.object_id)
        with pytest.raises(BadParameters, match="No k fits: restorable"):
            storing.run(monkeypatch, name="another")

    def test_a_paid_storing_is_of_one_file_and_term(self, world, tmp_path, monkeypatch):
        """Another term, or another file under its name, is refused while a paid one waits; so is a second process."""
        storing = Storing(world, tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(JobFolder, "change", killed_when_opened(JobFolder.change))
            assert storing.run(monkeypatch) is None
        with pytest.raises(BadParameters, match="unfinished storing that was paid"):
            storing.run(monkeypatch, epochs=2)
        with JobFolder(tmp_path / "file.storing").locked(), pytest.raises(BadParameters, match="at work"):
            storing.run(monkeypatch)
        content = storing.path.read_bytes()
        status = storing.path.stat()
        storing.path.write_bytes(b"other")
        with pytest.raises(BadParameters, match="unfinished storing that was paid"):
            storing.run(monkeypatch)
        storing.path.write_bytes(content)
        os.utime(storing.path, ns=(status.st_atime_ns, status.st_mtime_ns))
        (tmp_path / "file.recovery.json").unlink()  # it is written again
        storing.check(storing.run(monkeypatch).object_id)

    def test_a_recovery_file_of_another_object_is_never_replaced(self, world, tmp_path, monkeypatch):
        """Found before anything is encoded, or before it is paid."""
        storing = Storing(world, tmp_path)
        (tmp_path / "file.recovery.json").write_text("mine")
        with pytest.raises(FileUnreadable, match="there already"):
            storing.run(monkeypatch)
        assert storing.instants.computed == 0
        (tmp_path / "file.recovery.json").unlink()

        def meanwhile(_quote):
            return False

        with pytest.raises(Refused):
            storing.run(monkeypatch, confirm=meanwhile)
        (tmp_path / "file.recovery.json").write_text("mine")
        with pytest.raises(FileUnreadable, match="there already"):
            storing.run(monkeypatch)
        assert (tmp_path / "file.recovery.json").read_text() == "mine"
        assert storing.paid() == (storing.nonce, storing.balance)

    def test_what_was_prepared_and_never_paid_is_put_aside(self, world, tmp_path, monkeypatch):
        """The file changed before the payment left: its old recovery file is kept under another name, every time."""
        storing = Storing(world, tmp_path)
        for number in range(2):
            with monkeypatch.context() as patch:
                send = Sender._send_raw

                def refuse(sender, transaction, *more, send=send):
                    if transaction["to"].lower() == world.chain.contract("Objects").address.lower():
                        raise Killed
                    return send(sender, transaction, *more)

                patch.setattr(Sender, "_send_raw", refuse)
                assert storing.run(monkeypatch) is None
            assert (tmp_path / "file.recovery.json").exists()
            storing.path.write_bytes(b"changed %d" % number)
        stored = storing.run(monkeypatch)
        assert not stored.resumed
        storing.check(stored.object_id)
        assert sorted(item.name for item in tmp_path.iterdir()) == [
            "file", "file.recovery.json", "file.recovery.json.unused", "file.recovery.json.unused1",
        ]  # fmt: skip

    def test_a_storing_prepared_on_another_chain_is_kept(self, world, tmp_path, monkeypatch):
        """Its payment may be on its way there."""
        storing = Storing(world, tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(JobFolder, "change", killed_when_opened(JobFolder.change))
            assert storing.run(monkeypatch) is None
        folder = JobFolder(tmp_path / "file.storing")
        job = folder.load()
        folder.change(job, chain_id=1)
        with pytest.raises(BadParameters, match="on chain 1"):
            storing.run(monkeypatch)
        folder.change(job)
        storing.check(storing.run(monkeypatch).object_id)


def killed_when_opened(change):
    """Wrap ``JobFolder.change``: the run ends when it would note that its opening was seen."""

    def hooked(folder, job, **changes):
        if changes.get("opened"):
            raise Killed
        return change(folder, job, **changes)

    return hooked
