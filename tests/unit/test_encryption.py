"""Keys of data: streams, sealing, recovery; whatever is changed, cut, moved or meant for another is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from qanat.errors import BadParameters, DecryptionFailed, FileUnreadable, FormatError, InvalidPoint, WrongKeyFile
from qanat.keys import (
    EncryptionHeader,
    FileDecryption,
    FileEncryption,
    RecoveryFile,
    SealContext,
    SealingKey,
    generate_data_key,
    seal,
)
from qanat.keys.encryption import _derive
from qanat.keys.keyfile import open_to_others
from qanat.keys.recovery_key import RecoveryKeyFile
from qanat.objects import encode
from tests.unit.hpke_by_hand import AES_256_GCM, open_base

KEY = bytes(range(32))
OWNER = Account.from_key("0x" + "11" * 32)
STRANGER = Account.from_key("0x" + "22" * 32)
CONTEXT = SealContext(31337, b"\x01" * 20, 7, b"\x02" * 32, b"\x03" * 20)


def encrypted(data: bytes, chunk: int = 64, piece: int = 50) -> tuple[bytes, bytes]:
    """Return (header, ciphertext), feeding the data in odd pieces."""
    encryption = FileEncryption(KEY, chunk_bytes=chunk)
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    sealed = b"".join(encryption.apply(pieces))
    assert len(sealed) == encryption.stored_size(len(data))
    return encryption.header, sealed


def decrypted(header: bytes, sealed: bytes, key: bytes = KEY, piece: int = 33) -> bytes:
    """Return the file's bytes."""
    pieces = [sealed[at : at + piece] for at in range(0, len(sealed), piece)]
    return b"".join(FileDecryption(key, header).apply(pieces))


@settings(max_examples=80, deadline=None)
@given(size=st.integers(0, 400), chunk=st.sampled_from([1, 16, 64, 65, 400]), piece=st.integers(1, 500))
def test_a_stream_comes_back_whatever_its_pieces(size: int, chunk: int, piece: int) -> None:
    """Any size (chunk borders, nothing at all) and any way of cutting the stream."""
    data = bytes(i * 7 % 256 for i in range(size))
    header, sealed = encrypted(data, chunk, piece)
    assert decrypted(header, sealed, piece=piece) == data
    assert FileDecryption(KEY, header).plain_size(len(sealed)) == size


@settings(max_examples=120, deadline=None)
@given(data=st.data(), size=st.integers(0, 300), chunk=st.sampled_from([1, 16, 64, 65, 400]))
def test_a_part_comes_back_from_the_chunks_around_it(data: st.DataObject, size: int, chunk: int) -> None:
    """Any range of any file, whatever the pieces; no more ciphertext than the chunks that it touches."""
    file = bytes(i * 7 % 256 for i in range(size))
    header, sealed = encrypted(file, chunk)
    start = data.draw(st.integers(0, size))
    end = data.draw(st.integers(start, size))
    decryption = FileDecryption(KEY, header)
    first, last = decryption.stored_range(start, end, len(sealed))
    assert last - first <= (end - start) + 2 * (chunk + 16) + 16 * (end - start) // chunk
    pieces = [sealed[at : min(last, at + 33)] for at in range(first, last, 33)]
    assert b"".join(decryption.apply_range(pieces, start, end, len(sealed))) == file[start:end]


@pytest.mark.parametrize(("start", "end"), [(10, 20), (60, 70), (140, 150)])
def test_a_part_from_elsewhere_does_not_open(start: int, end: int) -> None:
    """Chunks of another place, a flipped bit, a cut chunk, another size: none passes for the part."""
    header, sealed = encrypted(bytes(150), 64)
    decryption = FileDecryption(KEY, header)
    first, last = decryption.stored_range(start, end, len(sealed))
    good = sealed[first:last]
    assert b"".join(decryption.apply_range([good], start, end, len(sealed))) == bytes(end - start)
    moved = sealed[80:160] if first == 0 else sealed[:80]
    flipped = bytes([good[0] ^ 1]) + good[1:]
    for bad in (moved, flipped, good[:-1], b""):
        with pytest.raises(DecryptionFailed):
            list(decryption.apply_range([bad], start, end, len(sealed)))
    # a file that is said to be longer, or to end at a chunk that is not its last
    with pytest.raises(DecryptionFailed):
        list(decryption.apply_range([sealed[160:]], 140, 150, len(sealed) + 70))
    with pytest.raises(DecryptionFailed):
        list(decryption.apply_range([sealed[80:160]], 70, 80, 160))
    for wrong in ((-1, 3), (5, 3), (0, 151)):
        with pytest.raises(BadParameters):
            decryption.stored_range(*wrong, len(sealed))


@pytest.mark.parametrize("size", [0, 1, 64, 150])
def test_every_flipped_bit_of_a_ciphertext_is_caught(size: int) -> None:
    """No bit of the stream can change."""
    header, sealed = encrypted(bytes(size))
    for position in range(len(sealed)):
        bad = bytearray(sealed)
        bad[position] ^= 1 << position % 8
        with pytest.raises(DecryptionFailed):
            decrypted(header, bytes(bad))


def test_every_flipped_bit_of_the_header_is_caught() -> None:
    """The header is bound: version, chunk size, prefix, salt and key commitment alike."""
    header, sealed = encrypted(bytes(100))
    for position in range(len(header)):
        for bit in range(8):
            bad = bytearray(header)
            bad[position] ^= 1 << bit
            with pytest.raises((DecryptionFailed, FormatError)):
                decrypted(bytes(bad), sealed)


def on_the_page(words: str) -> list[bytes]:
    """Return the bytes that docs/format.md names in the paragraph of a vector."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
    (paragraph,) = (item for item in page.split("\n\n") if item.startswith("Vector: ") and words in item)
    return [bytes.fromhex(item) for item in re.findall(r"`([0-9a-f]{64,})`", paragraph)]


def test_a_vector_for_other_implementations() -> None:
    """Fixed salt and prefix: the bytes that stand on docs/format.md, opened by AES-GCM and HKDF alone."""
    prefix, salt = bytes(range(7)), bytes(range(32, 64))
    file_key, commitment = _derive(KEY, 64, prefix, salt)
    header = EncryptionHeader(64, prefix, salt, commitment).to_bytes()
    sealed = b"".join(FileEncryption.resumed(KEY, header).apply([bytes(range(100))]))
    assert on_the_page("File key") == [file_key, commitment, sealed[:80], sealed[80:]]
    info = b"QANAT_FILE_KEY_V1" + (64).to_bytes(4, "big") + prefix
    assert HKDF(SHA256(), 64, salt, info).derive(KEY) == file_key + commitment
    first = AESGCM(file_key).decrypt(prefix + bytes(5), sealed[:80], header)
    last = AESGCM(file_key).decrypt(prefix + b"\0\0\0\1\1", sealed[80:], header)
    assert first + last == bytes(range(100))


def test_chunks_cannot_be_cut_moved_repeated_or_added() -> None:
    """Truncation at a chunk's border, swaps, repeats and extensions fail, as does another file's chunk."""
    header, sealed = encrypted(bytes(64 * 3))
    one, two, three = sealed[:80], sealed[80:160], sealed[160:]
    for bad in (
        one + two,
        one,
        b"",
        two + one + three,
        one + one + two + three,
        one + two + two,
        sealed + three,
        sealed + b"\0",
        sealed[:-1],
        sealed + bytes(16),
    ):
        with pytest.raises(DecryptionFailed):
            decrypted(header, bad)
    other, foreign = encrypted(bytes(64 * 3))
    with pytest.raises(DecryptionFailed):
        decrypted(header, one + foreign[80:160] + three)
    with pytest.raises(DecryptionFailed):
        decrypted(other, sealed)


def test_another_key_is_told_apart_at_once() -> None:
    """The key commitment refuses a wrong key before any chunk is read; two encryptions share nothing."""
    header, sealed = encrypted(b"data")
    with pytest.raises(DecryptionFailed):
        FileDecryption(bytes(32), header)
    assert encrypted(b"data")[1] != sealed
    assert generate_data_key() != generate_data_key()


def test_an_encryption_serves_once() -> None:
    """A second use would repeat nonces; keys and chunk sizes out of range are refused."""
    encryption = FileEncryption(KEY)
    assert b"".join(encryption.apply([])) != b""
    with pytest.raises(BadParameters):
        encryption.apply([b"again"])
    with pytest.raises(BadParameters):
        FileEncryption(KEY[:-1])
    with pytest.raises(BadParameters):
        FileEncryption(KEY, chunk_bytes=0)
    for bad in (b"", bytes(81), encryption.header + b"\0"):
        with pytest.raises(FormatError):
            EncryptionHeader.from_bytes(bad)
    for impossible in (0, 15, (1 << 16) + 16 + 16):
        with pytest.raises(DecryptionFailed):
            FileDecryption(KEY, encryption.header).plain_size(impossible)


RECOVERY = SealingKey.from_bytes(bytes(range(1, 33)))


def test_a_header_wraps_the_data_key_to_the_owners_recovery_key() -> None:
    """Whoever has that key needs nothing else; the file opens as before, and goes on being encrypted as begun."""
    encryption = FileEncryption(KEY, chunk_bytes=64, recovery_key=RECOVERY.public)
    sealed = b"".join(encryption.apply([bytes(100)]))
    header = EncryptionHeader.from_bytes(encryption.header)
    assert len(encryption.header) == 161
    assert header.to_bytes() == encryption.header
    assert header.unwrap(RECOVERY) == KEY
    assert decrypted(encryption.header, sealed) == bytes(100)
    again = FileEncryption.resumed(KEY, encryption.header)
    assert (again.header, b"".join(again.apply([bytes(100)]))) == (encryption.header, sealed)


def test_a_wrapped_key_opens_with_its_key_and_in_its_header_only() -> None:
    """Another's recovery key; none; moved into another file's header; any bit changed; of another data key."""
    first = EncryptionHeader.from_bytes(FileEncryption(KEY, recovery_key=RECOVERY.public).header)
    second = EncryptionHeader.from_bytes(FileEncryption(KEY).header)
    bad = [replace(first, wrapped=second.wrapped), replace(second, wrapped=first.wrapped)]
    bad += [second.wrapped_to(bytes(32), RECOVERY.public)]
    raw = first.to_bytes()
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1
        try:
            bad.append(EncryptionHeader.from_bytes(bytes(changed)))
        except FormatError:
            assert position < 10  # magic, version, cipher, bytes of a chunk
    for header in bad:
        with pytest.raises(DecryptionFailed):
            header.unwrap(RECOVERY)
    with pytest.raises(DecryptionFailed):
        first.unwrap(SealingKey.generate())
    for wrong in (raw[:-1], raw[:81], raw + b"\0"):
        with pytest.raises(FormatError):
            EncryptionHeader.from_bytes(wrong)


def test_a_vector_of_a_wrapped_key() -> None:
    """The header of the vector above, version 2, opened by HPKE as RFC 9180 has it."""
    prefix, salt = bytes(range(7)), bytes(range(32, 64))
    _, commitment = _derive(KEY, 64, prefix, salt)
    wrapped, digest = on_the_page("recovery key (private)")
    header = EncryptionHeader(64, prefix, salt, commitment, wrapped)
    assert header.unwrap(RECOVERY) == KEY
    head = b"QNTE" + b"\x01\x01" + (64).to_bytes(4, "big") + prefix + salt + commitment
    assert open_base(wrapped, RECOVERY.to_bytes(), b"QANAT_RECOVERY_WRAP_V1" + head, AES_256_GCM) == KEY
    assert sha256(header.to_bytes()).digest() == digest


def test_a_large_stream_does_not_gather_in_memory() -> None:
    """Chunks come out as they go in: at most two chunks lie between reading and writing."""
    taken = 0

    def source() -> object:
        nonlocal taken
        for _ in range(64):
            taken += 1
            yield bytes(1 << 16)

    stream = FileEncryption(KEY).apply(source())
    for made in range(1, 20):
        next(stream)
        assert taken <= made + 2


def test_a_sealed_key_opens_for_its_recipient_and_context_only() -> None:
    """Another key or any other field of the context fails, as does any flipped byte."""
    recipient, other = SealingKey.generate(), SealingKey.generate()
    sealed = seal(KEY, recipient.public, CONTEXT)
    assert recipient.open(sealed, CONTEXT) == KEY
    assert SealingKey.from_bytes(recipient.to_bytes()).open(sealed, CONTEXT) == KEY
    assert len(sealed) == len(KEY) + 48
    with pytest.raises(DecryptionFailed):
        other.open(sealed, CONTEXT)
    for changed in (
        SealContext(1, b"\x01" * 20, 7, b"\x02" * 32, b"\x03" * 20),
        SealContext(31337, b"\x09" * 20, 7, b"\x02" * 32, b"\x03" * 20),
        SealContext(31337, b"\x01" * 20, 8, b"\x02" * 32, b"\x03" * 20),
        SealContext(31337, b"\x01" * 20, 7, b"\x09" * 32, b"\x03" * 20),
        SealContext(31337, b"\x01" * 20, 7, b"\x02" * 32, b"\x09" * 20),
    ):
        with pytest.raises(DecryptionFailed):
            recipient.open(sealed, changed)
    for position in range(len(sealed)):
        bad = bytearray(sealed)
        bad[position] ^= 1
        with pytest.raises(DecryptionFailed):
            recipient.open(bytes(bad), CONTEXT)
    for bad_length in (b"", sealed[:-1], sealed[:40]):
        with pytest.raises(DecryptionFailed):
            recipient.open(bad_length, CONTEXT)
    assert recipient.to_bytes().hex() not in repr(recipient)


def test_bad_sealing_keys_and_contexts_are_refused() -> None:
    """Low-order and short keys, short addresses, numbers out of range."""
    for bad in (b"", bytes(31), bytes(32), b"\x01" + bytes(31)):
        with pytest.raises(InvalidPoint):
            seal(KEY, bad, CONTEXT)
    with pytest.raises(BadParameters):
        SealingKey.from_bytes(bytes(31))
    with pytest.raises(BadParameters):
        SealContext(1, b"", 1, bytes(32), bytes(20)).to_bytes()
    with pytest.raises(BadParameters):
        SealContext(-1, bytes(20), 1, bytes(32), bytes(20)).to_bytes()
    with pytest.raises(BadParameters):
        SealContext(1, bytes(20), 1 << 256, bytes(32), bytes(20)).to_bytes()


def make_recovery(**overrides: object) -> RecoveryFile:
    """Return a recovery file of a small object."""
    arguments = {
        "data_key": KEY,
        "manifest": encode(b"some bytes", k=2, n=4, width=64).manifest,
        "object_id": b"\x05" * 32,
        "chain_id": 31337,
        "contract": "0x" + "ab" * 20,
        "account": OWNER,
        "extra": {"network": "local"},
    }
    return RecoveryFile.seal(**{**arguments, **overrides})


def test_an_owner_comes_back_with_file_and_ethereum_key(tmp_path: Path) -> None:
    """Saved, loaded and opened by the same account: data key, manifest and places are all there."""
    made = make_recovery()
    made.save(tmp_path / "recovery.json")
    assert KEY.hex() not in (tmp_path / "recovery.json").read_text()
    loaded = RecoveryFile.load(tmp_path / "recovery.json")
    assert loaded == made
    assert loaded.open(Account.from_key(OWNER.key)) == KEY
    assert loaded.extra == {"network": "local"}
    with pytest.raises(FileUnreadable):
        made.save(tmp_path / "recovery.json")
    with pytest.raises(FileUnreadable):
        RecoveryFile.load(tmp_path / "none.json")


def test_another_ethereum_key_does_not_open_a_recovery_file() -> None:
    """Neither plainly nor under the owner's address."""
    made = make_recovery()
    with pytest.raises(WrongKeyFile):
        made.open(STRANGER)
    with pytest.raises(WrongKeyFile):
        made.open(SimpleNamespace(address=OWNER.address, sign_message=STRANGER.sign_message))
    with pytest.raises(WrongKeyFile):
        made.open(SimpleNamespace(address=OWNER.address, sign_message=lambda _: None))


@pytest.mark.parametrize(
    "name", ["chain_id", "contract", "object_id", "manifest", "salt", "nonce", "ciphertext", "extra"]
)
def test_a_changed_recovery_file_does_not_open(tmp_path: Path, name: str) -> None:
    """Every field is bound to the key."""
    path = tmp_path / "recovery.json"
    make_recovery().save(path)
    content = json.loads(path.read_text())
    other = make_recovery(
        manifest=encode(b"other bytes", k=2, n=4, width=64).manifest,
        object_id=b"\x06" * 32,
        chain_id=5,
        contract="0x" + "cd" * 20,
        extra={"network": "elsewhere"},
    )
    other.save(tmp_path / "other.json")
    content[name] = json.loads((tmp_path / "other.json").read_text())[name]
    path.write_text(json.dumps(content))
    with pytest.raises(WrongKeyFile):
        RecoveryFile.load(path).open(OWNER)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "[" * 100_000, '{"kind": "qanat-recovery", "version": 1}', '{"kind": "x", "version": 1}'],
)
def test_what_is_no_recovery_file_is_refused(tmp_path: Path, text: str) -> None:
    """Garbage raises WrongKeyFile."""
    path = tmp_path / "recovery.json"
    path.write_text(text)
    with pytest.raises(WrongKeyFile):
        RecoveryFile.load(path)


def test_a_signer_that_is_not_deterministic_is_refused() -> None:
    """Two different signatures mean the file could never be opened again."""
    count = iter(range(1, 10))
    restless = SimpleNamespace(
        address=OWNER.address, sign_message=lambda _: SimpleNamespace(r=next(count).to_bytes(32, "big"), s=1)
    )
    with pytest.raises(BadParameters):
        make_recovery(account=restless)


# ---- an owner's recovery key


def test_an_owners_recovery_key_opens_with_its_ethereum_key(tmp_path: Path) -> None:
    """Saved, loaded, opened; what stands in the file shows nothing of it, and nobody else may read the file."""
    path = tmp_path / "key.json"
    made = RecoveryKeyFile.create(OWNER, key=RECOVERY)
    made.save(path)
    assert RECOVERY.to_bytes().hex() not in path.read_text()
    assert RecoveryKeyFile.load(path) == made
    assert made.open(Account.from_key(OWNER.key)).to_bytes() == RECOVERY.to_bytes()
    assert open_to_others(path) is None
    path.chmod(0o640)
    assert "chmod 600" in str(open_to_others(path))
    with pytest.raises(FileUnreadable):
        made.save(path)
    drawn = [RecoveryKeyFile.create(OWNER) for _ in range(2)]
    assert drawn[0].public != drawn[1].public
    with pytest.raises(WrongKeyFile):
        made.open(STRANGER)
    with pytest.raises(WrongKeyFile):
        made.open(SimpleNamespace(address=OWNER.address, sign_message=STRANGER.sign_message))


@pytest.mark.parametrize("name", ["owner", "public", "salt", "nonce", "ciphertext"])
def test_a_changed_recovery_key_does_not_open(tmp_path: Path, name: str) -> None:
    """Above all not with another public half: objects would be wrapped to somebody else's key."""
    path = tmp_path / "key.json"
    made, other = RecoveryKeyFile.create(OWNER), RecoveryKeyFile.create(STRANGER)
    made.save(path)
    content = json.loads(path.read_text())
    value = getattr(other, name)
    content[name] = value.hex() if isinstance(value, bytes) else value
    path.write_text(json.dumps(content))
    for account in (OWNER, STRANGER):
        with pytest.raises(WrongKeyFile):
            RecoveryKeyFile.load(path).open(account)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"kind": "qanat-recovery-key", "version": 1}', "[" * 50_000])
def test_what_is_no_recovery_keys_file_is_refused(tmp_path: Path, text: str) -> None:
    """Garbage, and an object's own recovery file."""
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(WrongKeyFile):
        RecoveryKeyFile.load(path)
    make_recovery().save(tmp_path / "object.json")
    with pytest.raises(WrongKeyFile):
        RecoveryKeyFile.load(tmp_path / "object.json")


def test_half_a_file_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: what is left would pass for a recovery file, and keep the next try from writing one."""
    from qanat.keys.keyfile import write_private

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(FileUnreadable):
            write_private(tmp_path / "key", b"secret")
    assert not (tmp_path / "key").exists()
    write_private(tmp_path / "key", b"secret")
    with pytest.raises(FileUnreadable):
        write_private(tmp_path / "key", b"other")
    assert (tmp_path / "key").read_bytes() == b"secret"
