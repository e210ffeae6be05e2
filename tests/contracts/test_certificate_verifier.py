"""Certificates and proofs of possession, signed by an implementation that the contract doesn't share."""

import hashlib

import pytest
from py_arkworks_bls12381 import G1Point, G2Point, Scalar

from tests.contracts import curve_points as cp
from tests.contracts.reverts import reverts_with

DIGEST = hashlib.sha256(b"certificate").digest()
OTHER_DIGEST = hashlib.sha256(b"another").digest()
ROSTER = [cp.secret(i) for i in range(6)]


@pytest.fixture(scope="module")
def verifier(project, accounts):
    return accounts[0].deploy(project.BlsCertificateVerifier)


def make_certificate(absent=(), digest=DIGEST, tag=cp.SIGNATURE_TAG):
    """What `verifyCertificate` takes where the roster's operators at the places `absent` did not sign."""
    aggregate = cp.sum_of([cp.key_of(sk) for sk in ROSTER])
    signers = [sk for i, sk in enumerate(ROSTER) if i not in absent]
    signature = cp.sum_of([cp.sign(sk, digest, tag) for sk in signers], G1Point.identity())
    excluded = b"".join(cp.g2(cp.key_of(ROSTER[i])) for i in absent)
    return [DIGEST, cp.g2(aggregate), excluded, cp.g1(signature)]


class TestVerifyCertificate:
    @pytest.mark.parametrize("size", [0, 255, 257, 512])
    def test_refuses_an_aggregate_key_of_another_length(self, verifier, size):
        certificate = make_certificate()
        certificate[1] = bytes(size)
        with reverts_with(verifier.KeyLengthInvalid, got=size, expected=256):
            verifier.verifyCertificate(*certificate)

    @pytest.mark.parametrize("size", [1, 255, 257])
    def test_refuses_excluded_keys_that_are_no_whole_number(self, verifier, size):
        certificate = make_certificate()
        certificate[2] = bytes(size)
        with reverts_with(verifier.KeysLengthInvalid, got=size, unit=256):
            verifier.verifyCertificate(*certificate)

    @pytest.mark.parametrize("size", [0, 127, 129])
    def test_refuses_a_signature_of_another_length(self, verifier, size):
        certificate = make_certificate()
        certificate[3] = bytes(size)
        with reverts_with(verifier.SignatureLengthInvalid, got=size, expected=128):
            verifier.verifyCertificate(*certificate)

    @pytest.mark.parametrize("absent", [(), (0,), (5,), (1, 3), (0, 1, 2, 3, 4)])
    def test_accepts_what_all_but_the_excluded_signed(self, verifier, absent):
        assert verifier.verifyCertificate(*make_certificate(absent)) is True

    def test_refuses_a_signature_of_fewer_than_claimed(self, verifier):
        certificate = make_certificate(absent=(2,))
        certificate[2] = b""
        assert verifier.verifyCertificate(*certificate) is False

    def test_refuses_a_signature_of_more_than_claimed(self, verifier):
        certificate = make_certificate()
        certificate[2] = cp.g2(cp.key_of(ROSTER[0]))
        assert verifier.verifyCertificate(*certificate) is False

    def test_refuses_the_same_key_excluded_twice(self, verifier):
        certificate = make_certificate(absent=(2,))
        certificate[2] *= 2
        assert verifier.verifyCertificate(*certificate) is False

    def test_refuses_another_message(self, verifier):
        assert verifier.verifyCertificate(*make_certificate(digest=OTHER_DIGEST)) is False

    def test_refuses_signatures_made_as_possessions(self, verifier):
        assert verifier.verifyCertificate(*make_certificate(tag=cp.POSSESSION_TAG)) is False

    def test_refuses_the_identity_as_a_signature(self, verifier):
        certificate = make_certificate()
        certificate[3] = cp.IDENTITY_G1
        assert verifier.verifyCertificate(*certificate) is False

    def test_refuses_the_identity_as_what_remains_of_the_key(self, verifier):
        """Where all are excluded, e(H, identity)·e(identity, −G) = 1 would certify what nobody signed."""
        certificate = make_certificate(absent=range(6))
        assert certificate[3] == cp.IDENTITY_G1
        assert verifier.verifyCertificate(*certificate) is False
        certificate[3] = cp.g1(G1Point())
        assert verifier.verifyCertificate(*certificate) is False

    def test_refuses_the_identity_as_an_aggregate_key(self, verifier):
        assert verifier.verifyCertificate(DIGEST, cp.IDENTITY_G2, b"", cp.IDENTITY_G1) is False

    @pytest.mark.parametrize("excluded", [(), (1,)])
    def test_refuses_a_signature_outside_the_subgroup(self, verifier, excluded):
        certificate = make_certificate(absent=excluded)
        certificate[3] = cp.g1(cp.g1_outside_subgroup())
        assert verifier.verifyCertificate(*certificate) is False

    def test_refuses_a_true_signature_moved_outside_the_subgroup(self, verifier):
        """signature + T, T of low order, would pass where the subgroup is not checked."""
        low = cp.g1_outside_subgroup() * Scalar(0)
        outside = cp.g1_outside_subgroup()
        certificate = make_certificate()
        good = cp.sum_of([cp.sign(sk, DIGEST) for sk in ROSTER])
        certificate[3] = cp.g1(good + outside + low)
        assert verifier.verifyCertificate(*certificate) is False

    def test_refuses_keys_outside_the_subgroup(self, verifier):
        certificate = make_certificate()
        certificate[1] = cp.g2(cp.g2_outside_subgroup())
        assert verifier.verifyCertificate(*certificate) is False
        certificate = make_certificate(absent=(0,))
        certificate[2] = cp.g2(cp.g2_outside_subgroup())
        assert verifier.verifyCertificate(*certificate) is False

    def test_refuses_keys_off_the_curve(self, verifier):
        off = cp.words([0, 1] * 4)
        certificate = make_certificate()
        certificate[1] = off
        assert verifier.verifyCertificate(*certificate) is False
        certificate = make_certificate(absent=(0, 1))
        for excluded in (off, off + certificate[2], certificate[2] + off):
            certificate[2] = excluded
            assert verifier.verifyCertificate(*certificate) is False

    def test_refuses_an_aggregate_key_off_the_curve_with_keys_excluded(self, verifier):
        certificate = make_certificate(absent=(0,))
        certificate[1] = cp.words([0, 1] * 4)
        assert verifier.verifyCertificate(*certificate) is False

    @pytest.mark.parametrize("byte", [0, 15, 16, 64, 100, 127])
    def test_refuses_a_signature_with_any_bit_flipped(self, verifier, byte):
        certificate = make_certificate()
        flipped = bytearray(certificate[3])
        flipped[byte] ^= 1
        certificate[3] = bytes(flipped)
        assert verifier.verifyCertificate(*certificate) is False


class TestVerifyPossession:
    def make_possession(self, tag=cp.POSSESSION_TAG, digest=DIGEST):
        return [DIGEST, cp.g2(cp.key_of(ROSTER[0])), cp.g1(cp.sign(ROSTER[0], digest, tag))]

    @pytest.mark.parametrize("size", [0, 255, 257])
    def test_refuses_a_key_of_another_length(self, verifier, size):
        possession = self.make_possession()
        possession[1] = bytes(size)
        with reverts_with(verifier.KeyLengthInvalid, got=size, expected=256):
            verifier.verifyPossession(*possession)

    @pytest.mark.parametrize("size", [0, 127, 129])
    def test_refuses_a_signature_of_another_length(self, verifier, size):
        possession = self.make_possession()
        possession[2] = bytes(size)
        with reverts_with(verifier.SignatureLengthInvalid, got=size, expected=128):
            verifier.verifyPossession(*possession)

    def test_accepts_the_key_holders_signature(self, verifier):
        assert verifier.verifyPossession(*self.make_possession()) is True

    def test_refuses_a_signature_made_for_a_certificate(self, verifier):
        assert verifier.verifyPossession(*self.make_possession(tag=cp.SIGNATURE_TAG)) is False

    def test_refuses_another_message(self, verifier):
        assert verifier.verifyPossession(*self.make_possession(digest=OTHER_DIGEST)) is False

    def test_refuses_another_key(self, verifier):
        possession = self.make_possession()
        possession[1] = cp.g2(cp.key_of(ROSTER[1]))
        assert verifier.verifyPossession(*possession) is False

    def test_refuses_a_rogue_key(self, verifier):
        """A key made to cancel the others' has no holder who could prove possession of it."""
        rogue = cp.key_of(cp.secret(50)) - cp.sum_of([cp.key_of(sk) for sk in ROSTER])
        possession = [DIGEST, cp.g2(rogue), cp.g1(cp.sign(cp.secret(50), DIGEST, cp.POSSESSION_TAG))]
        assert verifier.verifyPossession(*possession) is False

    def test_refuses_a_key_at_infinity(self, verifier):
        """e(identity, −G)·e(H, identity) = 1 holds, and must not."""
        assert verifier.verifyPossession(DIGEST, cp.IDENTITY_G2, cp.IDENTITY_G1) is False
        assert verifier.verifyPossession(DIGEST, cp.IDENTITY_G2, self.make_possession()[2]) is False

    def test_refuses_the_identity_as_a_signature(self, verifier):
        possession = self.make_possession()
        possession[2] = cp.IDENTITY_G1
        assert verifier.verifyPossession(*possession) is False

    def test_refuses_a_key_outside_the_subgroup(self, verifier):
        possession = self.make_possession()
        possession[1] = cp.g2(cp.key_of(ROSTER[0]) + cp.g2_outside_subgroup())
        assert verifier.verifyPossession(*possession) is False


class TestAddKeys:
    @pytest.mark.parametrize("place", [0, 1])
    def test_refuses_a_key_of_another_length(self, verifier, place):
        keys = [cp.g2(G2Point())] * 2
        keys[place] = bytes(255)
        with reverts_with(verifier.KeyLengthInvalid, got=255, expected=256):
            verifier.addKeys(*keys)

    @pytest.mark.parametrize("place", [0, 1])
    def test_refuses_a_key_off_the_curve(self, verifier, place):
        keys = [cp.g2(G2Point())] * 2
        keys[place] = cp.words([0, 1] * 4)
        with reverts_with(verifier.KeyRejected, index=place):
            verifier.addKeys(*keys)

    def test_agrees_with_arkworks(self, verifier):
        a, b = (cp.key_of(sk) for sk in ROSTER[:2])
        assert verifier.addKeys(cp.g2(a), cp.g2(b)) == cp.g2(a + b)
        assert verifier.addKeys(cp.g2(a), cp.g2(a)) == cp.g2(a + a)
        assert verifier.addKeys(cp.IDENTITY_G2, cp.g2(b)) == cp.g2(b)


class TestAggregateKeys:
    def test_refuses_no_key(self, verifier):
        with reverts_with(verifier.KeysEmpty):
            verifier.aggregateKeys(b"")

    @pytest.mark.parametrize("size", [1, 255, 257])
    def test_refuses_what_is_no_whole_number_of_keys(self, verifier, size):
        with reverts_with(verifier.KeysLengthInvalid, got=size, unit=256):
            verifier.aggregateKeys(bytes(size))

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_names_the_key_that_is_off_the_curve(self, verifier, place):
        keys = [cp.g2(cp.key_of(sk)) for sk in ROSTER[:3]]
        keys[place] = cp.words([0, 1] * 4)
        with reverts_with(verifier.KeyRejected, index=place):
            verifier.aggregateKeys(b"".join(keys))

    @pytest.mark.parametrize("count", [1, 2, 6])
    def test_agrees_with_arkworks(self, verifier, count):
        keys = [cp.key_of(sk) for sk in ROSTER[:count]]
        assert verifier.aggregateKeys(b"".join(map(cp.g2, keys))) == cp.g2(cp.sum_of(keys))
