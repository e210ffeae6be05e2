"""Folded openings: official KZG vectors on the chain's precompile, folds of real blobs, and all that must fail."""

import hashlib

import pytest
from ckzg import blob_to_kzg_commitment
from py_arkworks_bls12381 import G1Point, Scalar

from tests.contracts import curve_points as cp
from tests.contracts.official_vectors import kzg_cases, needs_vectors
from tests.contracts.reverts import reverts_with

POINT_EVALUATION = "0x000000000000000000000000000000000000000A"
CASES = kzg_cases()
Z = int(cp.secret(70))


@pytest.fixture(scope="module")
def verifier(project, deployer):
    return deployer.deploy(project.KzgOpeningVerifier)


@pytest.fixture(scope="module")
def library(project, deployer):
    return deployer.deploy(project.Bls12381Harness)


@pytest.fixture(scope="module")
def slices():
    """Five blobs of 64 elements each: their elements, and their commitments as points."""
    elements = [[int(cp.secret(100 * i + j)) for j in range(64)] for i in range(5)]
    commitments = [
        G1Point.from_compressed_bytes(bytes(blob_to_kzg_commitment(cp.blob_of(row), cp.trusted_setup())))
        for row in elements
    ]
    return elements, commitments


def make_fold(slices, weights, z=Z):
    """What `verifyFold` takes for the first slices with these weights."""
    elements, commitments = slices
    folded = [sum(w * row[j] for w, row in zip(weights, elements, strict=False)) % cp.R for j in range(64)]
    proof, y = cp.opening(cp.blob_of(folded), z)
    return [b"".join(map(cp.raw, commitments[: len(weights)])), list(weights), z, y, proof]


def weights_of(count, first=1):
    return [first, *(int(cp.secret(40 + i)) for i in range(count - 1))]


class TestBadLengths:
    def test_refuses_to_fold_nothing(self, verifier):
        with reverts_with(verifier.FoldEmpty):
            verifier.verifyFold(b"", [], 0, 0, cp.IDENTITY_COMPRESSED)

    @pytest.mark.parametrize(("count", "size"), [(1, 0), (1, 95), (1, 97), (1, 192), (2, 96), (2, 191), (3, 192)])
    def test_refuses_points_that_are_not_one_for_each_weight(self, verifier, count, size):
        with reverts_with(verifier.PointsLengthInvalid, got=size, expected=96 * count):
            verifier.verifyFold(bytes(size), [1] * count, 0, 0, cp.IDENTITY_COMPRESSED)

    @pytest.mark.parametrize("size", [0, 47, 49, 96])
    def test_refuses_a_proof_of_another_length(self, verifier, size):
        with reverts_with(verifier.ProofLengthInvalid, got=size, expected=48):
            verifier.verifyFold(cp.IDENTITY_RAW, [1], 0, 0, bytes(size))


class TestFolds:
    @pytest.mark.parametrize("count", [1, 2, 5])
    @pytest.mark.parametrize("first", [1, int(cp.secret(90))], ids=["first-1", "first-any"])
    def test_accepts_an_honest_fold(self, verifier, slices, count, first):
        assert verifier.verifyFold(*make_fold(slices, weights_of(count, first))) is True

    @pytest.mark.parametrize("place", [0, 2, 4])
    @pytest.mark.parametrize("first", [1, int(cp.secret(90))], ids=["first-1", "first-any"])
    def test_refuses_a_fold_with_another_weight(self, verifier, slices, place, first):
        fold = make_fold(slices, weights_of(5, first))
        fold[1][place] += 1
        assert verifier.verifyFold(*fold) is False

    @pytest.mark.parametrize("place", range(5))
    def test_refuses_a_fold_in_which_one_byte_of_one_slice_is_lost(self, verifier, slices, place):
        elements, commitments = slices
        damaged = [list(row) for row in elements]
        damaged[place][17] ^= 1 << 40
        assert verifier.verifyFold(*make_fold((damaged, commitments), weights_of(5))) is False

    def test_refuses_swapped_commitments(self, verifier, slices):
        fold = make_fold(slices, weights_of(2))
        fold[0] = fold[0][96:] + fold[0][:96]
        assert verifier.verifyFold(*fold) is False

    def test_refuses_another_point_value_or_proof(self, verifier, slices):
        fold = make_fold(slices, weights_of(3))
        for place, value in ((2, fold[2] ^ 1), (3, fold[3] ^ 1), (4, cp.IDENTITY_COMPRESSED)):
            changed = list(fold)
            changed[place] = value
            assert verifier.verifyFold(*changed) is False

    @pytest.mark.parametrize(("place", "add"), [(2, cp.R), (3, cp.R)])
    def test_refuses_values_from_the_modulus_on(self, verifier, slices, place, add):
        """z + r and y + r name the same residues, and are refused: an answer has one form only."""
        fold = make_fold(slices, weights_of(2), z=5)
        fold[3] %= cp.R
        fold[place] += add
        if fold[place] < 2**256:
            assert verifier.verifyFold(*fold) is False


class TestIdentity:
    def test_accepts_slices_of_zeros(self, verifier):
        for count in (1, 2, 16):
            points, weights = cp.IDENTITY_RAW * count, weights_of(count)
            assert verifier.verifyFold(points, weights, Z, 0, cp.IDENTITY_COMPRESSED) is True
            assert verifier.verifyFold(points, weights, Z, 1, cp.IDENTITY_COMPRESSED) is False

    @pytest.mark.parametrize("place", [0, 1])
    def test_accepts_a_slice_of_zeros_among_others(self, verifier, slices, place):
        elements, commitments = slices
        mixed = (
            [*elements[:place], [0] * 64, *elements[place:]],
            [*commitments[:place], G1Point.identity(), *commitments[place:]],
        )
        assert verifier.verifyFold(*make_fold(mixed, weights_of(3))) is True

    def test_accepts_commitments_that_cancel_each_other(self, verifier, slices):
        _, commitments = slices
        points = cp.raw(commitments[0]) + cp.raw(-commitments[0])
        assert verifier.verifyFold(points, [1, 1], Z, 0, cp.IDENTITY_COMPRESSED) is True
        assert verifier.verifyFold(points, [7, 7], Z, 0, cp.IDENTITY_COMPRESSED) is True

    def test_accepts_constant_slices_whose_proof_is_the_identity(self, verifier):
        constant = cp.raw(G1Point() * Scalar(9))
        assert verifier.verifyFold(constant, [1], Z, 9, cp.IDENTITY_COMPRESSED) is True


class TestMalformedPoints:
    """Each place of a fold goes another way (addition or multiplication): all must refuse."""

    @pytest.mark.parametrize("weights", [[1], [2], [1, 5], [2, 5], [5, 1]], ids=str)
    @pytest.mark.parametrize("place", [0, 1])
    def test_refuses_points_outside_the_subgroup(self, verifier, weights, place):
        if place < len(weights):
            points = [cp.IDENTITY_RAW] * len(weights)
            points[place] = cp.raw(cp.g1_outside_subgroup())
            assert verifier.verifyFold(b"".join(points), weights, Z, 0, cp.IDENTITY_COMPRESSED) is False

    @pytest.mark.parametrize("weights", [[1], [2], [1, 5], [2, 5], [5, 1]], ids=str)
    @pytest.mark.parametrize("place", [0, 1])
    def test_refuses_a_true_abscissa_with_another_ordinate(self, verifier, weights, place):
        """The compressed form knows only the sign of y: without a check of the curve this would pass."""
        if place < len(weights):
            point = cp.raw(G1Point())
            y = int.from_bytes(point[48:], "big")
            forged = point[:48] + (y - 1).to_bytes(48, "big")
            points = [cp.IDENTITY_RAW] * len(weights)
            for candidate, expected in ((point, True), (forged, False)):
                points[place] = candidate
                arguments = (b"".join(points), weights, Z, weights[place], cp.IDENTITY_COMPRESSED)
                assert verifier.verifyFold(*arguments) is expected

    @pytest.mark.parametrize("weights", [[1], [2], [1, 5]], ids=str)
    def test_refuses_coordinates_that_are_no_field_elements(self, verifier, weights):
        point = cp.raw(G1Point())
        x = int.from_bytes(point[:48], "big")
        for shifted in (x + cp.P, x | 1 << 383, x | 1 << 382):
            points = shifted.to_bytes(48, "big") + point[48:] + cp.IDENTITY_RAW * (len(weights) - 1)
            assert verifier.verifyFold(points, weights, Z, weights[0], cp.IDENTITY_COMPRESSED) is False

    def test_refuses_half_an_identity(self, verifier):
        """(0, y) with y² = 4 is on the curve: a point of order 3, not the identity."""
        for weights in ([1], [2]):
            points = bytes(48) + (2).to_bytes(48, "big")
            assert verifier.verifyFold(points, weights, Z, 0, cp.IDENTITY_COMPRESSED) is False


@needs_vectors
class TestOfficialVectors:
    def test_all_are_here(self):
        assert len(CASES) == 122

    @pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
    def test_vector(self, verifier, library, chain, name, case):
        """`verifyFold` where the commitment is a point, the library where lengths fit, the precompile itself always."""
        given = {key: bytes.fromhex(value[2:]) for key, value in case["input"].items()}
        commitment, proof = given["commitment"], given["proof"]
        expected = case["output"] is True

        versioned_hash = b"\1" + hashlib.sha256(commitment).digest()[1:]
        data = versioned_hash + given["z"] + given["y"] + commitment + proof
        assert precompile_accepts(chain, data) is expected

        if len(given["z"]) != 32 or len(given["y"]) != 32:
            return  # no such argument can be given to a contract
        z, y = (int.from_bytes(given[key], "big") for key in ("z", "y"))
        if len(commitment) != 48 or len(proof) != 48:
            got = len(commitment) if len(commitment) != 48 else len(proof)
            with reverts_with(library.PointLengthInvalid, got=got, expected=48):
                library.verifyOpening(commitment, z, y, proof)
            return
        assert library.verifyOpening(commitment, z, y, proof) is expected

        try:
            point = G1Point.from_compressed_bytes(commitment)
        except ValueError:
            assert not expected, name
            return
        assert verifier.verifyFold(cp.raw(point), [1], z, y, proof) is expected
        # The same through a multiplication: half the commitment, twice.
        half = cp.raw(point * Scalar(2).inverse())
        assert verifier.verifyFold(half, [2], z, y, proof) is expected


def precompile_accepts(chain, data):
    """Whether the chain's point evaluation takes this input."""
    call = {"to": POINT_EVALUATION, "data": "0x" + data.hex(), "gas": hex(200_000)}
    answer = chain.provider.web3.provider.make_request("eth_call", [call, "latest"])
    if "error" in answer:
        return False
    return answer["result"] == "0x" + (4096).to_bytes(32, "big").hex() + cp.R.to_bytes(32, "big").hex()
