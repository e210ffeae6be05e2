"""A holder takes a share only if everything fits, and answers only what is licensed twice and proven."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_hash.auto import keccak

from qanat.bls import SecretKey, verify
from qanat.errors import BadParameters, DecryptionFailed, InvalidProof, NotLicensed
from qanat.keys.context import KeyContext
from qanat.keys.holding import HeldShare, accept_share, answer_request
from qanat.keys.release import LicenseeKey, blinded_base, is_right
from qanat.keys.seal import SealingKey
from qanat.keys.sealed_share import seal_share
from qanat.keys.shares import deal, digest_of

HOLDERS = tuple(bytes([i]) * 20 for i in range(1, 4))
CONTEXT = KeyContext(31337, b"\x0a" * 20, 7, 1, HOLDERS)
SEALING = SealingKey.from_bytes(keccak(b"holder"))
LICENSEE = b"\x77" * 20
KEY = LicenseeKey(5)
DEALING = deal(CONTEXT, 2, bytes(32))


def sealed_for(place: int, context: KeyContext = CONTEXT) -> bytes:
    """Return a place's share as the dealer sends it."""
    digest = digest_of(context, DEALING.commitments)
    return seal_share(DEALING.shares[place], digest, place, HOLDERS[place], SEALING.public)


def accepted(**changes) -> HeldShare:
    """Accept the share of place 1, with changes."""
    values = {
        "context": CONTEXT,
        "commitments": DEALING.commitments,
        "proof": DEALING.proof,
        "place": 1,
        "sealed": sealed_for(1),
        "sealing_key": SEALING,
        "holder": HOLDERS[1],
    }
    return accept_share(**{**values, **changes})


def answered(**changes):
    """Answer an honest request, with changes."""
    values = {
        "license_id": 3,
        "licensee": LICENSEE,
        "point": KEY.point,
        "possession": KEY.prove(CONTEXT.chain_id, CONTEXT.contract, LICENSEE),
        "licensed_final": True,
        "licensed_now": True,
        "block_number": 99,
    }
    return answer_request(accepted(), **{**values, **changes})


def test_a_share_that_fits_is_acknowledged() -> None:
    """With the roster's BLS key, over the dealing's digest."""
    key = SecretKey(1234)
    held = accepted()
    assert held.share == DEALING.shares[1]
    assert verify(key.public_key, digest_of(CONTEXT, DEALING.commitments), held.acknowledge(key))
    assert str(held.share) not in repr(held)


def test_a_share_that_does_not_fit_is_not() -> None:
    """Another place's, a false share in a right seal, the whole dealing for another asset, a false proof."""
    with pytest.raises(DecryptionFailed):
        accepted(sealed=sealed_for(0))
    digest = digest_of(CONTEXT, DEALING.commitments)
    with pytest.raises(InvalidProof):
        accepted(sealed=seal_share(DEALING.shares[0], digest, 1, HOLDERS[1], SEALING.public))
    with pytest.raises(InvalidProof):
        accepted(context=replace(CONTEXT, asset_id=8), sealed=sealed_for(1, replace(CONTEXT, asset_id=8)))
    with pytest.raises(InvalidProof):
        accepted(proof=bytes(64))
    for changes in ({"place": 0}, {"place": 3}, {"holder": HOLDERS[0]}):
        with pytest.raises(BadParameters):
            accepted(**changes)


def test_what_is_licensed_and_proven_is_answered() -> None:
    """The answer passes the pairing; the receipt names all that it is for."""
    receipt = answered()
    assert is_right(blinded_base(CONTEXT, KEY.point), DEALING.commitments.points[1], receipt.answer)
    assert (receipt.asset_id, receipt.key_epoch, receipt.place, receipt.license_id) == (7, 1, 1, 3)
    assert (receipt.licensee, receipt.block_number, receipt.point) == (LICENSEE, 99, KEY.point)


@pytest.mark.parametrize("changes", [{"licensed_final": False}, {"licensed_now": False}])
def test_a_license_must_be_in_force_twice(changes: dict) -> None:
    """Final: a purchase may be reorganised away. Now: a revocation stops releases at once."""
    with pytest.raises(NotLicensed):
        answered(**changes)


def test_a_point_must_be_proven_to_be_this_licensees() -> None:
    """Somebody else's proof, or none."""
    other = KEY.prove(CONTEXT.chain_id, CONTEXT.contract, b"\x78" * 20)
    for possession in (other, bytes(64), b""):
        with pytest.raises(InvalidProof):
            answered(possession=possession)


def test_a_receipts_digest_changes_with_every_field() -> None:
    """A receipt can't be turned into another one."""
    receipt = answered()
    digest = receipt.digest(CONTEXT.chain_id, CONTEXT.contract)
    changes = [{"asset_id": 8}, {"key_epoch": 2}, {"place": 0}, {"license_id": 4}, {"licensee": HOLDERS[0]}]
    changes += [{"block_number": 98}, {"point": receipt.answer}, {"answer": receipt.point}]
    others = {replace(receipt, **change).digest(CONTEXT.chain_id, CONTEXT.contract) for change in changes}
    others |= {receipt.digest(1, CONTEXT.contract), receipt.digest(CONTEXT.chain_id, b"\x0b" * 20)}
    assert digest not in others
    assert len(others) == 10
