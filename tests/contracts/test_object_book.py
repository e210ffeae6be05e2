"""ObjectBook: numbers of lists of non-signers, also where hashes end alike."""

from __future__ import annotations

import pytest

#: Hashes with the same lower 24 bits.
ALIKE = [(1 << 200 << kind | 0xABCDEF).to_bytes(32, "big") for kind in range(3)]
LAST = [(1 << 200 << kind | 0xFFFFFF).to_bytes(32, "big") for kind in range(2)]


@pytest.fixture
def book(project, deployer):
    return deployer.deploy(project.ObjectBookHarness)


def number_of(book, hash_, sender) -> int:
    book.absenceOf(hash_, sender=sender)
    return book.number()


def test_a_list_is_kept_once_under_its_hash_s_lower_bits(book, deployer):
    """Asked again it has the same number, and nothing is written: the second time costs no new slot."""
    first = book.absenceOf(ALIKE[0], sender=deployer).gas_used
    assert book.number() == 0xABCDEF
    second = book.absenceOf(ALIKE[0], sender=deployer).gas_used
    assert book.number() == 0xABCDEF
    assert first - second > 20_000
    assert bytes(book.absence(0xABCDEF)) == ALIKE[0]


def test_lists_whose_hashes_end_alike_have_each_its_own_number(book, deployer):
    assert [number_of(book, item, deployer) for item in ALIKE] == [0xABCDEF, 0xABCDF0, 0xABCDF1]
    assert [number_of(book, item, deployer) for item in reversed(ALIKE)] == [0xABCDF1, 0xABCDF0, 0xABCDEF]
    assert [bytes(book.absence(0xABCDEF + kind)) for kind in range(3)] == ALIKE


def test_behind_the_last_number_comes_the_first(book, deployer):
    assert [number_of(book, item, deployer) for item in LAST] == [0xFFFFFF, 0]
    assert bytes(book.absence(0)) == LAST[1]
