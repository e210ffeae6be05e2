"""Secrets that outlive their process: on the disk before they are used, open to their account alone."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from eth_utils import keccak

from qanat.chain.signer import KeySigner
from qanat.client.dealing import KeptDealings
from qanat.errors import BadParameters, FileUnreadable, WrongKeyFile
from qanat.keys.context import MAX_HOLDERS, KeyContext
from qanat.keys.kept import keep_secret, open_secret, subject_of
from qanat.keys.shares import deal

ACCOUNT = KeySigner.from_key(keccak(text="licensee"))
OTHER = KeySigner.from_key(keccak(text="stranger"))
SECRET = keccak(text="x")
SUBJECT = {"what": "licensee's key", "asset": 7}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "new" / "kept.json"
    keep_secret(made, SECRET, SUBJECT, ACCOUNT)
    return made


def test_its_account_opens_it_and_nobody_else(path: Path) -> None:
    assert open_secret(path, ACCOUNT) == SECRET
    assert subject_of(path) == SUBJECT
    with pytest.raises(WrongKeyFile, match="belongs to"):
        open_secret(path, OTHER)
    named = SimpleNamespace(address=ACCOUNT.address, sign_typed_data=OTHER.sign_typed_data)
    with pytest.raises(WrongKeyFile, match="altered"):
        open_secret(path, named)


def test_it_is_private_written_once_and_shows_nothing(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert SECRET.hex() not in path.read_text()
    with pytest.raises(FileUnreadable):
        keep_secret(path, bytes(32), SUBJECT, ACCOUNT)
    assert open_secret(path, ACCOUNT) == SECRET


def test_file_and_name_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both: a file without its name is lost as well."""
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    keep_secret(tmp_path / "kept.json", SECRET, SUBJECT, ACCOUNT)
    assert synced == [str(tmp_path / "kept.json"), str(tmp_path)]


@pytest.mark.parametrize("name", ["owner", "salt", "subject", "nonce", "ciphertext", "version", "kind"])
def test_what_was_altered_does_not_open(path: Path, name: str) -> None:
    content = json.loads(path.read_text())
    value = content[name]
    content[name] = {
        "owner": OTHER.address,
        "subject": {**SUBJECT, "asset": 8},
        "version": 2,
        "kind": "another",
    }.get(name, str(value)[:-2] + ("00" if str(value)[-2:] != "00" else "01"))
    path.write_text(json.dumps(content))
    with pytest.raises(WrongKeyFile):
        open_secret(path, OTHER if name == "owner" else ACCOUNT)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": 1}', "nothing"])
def test_what_is_no_file_of_these_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kept.json"
    path.write_text(text)
    with pytest.raises(WrongKeyFile):
        subject_of(path)


def test_an_account_that_signs_differently_each_time_is_refused(tmp_path: Path) -> None:
    """It could never open what it keeps."""
    account = SimpleNamespace(address=ACCOUNT.address, sign_typed_data=lambda *_: os.urandom(65))
    with pytest.raises(BadParameters):
        keep_secret(tmp_path / "kept.json", SECRET, SUBJECT, account)
    assert list(tmp_path.iterdir()) == []


class TestDealings:
    """What a dealer keeps of its dealings."""

    CONTEXT = KeyContext(1, b"\1" * 20, 7, 2, (b"\2" * 20, b"\3" * 20, b"\4" * 20))
    DATA_KEY = keccak(text="data key")

    @pytest.fixture(autouse=True)
    def state(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("QANAT_STATE", str(tmp_path))
        return tmp_path

    def test_the_same_is_sent_again(self) -> None:
        """Of the same key, threshold and holders only; by who made it."""
        made = deal(self.CONTEXT, 2, self.DATA_KEY)
        kept = KeptDealings(self.CONTEXT, ACCOUNT)
        assert kept.same(2, self.DATA_KEY) is None
        kept.keep(made, self.DATA_KEY)
        assert kept.same(2, self.DATA_KEY) == kept.of_root(made.commitments.root) == made
        assert kept.same(3, self.DATA_KEY) is None
        assert kept.same(2, bytes(32)) is None
        assert kept.of_root(bytes(32)) is None
        assert KeptDealings(self.CONTEXT, OTHER).same(2, self.DATA_KEY) is None
        holders = self.CONTEXT.holders
        for others in ((*holders[:2], b"\5" * 20), holders[:2], (*holders, b"\5" * 20)):
            assert KeptDealings(replace(self.CONTEXT, holders=others), ACCOUNT).same(2, self.DATA_KEY) is None
        assert KeptDealings(replace(self.CONTEXT, key_epoch=3), ACCOUNT).same(2, self.DATA_KEY) is None

    def test_those_that_lost_are_deleted_and_no_share_is_on_disk(self, state: Path) -> None:
        kept = KeptDealings(self.CONTEXT, ACCOUNT)
        first, second = (deal(self.CONTEXT, 2, self.DATA_KEY) for _ in range(2))
        for made in (first, second):
            kept.keep(made, self.DATA_KEY)
        text = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
        for share in first.shares + second.shares:
            assert f"{share:x}".encode() not in text
        kept.forget_others(second.commitments.root)
        assert kept.of_root(first.commitments.root) is None
        assert kept.of_root(second.commitments.root) == second

    def test_the_largest_fits(self) -> None:
        """A file has 64 KiB at most."""
        context = replace(self.CONTEXT, holders=tuple(bytes([place + 1]) * 20 for place in range(MAX_HOLDERS)))
        made = deal(context, MAX_HOLDERS, self.DATA_KEY)
        kept = KeptDealings(context, ACCOUNT)
        kept.keep(made, self.DATA_KEY)
        assert kept.same(MAX_HOLDERS, self.DATA_KEY) == made
