"""Threshold keys: the mathematics by hand against py_ecc, and what an attacker would try with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidTag
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.optimized_bls12_381 import G1, G2, add, multiply, neg, normalize, pairing
from pyhpke import OpenError

from qanat.errors import (
    BadParameters,
    DecryptionFailed,
    FormatError,
    InvalidPoint,
    InvalidProof,
    KeyUnavailable,
    QanatError,
)
from qanat.field import MODULUS
from qanat.keys import schnorr
from qanat.keys.context import KeyContext, possession_context
from qanat.keys.curve import G1_IDENTITY, CurveKernel, curve_kernel, lagrange_at, multiply_g1
from qanat.keys.encryption import FileEncryption
from qanat.keys.release import (
    LicenseeKey,
    blinded_base,
    check_possession,
    is_right,
    open_key,
    release,
)
from qanat.keys.seal import SealContext, SealingKey, seal
from qanat.keys.sealed_share import SEALED_SHARE_BYTES, open_share, seal_share
from qanat.keys.shares import (
    Commitments,
    Dealing,
    check_commitments,
    check_share,
    deal,
    deal_polynomial,
    digest_of,
    evaluate,
    wrap,
)
from qanat.kzg.reference_points import read_g1
from tests.unit.foreign_points import on_another_curve
from tests.unit.hpke_by_hand import AES_128_GCM, AES_256_GCM, open_base, open_pyhpke

CHAIN = 31337
KEYS = b"\x0a" * 20
HOLDERS = tuple(bytes([i]) * 20 for i in range(1, 6))
DATA_KEY = bytes(range(32))
CONTEXT = KeyContext(CHAIN, KEYS, 7, 1, HOLDERS)
COEFFICIENTS = (123456789, MODULUS - 5, 2**200 + 1)
LICENSEE = b"\x77" * 20
KERNEL = curve_kernel()


@pytest.fixture(scope="module")
def dealing() -> Dealing:
    """A dealing of known coefficients, 3 of 5."""
    return deal_polynomial(CONTEXT, COEFFICIENTS, DATA_KEY)


@pytest.fixture(scope="module")
def licensee() -> LicenseeKey:
    """A licensee's key."""
    return LicenseeKey(987654321)


def raw_g1(point) -> bytes:
    """Write a point of py_ecc's as it stands in a dealing."""
    return b"".join(int(number).to_bytes(48, "big") for number in normalize(point))


def raw_g2(point) -> bytes:
    """The same in G2."""
    x, y = normalize(point)
    return b"".join(int(number).to_bytes(48, "big") for number in (*x.coeffs, *y.coeffs))


def answers(dealing: Dealing, point: bytes, places=range(5), context: KeyContext = CONTEXT) -> dict[int, bytes]:
    """Return honest holders' answers."""
    return {place: release(context, dealing.shares[place], point) for place in places}


# ---- by hand


def test_shares_and_commitments_are_what_the_definitions_say(dealing: Dealing) -> None:
    """f(i) = Σ c_j i^j with plain integers; Y_i and Y'_i by py_ecc's own group law."""
    for i, share in enumerate(dealing.shares, start=1):
        assert share == sum(c * i**j for j, c in enumerate(COEFFICIENTS)) % MODULUS
        assert dealing.commitments.points[i - 1] == raw_g2(multiply(G2, share))
        assert dealing.commitments.matches[i - 1] == raw_g1(multiply(G1, share))
    assert dealing.commitments.secret_point == raw_g2(multiply(G2, COEFFICIENTS[0]))


def test_a_release_by_hand(dealing: Dealing, licensee: LicenseeKey) -> None:
    """E_i = [s_i](R+P), the pairing, the unblinding and the interpolation, in py_ecc's numbers."""
    reference = curve_kernel("reference")
    base_raw = CONTEXT.base(reference)
    assert base_raw == CONTEXT.base(KERNEL)
    base = read_g1(base_raw)
    blinded = add(base, multiply(G1, licensee.scalar))
    assert raw_g1(blinded) == blinded_base(CONTEXT, licensee.point)
    given = answers(dealing, licensee.point, (0, 2, 4))
    unblinded = []
    for place, answer in given.items():
        share = dealing.shares[place]
        assert answer == raw_g1(multiply(blinded, share))
        unblinded.append(
            add(read_g1(answer), neg(multiply(read_g1(dealing.commitments.matches[place]), licensee.scalar)))
        )
    assert pairing(G2, read_g1(given[0])) == pairing(multiply(G2, dealing.shares[0]), blinded)
    total = None
    for weight, point in zip(lagrange_at([1, 3, 5], 0), unblinded, strict=True):
        part = multiply(point, weight)
        total = part if total is None else add(total, part)
    secret = raw_g1(multiply(base, COEFFICIENTS[0]))
    assert raw_g1(total) == secret
    assert wrap(CONTEXT, secret, dealing.commitments.secret_point, DATA_KEY) == dealing.commitments.wrapped


def test_a_vector_for_other_implementations(dealing: Dealing, licensee: LicenseeKey) -> None:
    """Fixed numbers of docs/format.md: whoever builds this anew compares with them."""
    found = {
        "R": keccak(CONTEXT.base(KERNEL)).hex(),
        "root": dealing.commitments.root.hex(),
        "published": keccak(dealing.commitments.published).hex(),
        "D": digest_of(CONTEXT, dealing.commitments).hex(),
        "E_1": keccak(release(CONTEXT, dealing.shares[0], licensee.point)).hex(),
        "possession": possession_context(CHAIN, KEYS, LICENSEE).hex(),
    }
    assert found == VECTOR


VECTOR = {
    "R": "99be0fe9364d3b7bdbbe0bb886569e6ecc579f3820b666c7001baf4d73a8c091",
    "root": "1b8712f8850a56515771e1a72c65abb956556a61544d332e61db026f7c4a069c",
    "published": "1ab81bc72c603c7d29d48597d8aaf1c1248ead4e513f79242e5ccf4776d08ec0",
    "D": "106c170648b795b770e934f90b06309dc9b874a21cd76e1448daaef5ab6e7366",
    "E_1": "450abc1c73b646f55e8701e63c1f0c741903f21d143d1e1ac4777ebf6d199c4b",
    "possession": "309bf470378ed9113088b5e2d4630fc95e322c19e27858a088d6cae9c6ecb400",
}


@pytest.mark.parametrize("name", ["fast", "reference"])
def test_kernels_agree(name: str) -> None:
    """Both kernels give the same bytes, and refuse the same ones."""
    curve: CurveKernel = curve_kernel(name)
    assert (curve.g1, curve.g2) == (raw_g1(G1), raw_g2(G2))
    assert curve.combine_g1([curve.g1, curve.g1], [3, -3]) == bytes(96)
    assert curve.combine_g2([], []) == bytes(192)
    assert curve.combine_g1([curve.g1], [5]) == raw_g1(multiply(G1, 5))
    assert curve.combine_g2([curve.g2, bytes(192)], [5, 9]) == raw_g2(multiply(G2, 5))
    assert curve.hash_to_g1(b"m", b"tag") == KERNEL.hash_to_g1(b"m", b"tag")
    assert curve.pairings_equal(raw_g1(multiply(G1, 6)), curve.g2, raw_g1(multiply(G1, 2)), raw_g2(multiply(G2, 3)))
    assert not curve.pairings_equal(curve.g1, curve.g2, raw_g1(multiply(G1, 2)), curve.g2)
    for bad in (b"\x01" + bytes(95), bytes(95), b"\xff" * 96, outside_g1(), on_another_curve(curve.g1)):
        with pytest.raises(InvalidPoint):
            curve.combine_g1([bad], [1])
    for bad in (b"\x01" + bytes(191), bytes(96), b"\xff" * 192, on_another_curve(curve.g2)):
        with pytest.raises(InvalidPoint):
            curve.combine_g2([bad], [1])


def outside_g1() -> bytes:
    """Return a point of the curve that is not in the subgroup: x = 4 (py_ecc's field, square root by exponent)."""
    p = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
    x = next(x for x in range(1, 50) if pow(x**3 + 4, (p - 1) // 2, p) == 1)
    y = pow(x**3 + 4, (p + 1) // 4, p)
    return x.to_bytes(48, "big") + y.to_bytes(48, "big")


@settings(max_examples=10, deadline=None)
@given(t=st.integers(1, 4), more=st.integers(0, 3), data=st.data())
def test_any_t_holders_open_and_fewer_do_not(t: int, more: int, data: st.DataObject) -> None:
    """Whatever t, m and subset."""
    context = replace(CONTEXT, holders=tuple(bytes([i]) * 20 for i in range(1, t + more + 1)))
    made = deal(context, t, DATA_KEY)
    key = LicenseeKey.generate()
    places = data.draw(st.permutations(range(t + more)))
    assert open_key(context, made.commitments, key, answers(made, key.point, places[:t], context)) == DATA_KEY
    with pytest.raises(KeyUnavailable):
        open_key(context, made.commitments, key, answers(made, key.point, places[: t - 1], context))


# ---- dealing


def test_an_honest_dealing_passes(dealing: Dealing) -> None:
    """Commitments, proof and every share; also after it was written and read."""
    check_commitments(CONTEXT, dealing.commitments, dealing.proof)
    for place, share in enumerate(dealing.shares):
        check_share(dealing.commitments, place, share)
    assert Commitments.from_bytes(dealing.commitments.to_bytes()) == dealing.commitments


def test_a_share_that_does_not_fit_is_no_share(dealing: Dealing) -> None:
    """Another holder's, one off, zero, and what only equals it modulo r."""
    share = dealing.shares[0]
    for bad in (dealing.shares[1], share + 1, 0, share + MODULUS, -1):
        with pytest.raises(InvalidProof):
            check_share(dealing.commitments, 0, bad)
    with pytest.raises(InvalidProof):
        check_share(dealing.commitments, 5, share)


def test_a_dealing_that_is_no_polynomial_is_refused(dealing: Dealing) -> None:
    """One share off, in both groups alike: some holders could never help to open the key."""
    wrong = (dealing.shares[4] + 1) % MODULUS
    points = (*dealing.commitments.points[:4], KERNEL.combine_g2([KERNEL.g2], [wrong]))
    matches = (*dealing.commitments.matches[:4], multiply_g1(KERNEL, KERNEL.g1, wrong))
    forged = replace(dealing.commitments, points=points, matches=matches)
    with pytest.raises(InvalidProof, match="degree"):
        check_commitments(CONTEXT, forged, schnorr.prove(KERNEL, COEFFICIENTS[0], digest_of(CONTEXT, forged)))


def test_points_of_the_two_groups_must_match(dealing: Dealing) -> None:
    """A right polynomial in G1 and another in G2, and a Y_0 that is not the polynomial's."""
    other = deal_polynomial(CONTEXT, (5, 6, 7), DATA_KEY).commitments
    for forged in (
        replace(dealing.commitments, points=other.points, secret_point=other.secret_point),
        replace(dealing.commitments, secret_point=other.secret_point),
        replace(dealing.commitments, points=(other.points[0], *dealing.commitments.points[1:])),
    ):
        with pytest.raises(InvalidProof, match="G1 and those of G2"):
            check_commitments(CONTEXT, forged, schnorr.prove(KERNEL, COEFFICIENTS[0], digest_of(CONTEXT, forged)))


@pytest.mark.parametrize(
    "other",
    [
        replace(CONTEXT, asset_id=8),
        replace(CONTEXT, key_epoch=2),
        replace(CONTEXT, chain_id=1),
        replace(CONTEXT, contract=b"\x0b" * 20),
        replace(CONTEXT, holders=HOLDERS[::-1]),
    ],
    ids=["asset", "epoch", "chain", "contract", "holders"],
)
def test_a_copied_dealing_is_worth_nothing_elsewhere(dealing: Dealing, other: KeyContext) -> None:
    """The proof names what it is for; sealed shares do not open there; R is another."""
    with pytest.raises(InvalidProof, match="dealer does not show"):
        check_commitments(other, dealing.commitments, dealing.proof)
    holder = SealingKey.from_bytes(keccak(b"holder"))
    sealed = seal_share(dealing.shares[0], digest_of(CONTEXT, dealing.commitments), 0, HOLDERS[0], holder.public)
    assert len(sealed) == SEALED_SHARE_BYTES
    assert open_share(sealed, digest_of(CONTEXT, dealing.commitments), 0, HOLDERS[0], holder) == dealing.shares[0]
    with pytest.raises(DecryptionFailed):
        open_share(sealed, digest_of(other, dealing.commitments), 0, HOLDERS[0], holder)
    if other.holders == HOLDERS:
        assert other.base(KERNEL) != CONTEXT.base(KERNEL)


def test_a_proof_without_the_secret_is_none(dealing: Dealing) -> None:
    """Of another secret, altered, cut, or with z written another way."""
    digest = digest_of(CONTEXT, dealing.commitments)
    c, z = dealing.proof[:32], int.from_bytes(dealing.proof[32:], "big")
    proofs = [schnorr.prove(KERNEL, 5, digest), bytes(64), dealing.proof[:-1], b""]
    proofs += [bytes([dealing.proof[0] ^ 1]) + dealing.proof[1:]]
    if z + MODULUS < 1 << 256:
        proofs.append(c + (z + MODULUS).to_bytes(32, "big"))
    for proof in proofs:
        with pytest.raises(InvalidProof):
            check_commitments(CONTEXT, dealing.commitments, proof)


def test_the_identity_is_no_commitment(dealing: Dealing) -> None:
    """As Y_0, Y_i or Y'_i; nor is a point outside of the subgroup."""
    c = dealing.commitments
    for forged in (
        replace(c, secret_point=bytes(192)),
        replace(c, points=(bytes(192), *c.points[1:])),
        replace(c, matches=(bytes(96), *c.matches[1:])),
        replace(c, matches=(outside_g1(), *c.matches[1:])),
    ):
        with pytest.raises(InvalidPoint):
            check_commitments(CONTEXT, forged, dealing.proof)


def test_malformed_dealings_are_refused(dealing: Dealing) -> None:
    """Every cut, another magic or version, counts that don't fit, a byte more."""
    data = dealing.commitments.to_bytes()
    for bad in (b"", data[:-1], data + b"\0", b"QNTX" + data[4:], data[:4] + b"\2" + data[5:]):
        with pytest.raises(FormatError):
            Commitments.from_bytes(bad)
    for position in range(9):
        bad = bytearray(data)
        bad[position] ^= 0x40
        with pytest.raises(FormatError):
            Commitments.from_bytes(bytes(bad))
    with pytest.raises(BadParameters):
        check_commitments(replace(CONTEXT, holders=HOLDERS[:4]), dealing.commitments, dealing.proof)
    with pytest.raises(BadParameters):
        deal(CONTEXT, 6, DATA_KEY)
    with pytest.raises(BadParameters):
        deal(CONTEXT, 2, b"short")
    for holders in ((), (HOLDERS[0], HOLDERS[0]), (b"x",), tuple(bytes([i, 1] * 10) for i in range(65))):
        with pytest.raises(BadParameters):
            replace(CONTEXT, holders=holders)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=2000))
def test_random_bytes_are_no_dealing(data: bytes) -> None:
    """Whatever is read, only an error of the package comes."""
    for attempt in (data, b"QNTK\x01" + data):
        try:
            Commitments.from_bytes(attempt)
        except QanatError:
            continue


def test_sealed_shares_open_for_their_holder_and_place_only(dealing: Dealing) -> None:
    """Another key, place, holder, or a flipped bit."""
    digest = digest_of(CONTEXT, dealing.commitments)
    key, other = SealingKey.from_bytes(keccak(b"a")), SealingKey.from_bytes(keccak(b"b"))
    sealed = seal_share(dealing.shares[1], digest, 1, HOLDERS[1], key.public)
    for arguments in (
        (sealed, digest, 1, HOLDERS[1], other),
        (sealed, digest, 2, HOLDERS[1], key),
        (sealed, digest, 1, HOLDERS[2], key),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), digest, 1, HOLDERS[1], key),
        (b"", digest, 1, HOLDERS[1], key),
    ):
        with pytest.raises(DecryptionFailed):
            open_share(*arguments)
    with pytest.raises(InvalidPoint):
        seal_share(5, digest, 1, HOLDERS[1], bytes(32))
    with pytest.raises(InvalidPoint):
        seal_share(5, digest, 1, HOLDERS[1], b"\1" * 31)


ORACLES = pytest.mark.parametrize("oracle", [open_base, open_pyhpke], ids=["by hand", "pyhpke"])
Oracle = Callable[..., bytes]


@ORACLES
def test_the_oracle_opens_rfc_9180s_own_vector(oracle: Oracle) -> None:
    """Appendix A.1.1: X25519, HKDF-SHA256, AES-128-GCM, base mode, sequence number 0."""
    enc = "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"
    ciphertext = "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
    private = bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
    info, aad = b"Ode on a Grecian Urn", b"Count-0"
    opened = oracle(bytes.fromhex(enc + ciphertext), private, info, AES_128_GCM, aad)
    assert opened == b"Beauty is truth, truth beauty"


def opens_as_hpke(oracle: Oracle, sealed: bytes, key: SealingKey, info: bytes) -> bytes:
    """Open with an oracle, which must refuse another context and another key."""
    for other, wrong in ((key.to_bytes(), info + b"\0"), (keccak(b"other"), info)):
        with pytest.raises((InvalidTag, OpenError)):
            oracle(sealed, other, wrong, AES_256_GCM)
    return oracle(sealed, key.to_bytes(), info, AES_256_GCM)


@ORACLES
def test_a_sealed_share_is_hpke(dealing: Dealing, oracle: Oracle) -> None:
    """Opened by code of HPKE that isn't the library's, under the context that format.md names."""
    key, digest = SealingKey.from_bytes(keccak(b"a")), digest_of(CONTEXT, dealing.commitments)
    sealed = seal_share(dealing.shares[3], digest, 3, HOLDERS[3], key.public)
    info = b"QANAT_SHARE_V1" + digest + b"\x00\x03" + HOLDERS[3]
    assert opens_as_hpke(oracle, sealed, key, info) == dealing.shares[3].to_bytes(32, "big")


@ORACLES
def test_a_sealed_data_key_is_hpke(oracle: Oracle) -> None:
    """The same, under the context of format.md's sealed data key."""
    key = SealingKey.from_bytes(keccak(b"a"))
    sealed = seal(DATA_KEY, key.public, SealContext(CHAIN, KEYS, 7, b"\x02" * 32, LICENSEE))
    numbers = CHAIN.to_bytes(32, "big") + (7).to_bytes(32, "big")
    info = b"QANAT_SEAL_V1" + numbers + KEYS + b"\x02" * 32 + LICENSEE
    assert opens_as_hpke(oracle, sealed, key, info) == DATA_KEY


@ORACLES
def test_a_headers_wrapped_key_is_hpke(oracle: Oracle) -> None:
    """The last field of an encryption header, under the 81 bytes before it, as version 1 has them."""
    key = SealingKey.from_bytes(keccak(b"a"))
    header = FileEncryption(DATA_KEY, recovery_key=key.public).header
    assert len(header) == 161
    info = b"QANAT_RECOVERY_WRAP_V1" + header[:4] + b"\x01" + header[5:81]
    assert opens_as_hpke(oracle, header[81:], key, info) == DATA_KEY


# ---- releasing


def test_liars_are_named_and_the_others_open(dealing: Dealing, licensee: LicenseeKey) -> None:
    """One answers for another key, one with the identity, one off the curve: two lies too many name all three."""
    given = answers(dealing, licensee.point)
    lies = {0: multiply_g1(KERNEL, given[0], 2), 2: bytes(96), 4: b"\xff" * 96}
    assert open_key(CONTEXT, dealing.commitments, licensee, {**given, 0: lies[0], 2: lies[2]}) == DATA_KEY
    with pytest.raises(KeyUnavailable) as found:
        open_key(CONTEXT, dealing.commitments, licensee, {**given, **lies})
    assert found.value.data["wrong"] == [0, 2, 4]
    assert found.value.data["right"] == [1, 3]


def test_an_answer_serves_its_key_place_and_epoch_only(dealing: Dealing, licensee: LicenseeKey) -> None:
    """Another licensee's P, another place's commitment, another key epoch's R."""
    given = answers(dealing, licensee.point)
    other = LicenseeKey(5)
    assert not is_right(blinded_base(CONTEXT, other.point), dealing.commitments.points[0], given[0])
    assert not is_right(blinded_base(CONTEXT, licensee.point), dealing.commitments.points[1], given[0])
    later = replace(CONTEXT, key_epoch=2)
    assert not is_right(blinded_base(later, licensee.point), dealing.commitments.points[0], given[0])
    with pytest.raises(KeyUnavailable):
        open_key(CONTEXT, dealing.commitments, other, given)


def test_what_is_seen_on_the_way_opens_nothing(dealing: Dealing, licensee: LicenseeKey) -> None:
    """All answers to a licensee, and another key than its x: the interpolated point wraps nothing."""
    given = answers(dealing, licensee.point)
    weights = lagrange_at([1, 2, 3], 0)
    blinded_secret = KERNEL.combine_g1([given[0], given[1], given[2]], weights)
    from qanat.keys.shares import unwrap

    for guess in (blinded_secret, multiply_g1(KERNEL, blinded_secret, 2)):
        with pytest.raises(DecryptionFailed):
            unwrap(CONTEXT, guess, dealing.commitments.secret_point, dealing.commitments.wrapped)


def test_the_identity_is_refused_as_p_and_as_the_sum(dealing: Dealing) -> None:
    """P = 0, and P = -R, whose answers would be zero or known; R is a hash, and never zero."""
    minus_base = multiply_g1(KERNEL, CONTEXT.base(KERNEL), -1)
    for point in (G1_IDENTITY, minus_base):
        with pytest.raises(InvalidPoint):
            release(CONTEXT, dealing.shares[0], point)
    with pytest.raises(InvalidPoint):
        release(CONTEXT, dealing.shares[0], outside_g1())
    assert not is_right(G1_IDENTITY, dealing.commitments.points[0], G1_IDENTITY)


@pytest.mark.parametrize("name", ["fast", "reference"])
def test_an_r_that_is_the_identity_serves_nobody(
    dealing: Dealing, licensee: LicenseeKey, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """No message is known that hashes to it; were there one, answers would be [s]P, and the key that of [s]0."""
    given = answers(dealing, licensee.point)
    monkeypatch.setattr(KeyContext, "base", lambda self, kernel: G1_IDENTITY)
    for act in (
        lambda: blinded_base(CONTEXT, licensee.point, kernel=name),
        lambda: release(CONTEXT, dealing.shares[0], licensee.point, kernel=name),
        lambda: open_key(CONTEXT, dealing.commitments, licensee, given, kernel=name),
    ):
        with pytest.raises(InvalidPoint, match="R is the identity"):
            act()
    with pytest.raises(InvalidPoint, match="The identity is no key"):
        deal_polynomial(CONTEXT, COEFFICIENTS, DATA_KEY, kernel=name)


def test_one_secret_for_two_assets_would_open_both_without_proofs() -> None:
    """Why s is fresh and P is proven: P = R' - R + [x]G1 on one asset is answered with the other's key.

    Done here with a share that serves both, and a holder that asks for no proof. With the proof, nobody can show such
    a P: the attacker knows no logarithm of R' - R.
    """
    first, second = replace(CONTEXT, holders=HOLDERS[:1]), replace(CONTEXT, asset_id=8, holders=HOLDERS[:1])
    one = deal_polynomial(first, (4242,), DATA_KEY)
    two = deal_polynomial(second, (4242,), bytes(32))
    x = LicenseeKey(99)
    crooked = KERNEL.combine_g1([second.base(KERNEL), first.base(KERNEL), x.point], [1, -1, 1])
    answer = release(first, one.shares[0], crooked)
    stolen = KERNEL.combine_g1([answer, two.commitments.matches[0]], [1, -99])
    from qanat.keys.shares import unwrap

    assert unwrap(second, stolen, two.commitments.secret_point, two.commitments.wrapped) == bytes(32)

    with pytest.raises(InvalidProof):
        check_possession(CHAIN, KEYS, LICENSEE, crooked, x.prove(CHAIN, KEYS, LICENSEE))
    # and with a share of its own for each asset the same answer is worth nothing
    fresh = deal(second, 1, bytes(32))
    with pytest.raises(DecryptionFailed):
        unwrap(second, stolen, fresh.commitments.secret_point, fresh.commitments.wrapped)


def test_possession_is_of_one_licensee_on_one_contract(licensee: LicenseeKey) -> None:
    """Copied by another licensee, to another chain or contract, or for another P: nothing."""
    proof = licensee.prove(CHAIN, KEYS, LICENSEE)
    check_possession(CHAIN, KEYS, LICENSEE, licensee.point, proof)
    check_possession(CHAIN, KEYS, LICENSEE, licensee.point, proof, kernel="reference")
    for arguments in (
        (CHAIN, KEYS, b"\x78" * 20, licensee.point, proof),
        (1, KEYS, LICENSEE, licensee.point, proof),
        (CHAIN, b"\x0b" * 20, LICENSEE, licensee.point, proof),
        (CHAIN, KEYS, LICENSEE, LicenseeKey(3).point, proof),
        (CHAIN, KEYS, LICENSEE, licensee.point, bytes(64)),
    ):
        with pytest.raises(InvalidProof):
            check_possession(*arguments)
    with pytest.raises(InvalidPoint):
        check_possession(CHAIN, KEYS, LICENSEE, G1_IDENTITY, proof)


def test_a_proof_does_not_serve_as_another_kind(dealing: Dealing) -> None:
    """A licensee's proof of s is no dealer's proof, whatever it is bound to."""
    x = LicenseeKey(COEFFICIENTS[0])
    with pytest.raises(InvalidProof):
        check_commitments(CONTEXT, dealing.commitments, x.prove(CHAIN, KEYS, LICENSEE))


def test_secrets_are_not_shown(dealing: Dealing, licensee: LicenseeKey) -> None:
    """Neither shares nor x in what is printed."""
    shown = repr(dealing) + repr(licensee)
    assert str(licensee.scalar) not in shown
    assert not any(str(share) in shown for share in dealing.shares)


def test_interpolation_takes_distinct_shares() -> None:
    """The weights of a constant add up to one; a repeated share is refused."""
    assert sum(lagrange_at([1, 4, 9], 0)) % MODULUS == 1
    assert sum(w * evaluate((3, 2), i) for w, i in zip(lagrange_at([2, 5], 0), (2, 5), strict=True)) % MODULUS == 3
    with pytest.raises(BadParameters):
        lagrange_at([1, 1], 0)
