"""BLS: keys in G2, signatures in G1; reference and fast agree; forgeries, identities and bad points are refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qanat import bls
from qanat.bls import SecretKey, signature_kernel
from qanat.bls.signatures import POSSESSION_TAG, SIGNATURE_TAG
from qanat.errors import BadParameters, FileUnreadable, InvalidPoint, InvalidSignature, WrongKeyFile
from qanat.field import MODULUS
from qanat.kzg.points import FIELD_MODULUS, from_padded, to_padded
from tests.unit.foreign_points import on_another_curve

FAST_COST = 1 << 10
DIGEST = hashlib.sha256(b"message").digest()
OTHER = hashlib.sha256(b"other").digest()


def make_key(seed: int = 1, kernel: str = "fast") -> SecretKey:
    """Return a fixed key."""
    return SecretKey(int.from_bytes(hashlib.sha256(bytes([seed])).digest(), "big") % MODULUS, kernel)


def test_a_signature_fits_its_key_and_digest_only() -> None:
    """Another digest, key or tag does not verify."""
    key = make_key()
    signature = key.sign(DIGEST)
    assert bls.verify(key.public_key, DIGEST, signature)
    assert not bls.verify(key.public_key, OTHER, signature)
    assert not bls.verify(make_key(2).public_key, DIGEST, signature)
    assert not bls.verify_possession(key.public_key, DIGEST, signature)
    proof = key.prove_possession(DIGEST)
    assert bls.verify_possession(key.public_key, DIGEST, proof)
    assert not bls.verify(key.public_key, DIGEST, proof)


def test_reference_and_fast_make_the_same_bytes() -> None:
    """Keys, signatures, sums and differences are equal, and each verifies the other's."""
    clear, quick = make_key(3, "reference"), make_key(3)
    assert clear.public_key == quick.public_key
    assert clear.sign(DIGEST) == quick.sign(DIGEST)
    others = [make_key(seed) for seed in (4, 5)]
    keys = [key.public_key for key in others]
    slow, fast = signature_kernel("reference"), signature_kernel("fast")
    assert slow.add_keys(keys) == fast.add_keys(keys)
    assert slow.subtract_key(*keys) == fast.subtract_key(*keys)
    assert slow.subtract_key(keys[0], keys[0]) == fast.subtract_key(keys[0], keys[0]) == bls.IDENTITY_KEY
    signatures = [key.sign(DIGEST) for key in others]
    assert slow.add_signatures(signatures) == fast.add_signatures(signatures)
    assert bls.verify(quick.public_key, DIGEST, quick.sign(DIGEST), kernel="reference")
    assert not bls.verify(quick.public_key, OTHER, quick.sign(DIGEST), kernel="reference")


@settings(max_examples=20, deadline=None)
@given(signed=st.lists(st.booleans(), min_size=1, max_size=7))
def test_an_aggregate_verifies_against_all_keys_less_the_excluded(signed: list[bool]) -> None:
    """Exactly the right set of non-signers makes a certificate hold; nobody at all never does."""
    keys = [make_key(10 + index) for index in range(len(signed))]
    whole = bls.aggregate_keys([key.public_key for key in keys])
    excluded = [key.public_key for key, did in zip(keys, signed, strict=True) if not did]
    signatures = [key.sign(DIGEST) for key, did in zip(keys, signed, strict=True) if did]
    if not signatures:
        assert not bls.verify_aggregate(whole, excluded, DIGEST, bls.IDENTITY_SIGNATURE)
        with pytest.raises(InvalidSignature):
            bls.aggregate(signatures)
        return
    total = bls.aggregate(signatures)
    assert bls.verify_aggregate(whole, excluded, DIGEST, total)
    assert not bls.verify_aggregate(whole, excluded, OTHER, total)
    assert not bls.verify_aggregate(whole, [*excluded, make_key(99).public_key], DIGEST, total)
    if excluded:
        assert not bls.verify_aggregate(whole, excluded[1:], DIGEST, total)


@pytest.mark.parametrize("kernel", ["reference", "fast"])
def test_the_identity_is_refused_as_key_and_as_signature(kernel: str) -> None:
    """Though the pairing equation holds for both at once, they verify nothing."""
    assert signature_kernel(kernel).pairing_holds(bls.IDENTITY_SIGNATURE, bls.IDENTITY_KEY, DIGEST, SIGNATURE_TAG)
    assert not bls.verify(bls.IDENTITY_KEY, DIGEST, bls.IDENTITY_SIGNATURE, kernel=kernel)
    assert not bls.verify_possession(bls.IDENTITY_KEY, DIGEST, bls.IDENTITY_SIGNATURE, kernel=kernel)
    with pytest.raises(InvalidPoint):
        bls.check_key(bls.IDENTITY_KEY, kernel=kernel)
    with pytest.raises(InvalidPoint):
        bls.check_signature(bls.IDENTITY_SIGNATURE, kernel=kernel)
    with pytest.raises(InvalidPoint):
        bls.aggregate_keys([make_key().public_key, bls.IDENTITY_KEY], kernel=kernel)
    with pytest.raises(InvalidSignature):
        bls.aggregate([bls.IDENTITY_SIGNATURE], kernel=kernel)


def bad_signatures() -> dict[str, bytes]:
    """Return 128-byte strings that are no subgroup points of G1."""
    good = make_key().sign(DIGEST)
    number = FIELD_MODULUS.to_bytes(64, "big")
    return {
        "short": good[:-1],
        "long": good + b"\0",
        "empty": b"",
        "padding": b"\x01" + good[1:],
        "off the curve": good[:-1] + bytes([good[-1] ^ 1]),
        "of order r on another curve": to_padded(on_another_curve(from_padded(good))),
        "outside the subgroup": bytes(64) + (2).to_bytes(64, "big"),  # (0, 2): on the curve y^2 = x^3 + 4, order 3
        "number not below p": number + (2).to_bytes(64, "big"),
    }


@pytest.mark.parametrize("kernel", ["reference", "fast"])
@pytest.mark.parametrize("case", bad_signatures())
def test_bad_points_are_refused_as_signatures(kernel: str, case: str) -> None:
    """Each malformed signature raises InvalidPoint instead of verifying or crashing."""
    bad = bad_signatures()[case]
    with pytest.raises(InvalidPoint):
        bls.check_signature(bad, kernel=kernel)
    with pytest.raises(InvalidPoint):
        bls.verify(make_key().public_key, DIGEST, bad, kernel=kernel)


def off_subgroup_key() -> bytes:
    """Return a point of the twist outside the subgroup, found by trying x = 1, 2, ..."""
    from py_ecc.bls.point_compression import modular_squareroot_in_FQ2
    from py_ecc.fields import optimized_bls12_381_FQ2 as Fp2
    from py_ecc.optimized_bls12_381 import b2

    for x in range(1, 50):
        point = Fp2([x, 0])
        root = modular_squareroot_in_FQ2(point * point * point + b2)
        if root is not None:
            return b"".join(int(number).to_bytes(64, "big") for number in (x, 0, *root.coeffs))
    raise LookupError


@pytest.mark.parametrize("kernel", ["reference", "fast"])
def test_bad_points_are_refused_as_keys(kernel: str) -> None:
    """Wrong length, padding, curve or subgroup raise InvalidPoint."""
    good = make_key().public_key
    foreign = to_padded(on_another_curve(from_padded(good)))
    for bad in (b"", good[:-1], b"\x01" + good[1:], good[:-1] + bytes([good[-1] ^ 1]), off_subgroup_key(), foreign):
        with pytest.raises(InvalidPoint):
            bls.check_key(bad, kernel=kernel)


def test_an_fp2_number_is_written_low_part_first() -> None:
    """EIP-2537's order: the generator of G2 begins with x.c0 = 0x024aa2b2..., then x.c1 = 0x13e02b60...."""
    key = SecretKey(1).public_key
    assert key[16:20].hex() == "024aa2b2"
    assert key[80:84].hex() == "13e02b60"


@pytest.mark.parametrize("scalar", [0, MODULUS, -1, MODULUS + 5])
def test_secret_keys_out_of_range_are_refused(scalar: int) -> None:
    """Only 1..r-1 is a key."""
    with pytest.raises(BadParameters):
        SecretKey(scalar)


def test_what_is_signed_is_a_digest() -> None:
    """Anything but 32 bytes is refused; a fresh key differs from the last; repr shows nothing."""
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(BadParameters):
            make_key().sign(wrong)
    assert SecretKey.generate() != SecretKey.generate()
    assert str(make_key().scalar) not in repr(make_key())
    with pytest.raises(BadParameters):
        SecretKey.from_bytes(bytes(31))


def test_a_key_file_opens_with_its_password_only(tmp_path: Path) -> None:
    """Right password: same key. Wrong one: WrongKeyFile. The file is private and is never overwritten."""
    path = tmp_path / "key.json"
    key = SecretKey.generate()
    bls.save_key(path, key, "correct horse", cost=FAST_COST)
    assert bls.load_key(path, "correct horse") == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert key.to_bytes().hex() not in path.read_text()
    with pytest.raises(WrongKeyFile):
        bls.load_key(path, "battery staple")
    with pytest.raises(FileUnreadable):
        bls.save_key(path, key, "again", cost=FAST_COST)
    with pytest.raises(FileUnreadable):
        bls.load_key(tmp_path / "none.json", "correct horse")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "qanat-other"},
        {"version": 2},
        {"public": "00" * 256},
        {"ciphertext": "00" * 48},
        {"ciphertext": "zz"},
        {"kdf": None},
        {"kdf": {"name": "scrypt", "n": 1 << 40, "r": 8, "p": 1, "salt": "00"}},
        {"kdf": {"name": "scrypt", "n": 1 << 10, "r": 8, "p": 1, "salt": "00" * 32}},
        {"cipher": {"name": "rot13", "nonce": "00" * 12}},
    ],
)
def test_a_changed_key_file_does_not_open(tmp_path: Path, change: dict[str, object]) -> None:
    """Every field is bound: any change raises WrongKeyFile."""
    path = tmp_path / "key.json"
    bls.save_key(path, make_key(), "pw", cost=FAST_COST)
    content = json.loads(path.read_text())
    content.update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(WrongKeyFile):
        bls.load_key(path, "pw")


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"{}", b" " * 70_000, b"[" * 60_000])
def test_what_is_no_key_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Garbage raises WrongKeyFile."""
    path = tmp_path / "key.json"
    path.write_bytes(content)
    with pytest.raises(WrongKeyFile):
        bls.load_key(path, "pw")


def test_domain_tags_are_those_of_the_draft() -> None:
    """Signing and possession have different tags, and a tag must have 1 to 255 bytes."""
    assert SIGNATURE_TAG == b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
    assert POSSESSION_TAG == b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
    for kernel in ("reference", "fast"):
        for tag in (b"", b"x" * 256):
            with pytest.raises(BadParameters):
                signature_kernel(kernel).hash_to_g1(b"", tag)
    with pytest.raises(BadParameters):
        signature_kernel("magic")
