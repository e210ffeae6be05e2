"""Files of signed offers: what is read is what was written, and nothing else is taken for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from qanat.chain.signer import KeySigner
from qanat.chain.views import OfferTerms
from qanat.errors import BadParameters, FileUnreadable
from qanat.licensing.signed_offers import SignedOffer

OWNER = KeySigner.from_key(b"\x07" * 32)
LICENSES, TOKEN = "0x" + "11" * 20, "0x" + "70" * 20
TERMS = OfferTerms(3, TOKEN, 2**255 + 1, 5, 86_400, 7, 2_500, b"\x09" * 32, 4, True, False, "0x" + "22" * 20)
OFFER = SignedOffer(31337, LICENSES, TERMS, 2, 2**256 - 1, 1_900_000_000).sign(OWNER)


def changed(**values: Any) -> bytes:
    """The file with other values; those of the terms by `terms_<name>`."""
    content = json.loads(OFFER.to_bytes())
    for name, value in values.items():
        if name.startswith("terms_"):
            content["terms"][name.removeprefix("terms_")] = value
        else:
            content[name] = value
    return json.dumps(content).encode()


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    """To the last unit: numbers of 256 bits are no JSON numbers."""
    path = tmp_path / "offer"
    path.write_bytes(OFFER.to_bytes())
    assert SignedOffer.load(path) == OFFER
    assert json.loads(OFFER.to_bytes())["terms"]["price"] == str(2**255 + 1)


def test_the_owner_signed_it_all() -> None:
    """The signature that is read is the owner's over what is read; over any other value it is nobody's."""
    for file, is_owners in (
        (OFFER.to_bytes(), True),
        (changed(terms_price="1"), False),
        (changed(terms_exclusive=False), False),
        (changed(handovers=3), False),
        (changed(salt="1"), False),
        (changed(validUntil=1_900_000_001), False),
        (changed(chainId=1), False),
    ):
        found = SignedOffer.from_bytes(file)
        signer = Account.recover_message(encode_typed_data(*found.typed()), signature=found.signature)
        assert (signer == OWNER.address) is is_owners


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        changed(kind="another"),
        changed(version=2),
        changed(terms=None),
        changed(terms_token="0x12"),
        changed(terms_price=-1),
        changed(terms_price="1.5"),
        changed(terms_price=True),
        changed(terms_price=str(2**256)),
        changed(terms_purposes=2**32),
        changed(terms_textHash="0x00"),
        changed(terms_exclusive=1),
        changed(validUntil="soon"),
        changed(signature="0xzz"),
        changed(signature=None),
    ],
)
def test_what_is_no_signed_offer(data: bytes) -> None:
    with pytest.raises(BadParameters):
        SignedOffer.from_bytes(data)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable):
        SignedOffer.load(tmp_path / "none")
