"""An owner's objects back: what lies in the way of one costs the others nothing, and counts for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qanat.client import regain as module
from qanat.client.regain import regain
from qanat.keys.encryption import generate_data_key
from qanat.keys.recovery import RecoveryFile
from qanat.keys.seal import SealingKey
from qanat.objects import encode
from tests.unit.node_doubles import CHAIN_ID, CONTRACTS, FakeChain, make_people

OWNER, OTHER = make_people(2)
MANIFEST = encode(bytes(2000), k=2, n=3, width=64).manifest
IDS = [bytes([number]) * 32 for number in range(1, 6)]


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Regain all objects; the recovery key opens each."""
    monkeypatch.setattr(module, "fetch_manifest", lambda _object_id, **_: MANIFEST)
    monkeypatch.setattr(module, "_data_key", lambda _manifest, _key: b"\x05" * 32)
    chain: Any = FakeChain()

    def run() -> dict[bytes, Any]:
        found = regain(
            [(name, 9) for name in IDS], SealingKey.generate(), chain=chain, signer=OWNER.signer, out_dir=tmp_path
        )
        return {item.object_id: item for item in found}

    return run


def sealed(object_id: bytes, account: Any) -> RecoveryFile:
    return RecoveryFile.seal(
        data_key=generate_data_key(),
        manifest=MANIFEST,
        object_id=object_id,
        chain_id=CHAIN_ID,
        contract=CONTRACTS["Objects"],
        account=account,
    )


def test_only_a_file_that_opens_counts_as_there(again: Any, tmp_path: Path) -> None:
    """Half a file, another object's and another account's are told of, kept, and stop no other object."""
    names = [tmp_path / f"{name.hex()}.recovery.json" for name in IDS]
    sealed(IDS[0], OWNER.signer).save(names[0])
    names[1].write_bytes(names[0].read_bytes()[:100])
    sealed(IDS[0], OWNER.signer).save(names[2])
    sealed(IDS[3], OTHER.signer).save(names[3])
    before = [path.read_bytes() for path in names[:4]]
    found = again()
    assert [found[name].state for name in IDS] == ["there", "damaged", "damaged", "damaged", "regained"]
    assert [found[name].recovery for name in IDS[1:4]] == [None] * 3
    assert all(str(names[number]) in found[IDS[number]].why for number in (1, 2, 3))
    assert [path.read_bytes() for path in names[:4]] == before
    assert RecoveryFile.load(names[4]).open(OWNER.signer) == b"\x05" * 32
    assert again()[IDS[4]].state == "there"


def test_a_file_that_can_not_be_written_costs_the_others_nothing(again: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = RecoveryFile.save

    def save(file: RecoveryFile, path: Path) -> None:
        if file.object_id == IDS[1]:
            raise OSError(28, "No space left on device")
        real(file, path)

    monkeypatch.setattr(RecoveryFile, "save", save)
    assert [item.state for item in again().values()] == ["regained", "unwritten", *["regained"] * 3]
