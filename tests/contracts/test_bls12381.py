"""The curve library against RFC 9380's vectors and an implementation that shares nothing with it."""

import hashlib

import pytest
from py_arkworks_bls12381 import G1Point, G2Point, Scalar

from tests.contracts import curve_points as cp
from tests.contracts.official_vectors import hash_to_curve, needs_vectors
from tests.contracts.reverts import reverts_with

HASH_SUITE = hash_to_curve("BLS12381G1_XMD_SHA-256_SSWU_RO")
EXPANSION_SUITE = hash_to_curve("expand_message_xmd_SHA256_38")

POINT_EVALUATION = 0x0A
EMPTY_ADDRESS = 0xDEAD0000


@pytest.fixture(scope="module")
def library(project, accounts):
    return accounts[0].deploy(project.Bls12381Harness)


def integer(text):
    return int(text, 16)


class TestExpandMessage:
    def test_refuses_an_empty_tag(self, library):
        with reverts_with(library.DomainTagLengthInvalid, got=0, limit=255):
            library.expandMessage(b"abc", b"", 32)

    def test_refuses_a_tag_of_256_bytes(self, library):
        with reverts_with(library.DomainTagLengthInvalid, got=256, limit=255):
            library.expandMessage(b"abc", b"t" * 256, 32)

    def test_takes_a_tag_of_255_bytes(self, library):
        assert len(library.expandMessage(b"abc", b"t" * 255, 32)) == 32

    def test_refuses_more_than_255_blocks(self, library):
        with reverts_with(library.ExpansionTooLong, got=255 * 32 + 1, limit=255 * 32):
            library.expandMessage(b"abc", b"tag", 255 * 32 + 1)

    @needs_vectors
    @pytest.mark.parametrize(
        "case", EXPANSION_SUITE.get("tests", []), ids=lambda c: f"{len(c['msg'])}-{c['len_in_bytes']}"
    )
    def test_official_vector(self, library, case):
        got = library.expandMessage(
            case["msg"].encode(), EXPANSION_SUITE["DST"].encode(), integer(case["len_in_bytes"])
        )
        assert got.hex() == case["uniform_bytes"]

    @pytest.mark.parametrize("length", [0, 1, 31, 33, 100])
    def test_lengths_that_are_no_whole_blocks(self, library, length):
        """Follows the RFC's formula, written out here, where the last block is cut."""
        message, tag = b"message", b"tag"
        suffix = tag + bytes([len(tag)])
        first = hashlib.sha256(bytes(64) + message + length.to_bytes(2, "big") + b"\0" + suffix).digest()
        block, expected = bytes(32), b""
        for i in range(1, -(-length // 32) + 1):
            mixed = bytes(a ^ b for a, b in zip(first, block, strict=True))
            block = hashlib.sha256(mixed + bytes([i]) + suffix).digest()
            expected += block
        assert library.expandMessage(message, tag, length) == expected[:length]


class TestHashToG1:
    @needs_vectors
    @pytest.mark.parametrize("case", HASH_SUITE.get("vectors", []), ids=lambda c: f"{len(c['msg'])}")
    def test_official_vector(self, library, case):
        got = library.hashToG1(case["msg"].encode(), HASH_SUITE["dst"].encode())
        assert cp.words(got) == cp.pad(
            integer(case["P"]["x"]).to_bytes(48, "big") + integer(case["P"]["y"]).to_bytes(48, "big")
        )

    @pytest.mark.parametrize("seed", range(4))
    def test_agrees_with_arkworks_on_digests(self, library, seed):
        digest = hashlib.sha256(bytes([seed])).digest()
        for tag in (cp.SIGNATURE_TAG, cp.POSSESSION_TAG):
            assert cp.words(library.hashToG1(digest, tag)) == cp.g1(G1Point.hash_to_curve(digest, tag))


class TestForms:
    @pytest.mark.parametrize("size", [0, 95, 97])
    def test_raw_points_of_another_length_are_refused(self, library, size):
        with reverts_with(library.PointLengthInvalid, got=size, expected=96):
            library.fromRaw(bytes(size))

    @pytest.mark.parametrize("size", [0, 127, 129])
    def test_padded_points_of_g1_of_another_length_are_refused(self, library, size):
        with reverts_with(library.PointLengthInvalid, got=size, expected=128):
            library.isIdentityG1(bytes(size))

    @pytest.mark.parametrize("size", [0, 255, 257])
    def test_padded_points_of_g2_of_another_length_are_refused(self, library, size):
        with reverts_with(library.PointLengthInvalid, got=size, expected=256):
            library.isIdentityG2(bytes(size))

    @pytest.mark.parametrize("seed", range(4))
    def test_raw_points_are_padded(self, library, seed):
        point = G1Point() * cp.secret(seed)
        assert cp.words(library.fromRaw(cp.raw(point))) == cp.g1(point)

    @pytest.mark.parametrize("seed", range(8))
    def test_compression_agrees_with_arkworks_on_both_signs(self, library, seed):
        point = G1Point() * cp.secret(seed)
        assert library.compressRaw(cp.raw(point)) == bytes(point.to_compressed_bytes())
        assert library.compressRaw(cp.raw(-point)) == bytes((-point).to_compressed_bytes())

    @pytest.mark.parametrize(("y", "larger"), [((cp.P - 1) // 2, False), ((cp.P - 1) // 2 + 1, True)])
    def test_sign_turns_at_the_middle_of_the_field(self, library, y, larger):
        compressed = library.compressRaw((1).to_bytes(48, "big") + y.to_bytes(48, "big"))
        assert compressed[0] == (0xA0 if larger else 0x80)

    def test_identity_compresses_to_c0(self, library):
        assert library.compressRaw(cp.IDENTITY_RAW) == cp.IDENTITY_COMPRESSED

    def test_identity_is_recognised(self, library):
        assert library.isIdentityG1(cp.IDENTITY_G1)
        assert library.isIdentityG2(cp.IDENTITY_G2)

    @pytest.mark.parametrize("word", range(8))
    def test_a_point_with_one_word_that_is_not_zero_is_no_identity(self, library, word):
        data = bytearray(256)
        data[32 * word + 31] = 1
        assert not library.isIdentityG2(bytes(data))
        if word < 4:
            assert not library.isIdentityG1(bytes(data[:128]))


class TestAddition:
    def test_agrees_with_arkworks_in_g1(self, library):
        a, b = G1Point() * cp.secret(1), G1Point() * cp.secret(2)
        for other in (b, a, -a, G1Point.identity()):
            valid, total = library.addG1(cp.g1(a), cp.g1(other))
            assert valid
            assert cp.words(total) == cp.g1(a + other)

    def test_agrees_with_arkworks_in_g2(self, library):
        a, b = G2Point() * cp.secret(1), G2Point() * cp.secret(2)
        for other in (b, a, -a, G2Point.identity()):
            valid, total = library.addG2(cp.g2(a), cp.g2(other))
            assert valid
            assert total == cp.g2(a + other)

    def test_points_off_the_curve_are_not_valid(self, library):
        assert not library.addG1(cp.IDENTITY_G1, cp.words([0, 1, 0, 1]))[0]
        assert not library.addG2(cp.IDENTITY_G2, cp.words([0, 1] * 4))[0]

    def test_coordinates_that_are_no_field_elements_are_not_valid(self, library):
        """x + p names the same residue, and is refused."""
        point = cp.raw(G1Point())
        x = int.from_bytes(point[:48], "big") + cp.P
        shifted = x.to_bytes(64, "big") + bytes(16) + point[48:]
        assert not library.addG1(cp.IDENTITY_G1, shifted)[0]


class TestNegation:
    @pytest.mark.parametrize("seed", range(4))
    def test_agrees_with_arkworks(self, library, seed):
        point = G2Point() * cp.secret(seed)
        assert library.negateG2(cp.g2(point)) == cp.g2(-point)

    def test_identity_is_its_own_inverse(self, library):
        assert library.negateG2(cp.IDENTITY_G2) == cp.IDENTITY_G2

    @pytest.mark.parametrize("y", [cp.P, cp.P + 1, 2**512 - 1])
    def test_what_is_no_field_element_stays_refusable(self, library, y):
        """A malformed coordinate is never turned into a well-formed one."""
        data = bytes(128) + y.to_bytes(64, "big") + (1).to_bytes(64, "big")
        negated = library.negateG2(data)
        assert int.from_bytes(negated[128:192], "big") >= cp.P

    def test_generator(self, library):
        assert library.negativeGenerator() == cp.g2(-G2Point())


class TestMultiplication:
    @pytest.mark.parametrize("count", [1, 2, 5, 16])
    def test_agrees_with_arkworks(self, library, count):
        points = [G1Point() * cp.secret(i) for i in range(count)]
        weights = [int(cp.secret(100 + i)) for i in range(count)]
        valid, total = library.multiplyRaw(b"".join(map(cp.raw, points)), weights)
        expected = cp.sum_of([p * Scalar(w) for p, w in zip(points, weights, strict=True)])
        assert valid
        assert cp.words(total) == cp.g1(expected)

    def test_weights_count_modulo_the_order(self, library):
        points = cp.raw(G1Point())
        assert library.multiplyRaw(points, [cp.R + 3]) == library.multiplyRaw(points, [3])
        assert cp.words(library.multiplyRaw(points, [0])[1]) == cp.IDENTITY_G1

    def test_identity_is_a_point_like_any_other(self, library):
        valid, total = library.multiplyRaw(cp.IDENTITY_RAW + cp.raw(G1Point()), [5, 7])
        assert valid
        assert cp.words(total) == cp.g1(G1Point() * Scalar(7))

    def test_points_outside_the_subgroup_are_not_valid(self, library):
        assert not library.multiplyRaw(cp.raw(cp.g1_outside_subgroup()), [1])[0]

    def test_points_off_the_curve_are_not_valid(self, library):
        assert not library.multiplyRaw(bytes(47) + b"\1" + bytes(47) + b"\1", [1])[0]


class TestPairing:
    @pytest.fixture(scope="class")
    def bilinear(self):
        """e(2G, −3H)·e(6G, H) = 1."""
        return [
            cp.g1(G1Point() * Scalar(2)),
            cp.g2(-(G2Point() * Scalar(3))),
            cp.g1(G1Point() * Scalar(6)),
            cp.g2(G2Point()),
        ]

    def test_holds(self, library, bilinear):
        assert library.pairingHolds(*bilinear)

    @pytest.mark.parametrize("place", range(4))
    def test_does_not_hold_with_another_point(self, library, bilinear, place):
        changed = list(bilinear)
        changed[place] = cp.g1(G1Point() * Scalar(5)) if place % 2 == 0 else cp.g2(G2Point() * Scalar(5))
        assert not library.pairingHolds(*changed)

    @pytest.mark.parametrize("place", range(4))
    def test_points_outside_the_subgroup_are_refused(self, library, bilinear, place):
        changed = list(bilinear)
        changed[place] = cp.g1(cp.g1_outside_subgroup()) if place % 2 == 0 else cp.g2(cp.g2_outside_subgroup())
        assert not library.pairingHolds(*changed)


class TestPrecompiles:
    """What happens where a precompile is missing, refuses or runs dry."""

    def test_an_address_without_code_is_told_apart_from_an_answer(self, library):
        with reverts_with(library.PrecompileMissing, precompile=EMPTY_ADDRESS):
            library.attempt(EMPTY_ADDRESS, 1000, b"")
        with reverts_with(library.PrecompileMissing, precompile=EMPTY_ADDRESS):
            library.compute(EMPTY_ADDRESS, b"")

    def test_a_precompile_that_cannot_refuse_but_fails_reverts(self, library):
        with reverts_with(library.PrecompileFailed, precompile=POINT_EVALUATION):
            library.compute(POINT_EVALUATION, b"")

    def test_a_refusal_burns_no_more_than_the_bound(self, library):
        """A proof that is no point costs twice the price of a check and little more, of millions of gas forwarded."""
        answer, used = library.verifyOpeningWithGas(cp.IDENTITY_COMPRESSED, 0, 0, b"\1" * 48, 5_000_000)
        assert not answer
        assert 100_000 <= used < 110_000

    @pytest.mark.parametrize("gas", [60_000, 80_000, 100_000])
    def test_too_little_gas_never_makes_a_valid_proof_look_false(self, library, gas):
        proof = (cp.IDENTITY_COMPRESSED, 0, 0, cp.IDENTITY_COMPRESSED)
        assert library.verifyOpeningWithGas(*proof, 5_000_000)[0]
        with reverts_with(library.GasInsufficient, needed=100_000 + 100_000 // 63 + 500):
            library.verifyOpeningWithGas(*proof, gas)


class TestVerifyOpening:
    """Malformed lengths; whether openings are right is tested with the module that calls this."""

    @pytest.mark.parametrize("size", [0, 47, 49])
    def test_refuses_a_commitment_of_another_length(self, library, size):
        with reverts_with(library.PointLengthInvalid, got=size, expected=48):
            library.verifyOpening(bytes(size), 0, 0, cp.IDENTITY_COMPRESSED)

    @pytest.mark.parametrize("size", [0, 47, 49])
    def test_refuses_a_proof_of_another_length(self, library, size):
        with reverts_with(library.PointLengthInvalid, got=size, expected=48):
            library.verifyOpening(cp.IDENTITY_COMPRESSED, 0, 0, bytes(size))

    @pytest.mark.parametrize(("z", "y"), [(cp.R, 0), (0, cp.R), (2**256 - 1, 0)])
    def test_values_from_the_modulus_on_are_false_and_cheap(self, library, z, y):
        answer, used = library.verifyOpeningWithGas(cp.IDENTITY_COMPRESSED, z, y, cp.IDENTITY_COMPRESSED, 5_000_000)
        assert not answer
        assert used < 10_000
