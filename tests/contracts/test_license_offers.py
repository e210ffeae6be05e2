"""Offers with seats, exclusive ones, signed ones, licenses that are passed on, and purchases in every order."""

from __future__ import annotations

import itertools

import pytest
from ape.exceptions import TransactionError
from eth_abi import encode
from eth_account import Account
from eth_utils import keccak

from qanat.chain.signer import KeySigner
from qanat.chain.views import OfferTerms
from qanat.licensing.signed_offers import SignedOffer
from tests.contracts.licensing import (
    ALL_PURPOSES,
    COMMERCIAL,
    DAY,
    EVALUATE,
    INFER,
    NO_PERMIT,
    TERMS_FIELDS,
    TRAIN,
    make_market,
    terms_hash,
)
from tests.contracts.reverts import reverts_with

FAR = 2**40
CAUSE, EVIDENCE = keccak(text="cause"), keccak(text="evidence")
TERMS_KINDS = dict(
    zip(
        TERMS_FIELDS,
        (
            *("uint256", "address", "uint256", "uint32", "uint64", "uint32", "uint16", "bytes32"),
            *("uint32", "bool", "bool", "address"),
        ),
        strict=True,
    )
)


@pytest.fixture(scope="module")
def market(project, deployer, owner, licensee, stranger):
    return make_market(project, deployer)


@pytest.fixture(scope="module")
def licenses(market):
    return market.licenses


@pytest.fixture
def asset(market, owner):
    return market.mint(owner)


@pytest.fixture
def at(chain):
    """Return what mines the next block at a time."""

    def _at(time):
        chain.provider.set_timestamp(time)

    return _at


@pytest.fixture
def end_of(licenses):
    """Return what tells when a license ends by its terms."""

    def _end(license_id):
        return licenses.license(license_id).end

    return _end


class TestSeats:
    def test_are_numbered_from_one(self, market, licenses, asset, owner, licensee):
        """Zero and the next number are refused; `buy`, which names none, too."""
        offer = market.offer(owner, asset, seats=2)
        for seat in (None, 0, 3):
            with reverts_with(licenses.SeatUnknown, offerId=offer, seat=seat or 0, seats=2):
                market.buy(offer, licensee, seat=seat)

    def test_an_offer_without_seats_has_none(self, market, licenses, asset, owner, licensee):
        offer = market.offer(owner, asset)
        with reverts_with(licenses.SeatUnknown, offerId=offer, seat=1, seats=0):
            market.buy(offer, licensee, seat=1)
        market.buy(offer, licensee, seat=0)

    def test_each_is_sold_to_one(self, market, licenses, asset, owner, licensee, stranger):
        """Two licenses under two seats, and a third buyer finds both taken."""
        offer = market.offer(owner, asset, seats=2)
        first = market.buy(offer, licensee, seat=2)
        assert licenses.freeSeat(offer, 1, 2) == 1
        second = market.buy(offer, stranger, seat=1)
        for seat, holder in ((1, second), (2, first)):
            with reverts_with(licenses.SeatTaken, offerId=offer, seat=seat, licenseId=holder):
                market.buy(offer, stranger, seat=seat)
        assert licenses.freeSeat(offer, 1, 2) == 0

    def test_is_free_again_at_the_end_and_after_a_revocation(
        self, market, licenses, asset, owner, licensee, stranger, at, end_of
    ):
        """Not a second before."""
        offer = market.offer(owner, asset, seats=1)
        first = market.buy(offer, licensee, seat=1)
        licenses.revoke(first, CAUSE, EVIDENCE, sender=owner)
        second = market.buy(offer, stranger, seat=1)
        market.fund(licensee, 1_000_003)
        digest = terms_hash(market.terms(asset, seats=1))
        at(end_of(second) - 1)
        with reverts_with(licenses.SeatTaken, offerId=offer, seat=1, licenseId=second):
            licenses.buyWith(offer, digest, 2**255, 1, NO_PERMIT, sender=licensee)
        at(end_of(second))
        licenses.buyWith(offer, digest, 2**255, 1, NO_PERMIT, sender=licensee)
        assert licenses.ownerOf(3) == licensee

    @pytest.mark.parametrize(
        ("first", "count", "found"), [(1, 4, 2), (1, 1, 0), (3, 2, 4), (3, 1, 0), (0, 9, 2), (5, 9, 0), (2, 0, 0)]
    )
    def test_free_ones_are_found_in_a_range(self, market, licenses, asset, owner, licensee, first, count, found):
        """Of four seats, 1 and 3 are taken."""
        offer = market.offer(owner, asset, seats=4)
        for seat in (1, 3):
            market.buy(offer, licensee, seat=seat)
        assert licenses.freeSeat(offer, first, count) == found

    def test_free_ones_are_found_at_the_end_of_numbers(self, market, licenses, asset, owner):
        """No overflow, whatever is asked."""
        offer = market.offer(owner, asset, seats=4)
        assert licenses.freeSeat(offer, 4, 2**256 - 1) == 4
        assert licenses.freeSeat(offer, 2**256 - 1, 2**256 - 1) == 0


class TestExclusive:
    def test_needs_a_purpose_that_can_be(self, market, licenses, asset, owner):
        """`COMMERCIAL` only says how the others may be used."""
        with reverts_with(licenses.TermsInvalid, field=b"exclusive".ljust(32, b"\0"), value=1):
            market.offer(owner, asset, purposes=COMMERCIAL, exclusive=True)
        market.offer(owner, asset, purposes=COMMERCIAL | INFER, exclusive=True)

    def test_is_not_sold_beside_another_of_the_purpose(self, market, licenses, asset, owner, licensee, end_of):
        """Whichever offer that came from, and whoever holds it, the buyer itself too."""
        plain = market.offer(owner, asset, purposes=TRAIN | EVALUATE)
        sole = market.offer(owner, asset, purposes=EVALUATE | INFER, exclusive=True)
        first = market.buy(plain, licensee)
        with reverts_with(licenses.PurposeTaken, purpose=EVALUATE, until=end_of(first)):
            market.buy(sole, licensee)

    def test_keeps_others_out_until_its_end(
        self, project, market, licenses, asset, owner, licensee, stranger, at, end_of
    ):
        """Of its purposes only; to the second."""
        sole = market.offer(owner, asset, purposes=TRAIN | COMMERCIAL, exclusive=True)
        plain = market.offer(owner, asset, purposes=TRAIN)
        beside = market.offer(owner, asset, purposes=INFER | COMMERCIAL)
        first = market.buy(sole, licensee)
        for offer in (sole, plain):
            with reverts_with(licenses.PurposeTaken, purpose=TRAIN, until=end_of(first)):
                market.buy(offer, stranger)
        market.buy(beside, stranger)
        market.fund(stranger, 1_000_003)
        digest = terms_hash(market.terms(asset))
        at(end_of(first) - 1)
        with reverts_with(licenses.PurposeTaken, purpose=TRAIN, until=end_of(first)):
            licenses.buy(plain, digest, 2**255, sender=stranger)
        at(end_of(first))
        for _ in range(2):  # and a plain one keeps no plain one out
            market.fund(stranger, 1_000_003)
            licenses.buy(plain, digest, 2**255, sender=stranger)

    def test_other_assets_are_free(self, market, asset, owner, licensee, stranger):
        other = market.mint(owner)
        for item in (asset, other):
            market.buy(market.offer(owner, item, purposes=ALL_PURPOSES, exclusive=True), licensee)

    def test_a_revocation_frees_its_purposes(self, market, licenses, asset, owner, licensee, stranger):
        """For exclusive and for plain licenses."""
        sole = market.offer(owner, asset, purposes=TRAIN | EVALUATE, exclusive=True)
        licenses.revoke(market.buy(sole, licensee), CAUSE, EVIDENCE, sender=owner)
        licenses.revoke(market.buy(sole, stranger), CAUSE, EVIDENCE, sender=owner)
        market.buy(market.offer(owner, asset), licensee)

    def test_a_revoked_plain_license_still_counts(
        self, project, market, licenses, asset, owner, licensee, stranger, end_of
    ):
        """What it kept sold may be another's too: the asset's owner revokes nothing to sell more dearly."""
        first = market.buy(market.offer(owner, asset), licensee)
        licenses.revoke(first, CAUSE, EVIDENCE, sender=owner)
        sole = market.offer(owner, asset, exclusive=True)
        with reverts_with(licenses.PurposeTaken, purpose=TRAIN, until=end_of(first)):
            market.buy(sole, stranger)

    def test_every_purpose_has_a_lane_of_its_own(self, project, market, asset, owner, licensee, stranger, chain):
        """Five purposes, each sold exclusively, each blocking itself alone."""
        for purpose in (1 << bit for bit in range(5)):
            with chain.isolate():
                market.buy(market.offer(owner, asset, purposes=purpose, exclusive=True), licensee)
                for other in (1 << bit for bit in range(5)):
                    offer = market.offer(owner, asset, purposes=other)
                    if other == purpose:
                        with reverts_with(licenses.PurposeTaken, purpose=purpose):
                            market.buy(offer, stranger)
                    else:
                        market.buy(offer, stranger)


class TestTakenUntil:
    def test_says_from_when_on_what_can_be_sold(self, market, licenses, asset, owner, licensee):
        """Of several purposes the latest: exclusively after the first time, at all after the second."""
        assert tuple(licenses.takenUntil(asset, ALL_PURPOSES)) == (0, 0)
        plain = licenses.license(market.buy(market.offer(owner, asset, purposes=TRAIN | COMMERCIAL), licensee)).end
        alone = market.offer(owner, asset, purposes=INFER, exclusive=True, duration=9 * DAY)
        exclusive = licenses.license(market.buy(alone, licensee)).end
        assert tuple(licenses.takenUntil(asset, TRAIN)) == (plain, 0)
        assert tuple(licenses.takenUntil(asset, INFER)) == (exclusive, exclusive)
        assert tuple(licenses.takenUntil(asset, TRAIN | INFER)) == (plain, exclusive)
        assert tuple(licenses.takenUntil(asset, EVALUATE | COMMERCIAL)) == (0, 0)


class TestSigned:
    @pytest.fixture
    def sign(self, licenses, chain):
        """Return what signs an offer as a wallet would."""

        def _sign(signer, signed):
            message = {**signed, "terms": dict(signed["terms"])}
            typed = Account.sign_typed_data(
                signer.private_key,
                domain_data={
                    "name": "Qanat Licenses",
                    "version": "1",
                    "chainId": chain.chain_id,
                    "verifyingContract": licenses.address,
                },
                message_types={
                    "SignedOffer": [
                        {"name": "terms", "type": "OfferTerms"},
                        {"name": "handovers", "type": "uint64"},
                        {"name": "salt", "type": "uint256"},
                        {"name": "validUntil", "type": "uint64"},
                    ],
                    "OfferTerms": [{"name": field, "type": kind} for field, kind in TERMS_KINDS.items()],
                },
                message_data=message,
            )
            return bytes(typed.signature)

        return _sign

    @pytest.fixture
    def make(self, market, asset):
        """Return what makes an offer to sign."""

        def _make(*, handovers=0, salt=7, valid_until=FAR, **overrides):
            terms = market.terms(asset, **overrides)
            return {"terms": terms, "handovers": handovers, "salt": salt, "validUntil": valid_until}

        return _make

    @pytest.fixture
    def take(self, market, licenses):
        """Return what funds a buyer and buys."""

        def _take(buyer, signed, signature, *, limit=2**255, seat=0):
            market.fund(buyer, signed["terms"]["price"])
            return licenses.buySigned(signed, signature, limit, seat, NO_PERMIT, sender=buyer)

        return _take

    def test_becomes_one_offer_at_the_first_purchase(
        self, market, licenses, asset, owner, licensee, stranger, make, sign, take
    ):
        """As if it had been published; the second purchase publishes nothing."""
        signed = make(seats=2)
        signature = sign(owner, signed)
        assert licenses.signedOfferId(signed) == 0
        first = take(licensee, signed, signature, seat=1)
        assert licenses.signedOfferId(signed) == licenses.offerCount() == 1
        assert len(list(first.events.filter(licenses.OfferPublished))) == 1
        second = take(stranger, signed, signature, seat=2)
        assert list(second.events.filter(licenses.OfferPublished)) == []
        assert licenses.offerCount() == 1
        assert terms_hash(licenses.offer(1)[0]) == terms_hash(signed["terms"])
        assert market.book(asset) == 2 * 1_000_003
        with reverts_with(licenses.SeatTaken, offerId=1, seat=2, licenseId=2):
            take(stranger, signed, signature, seat=2)

    def test_is_bought_with_its_signature_only(self, market, licenses, owner, licensee, make, sign, take):
        """Its time, and a contract's mind, count at every purchase: its number alone buys nothing."""
        signed = make(price=500)
        take(licensee, signed, sign(owner, signed))
        market.fund(licensee, 500)
        digest = terms_hash(signed["terms"])
        with reverts_with(licenses.SignatureNeeded, offerId=1):
            licenses.buy(1, digest, 500, sender=licensee)
        with reverts_with(licenses.SignatureNeeded, offerId=1):
            licenses.buyWith(1, digest, 500, 0, NO_PERMIT, sender=licensee)
        # a further period of what was bought is no purchase by a stranger
        licenses.renew(1, digest, sender=licensee)

    def test_digest_is_what_wallets_sign(self, licenses, owner, make, sign):
        """EIP-712, recovered here."""
        signed = make(seats=3, exclusive=True, transferable=True)
        digest = licenses.signedOfferDigest(signed)
        assert Account._recover_hash(digest, signature=sign(owner, signed)) == owner.address

    def test_refuses_what_its_owner_did_not_sign(self, licenses, asset, owner, licensee, stranger, make, sign, take):
        """Another's signature, none, or any other field than was signed."""
        signed = make()
        good = sign(owner, signed)
        changed = [
            make(salt=8),
            make(valid_until=FAR + 1),
            *(make(**{field: value}) for field, value in (("price", 1), ("purposes", ALL_PURPOSES), ("seats", 1))),
            *(make(**{field: value}) for field, value in (("duration", 60 * DAY), ("uses", 1), ("exclusive", True))),
            *(make(**{field: value}) for field, value in (("earnedAtReleaseBps", 0), ("transferable", True))),
            make(textHash=bytes(32)),
        ]
        for other in changed:
            with reverts_with(licenses.OfferSignatureInvalid, digest=licenses.signedOfferDigest(other), owner=owner):
                take(licensee, other, good, seat=other["terms"]["seats"])
        for signature in (sign(stranger, signed), b"", good[:-1]):
            with reverts_with(licenses.OfferSignatureInvalid, owner=owner):
                take(licensee, signed, signature)

    def test_refuses_after_its_last_second(self, licenses, owner, licensee, make, sign, market, chain, at):
        last = chain.pending_timestamp + 1_000
        signed = make(valid_until=last)
        signature = sign(owner, signed)
        market.fund(licensee, 2 * 1_000_003)
        at(last)
        licenses.buySigned(signed, signature, 2**255, 0, NO_PERMIT, sender=licensee)
        at(last + 1)
        with reverts_with(licenses.OfferExpired, validUntil=last, timestamp=last + 1):
            licenses.buySigned(signed, signature, 2**255, 0, NO_PERMIT, sender=licensee)

    def test_refuses_a_price_above_the_buyers_limit(self, licenses, owner, licensee, make, sign, take):
        signed = make(price=500)
        with reverts_with(licenses.PriceAboveMaximum, price=500, maximum=499):
            take(licensee, signed, sign(owner, signed), limit=499)

    def test_is_void_when_the_asset_changed_hands(
        self, market, licenses, asset, owner, licensee, stranger, make, sign, take
    ):
        """For ever, bought before or not; the new owner's signature needs the new tenure."""
        signed, other = make(), make(salt=8)
        take(licensee, signed, sign(owner, signed))
        market.assets.transferFrom(owner, stranger, asset, sender=owner)
        for item in (signed, other):
            with reverts_with(licenses.HandoversWrong, got=0, expected=1):
                take(licensee, item, sign(owner, item))
        market.assets.transferFrom(stranger, owner, asset, sender=stranger)
        with reverts_with(licenses.HandoversWrong, got=0, expected=2):
            take(licensee, signed, sign(owner, signed))
        again = make(handovers=2)
        take(licensee, again, sign(owner, again))

    def test_refuses_terms_out_of_range(self, licenses, owner, licensee, make, sign, take):
        """As a published one's."""
        signed = make(purposes=64)
        with reverts_with(licenses.TermsInvalid, field=b"purposes".ljust(32, b"\0"), value=64):
            take(licensee, signed, sign(owner, signed))

    def test_can_be_cancelled(self, licenses, asset, owner, licensee, stranger, make, sign, take):
        """Before anybody bought it, by the asset's owner, once."""
        signed = make()
        digest = licenses.signedOfferDigest(signed)
        with reverts_with(licenses.NotAssetOwner, assetId=asset, caller=stranger, owner=owner):
            licenses.cancelSigned(signed, sender=stranger)
        receipt = licenses.cancelSigned(signed, sender=owner)
        assert receipt.events.filter(licenses.SignedOfferCancelled) == [licenses.SignedOfferCancelled(digest, asset)]
        with reverts_with(licenses.OfferIsCancelled, digest=digest):
            licenses.cancelSigned(signed, sender=owner)
        with reverts_with(licenses.OfferIsCancelled, digest=digest):
            take(licensee, signed, sign(owner, signed))
        assert licenses.signedOfferId(signed) == 0

    @pytest.mark.parametrize("way", ["cancelSigned", "withdrawOffer"])
    def test_can_be_withdrawn_when_it_was_bought(self, licenses, asset, owner, licensee, make, sign, take, way):
        """Either way ends the published offer and the signed one; what was sold stays sold."""
        signed = make()
        signature = sign(owner, signed)
        take(licensee, signed, signature)
        getattr(licenses, way)(signed if way == "cancelSigned" else 1, sender=owner)
        assert licenses.offer(1).withdrawn
        with reverts_with(licenses.OfferIsWithdrawn, offerId=1):
            take(licensee, signed, signature)
        with reverts_with(licenses.OfferIsWithdrawn, offerId=1):
            licenses.cancelSigned(signed, sender=owner)
        assert licenses.isLicensed(licensee, asset, TRAIN)

    def test_a_contract_sells_through_its_signer(
        self, project, market, licenses, asset, owner, licensee, stranger, deployer, make, sign, take
    ):
        """ERC-1271; and asked again at each purchase."""
        wallet = deployer.deploy(project.SignerWallet, stranger)
        market.assets.transferFrom(owner, wallet, asset, sender=owner)
        signed = make(handovers=1)
        with reverts_with(licenses.OfferSignatureInvalid, owner=wallet):
            take(licensee, signed, sign(owner, signed))
        take(licensee, signed, sign(stranger, signed))
        with reverts_with(licenses.OfferSignatureInvalid, owner=wallet):
            take(licensee, signed, sign(owner, signed))
        assert licenses.offer(1)[0][0] == asset


class TestPermit:
    @pytest.fixture
    def permitted(self, project, deployer, licensee):
        token = deployer.deploy(project.PermitToken)
        token.mint(licensee, 500, sender=deployer)
        return token

    @pytest.fixture
    def permit(self, market, chain):
        """Return what signs an ERC-2612 permit for Payments."""

        def _permit(token, signer, value, deadline=FAR, nonce=0):
            signed = Account.sign_typed_data(
                signer.private_key,
                domain_data={
                    "name": "Permit",
                    "version": "1",
                    "chainId": chain.chain_id,
                    "verifyingContract": token.address,
                },
                message_types={
                    "Permit": [
                        {"name": name, "type": kind}
                        for name, kind in (
                            *(("owner", "address"), ("spender", "address"), ("value", "uint256")),
                            *(("nonce", "uint256"), ("deadline", "uint256")),
                        )
                    ]
                },
                message_data={
                    "owner": signer.address,
                    "spender": market.payments.address,
                    "value": value,
                    "nonce": nonce,
                    "deadline": deadline,
                },
            )
            return deadline, signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")

        return _permit

    def test_buys_in_one_transaction(self, market, licenses, asset, owner, licensee, permitted, permit):
        """No approval was there before, and none is left."""
        offer = market.offer(owner, asset, token=permitted.address, price=500)
        digest = terms_hash(licenses.offer(offer)[0])
        licenses.buyWith(offer, digest, 500, 0, permit(permitted, licensee, 500), sender=licensee)
        assert market.book(asset, permitted) == 500
        assert permitted.allowance(licensee, market.payments) == 0

    def test_somebody_may_use_it_first(self, market, licenses, asset, owner, licensee, stranger, permitted, permit):
        """Front-run, it has done what it was for, and the purchase goes through."""
        offer = market.offer(owner, asset, token=permitted.address, price=500)
        digest = terms_hash(licenses.offer(offer)[0])
        signed = permit(permitted, licensee, 500)
        permitted.permit(licensee, market.payments, 500, *signed, sender=stranger)
        licenses.buyWith(offer, digest, 500, 0, signed, sender=licensee)
        assert market.book(asset, permitted) == 500

    def test_a_bad_one_pays_nothing(
        self, project, market, licenses, asset, owner, licensee, stranger, permitted, permit
    ):
        """Another's signature, another sum, a token without permits: what counts is the allowance."""
        offer = market.offer(owner, asset, token=permitted.address, price=500)
        digest = terms_hash(licenses.offer(offer)[0])
        for bad in (
            permit(permitted, stranger, 500),
            permit(permitted, licensee, 499),
            permit(permitted, licensee, 500, 1),
        ):
            with reverts_with(project.PermitToken.ERC20InsufficientAllowance):
                licenses.buyWith(offer, digest, 500, 0, bad, sender=licensee)
        plain = market.offer(owner, asset, price=500)
        market.fund(licensee, 500)
        digest = terms_hash(licenses.offer(plain)[0])
        licenses.buyWith(plain, digest, 500, 0, permit(permitted, licensee, 500), sender=licensee)
        assert market.book(asset) == 500

    def test_works_for_a_signed_offer(self, market, licenses, asset, owner, licensee, permitted, permit, chain):
        """Owner and buyer sign, and one transaction does the rest."""
        terms = market.terms(asset, token=permitted.address, price=500)
        signed = {"terms": terms, "handovers": 0, "salt": 1, "validUntil": FAR}
        digest = licenses.signedOfferDigest(signed)
        signature = bytes(Account.unsafe_sign_hash(digest, owner.private_key).signature)
        licenses.buySigned(signed, signature, 500, 0, permit(permitted, licensee, 500), sender=licensee)
        assert licenses.ownerOf(1) == licensee
        assert market.book(asset, permitted) == 500


class TestFiles:
    """What `qanat offer --sign` writes is what the contract takes."""

    def test_a_file_of_the_owners_sells(self, market, licenses, asset, owner, licensee, chain):
        terms = market.terms(asset, price=100, seats=2)
        values = (chain.chain_id, licenses.address, OfferTerms(*terms.values()), 0, 2**256 - 1, FAR)
        signed = SignedOffer(*values).sign(KeySigner.from_key(bytes.fromhex(owner.private_key[2:])))
        read = SignedOffer.from_bytes(signed.to_bytes())
        market.fund(licensee, 100)
        licenses.buySigned(read.as_tuple(), read.signature, 100, 1, NO_PERMIT, sender=licensee)
        assert licenses.ownerOf(licenses.licenseCount()) == licensee
        assert licenses.signedOfferId(read.as_tuple()) == licenses.offerCount()
        assert market.book(asset) == 100
        licenses.cancelSigned(read.as_tuple(), sender=owner)
        market.fund(licensee, 100)
        with pytest.raises(TransactionError):
            licenses.buySigned(read.as_tuple(), read.signature, 100, 2, NO_PERMIT, sender=licensee)


class TestTransferable:
    @pytest.fixture
    def movable(self, market, owner, asset, licensee):
        return market.buy(market.offer(owner, asset, transferable=True), licensee)

    def test_says_so(self, licenses, movable, market, owner, asset, licensee):
        """ERC-5192: not locked, from its sale on."""
        assert not licenses.locked(movable)
        terms = market.terms(asset, transferable=True)
        market.fund(licensee, 1_000_003)
        receipt = licenses.buy(1, terms_hash(terms), 2**255, sender=licensee)
        assert receipt.events.filter(licenses.Unlocked) == [licenses.Unlocked(2)]
        assert receipt.events.filter(licenses.Locked) == []

    def test_each_holder_is_licensed_for_its_time(
        self, licenses, asset, movable, licensee, stranger, auditor, at, chain
    ):
        """Whoever asks about the past gets the one who held it then; never two at once."""
        start, end = licenses.license(movable).start, licenses.license(movable).end
        at(start + 100)
        licenses.transferFrom(licensee, stranger, movable, sender=licensee)
        at(start + 300)
        licenses.transferFrom(stranger, auditor, movable, sender=stranger)
        at(start + 600)
        licenses.transferFrom(auditor, licensee, movable, sender=auditor)
        held = {
            licensee: [(start, 100), (start + 600, end - start - 600)],
            stranger: [(start + 100, 200)],
            auditor: [(start + 300, 300)],
        }
        for time in (start - 1, *(start + seconds for seconds in (0, 99, 100, 299, 300, 599, 600)), end - 1, end):
            for who in (licensee, stranger, auditor):
                expected = any(since <= time < since + length for since, length in held[who])
                assert licenses.isLicensedAt(who, asset, TRAIN, time) is expected, (time - start, who)
        assert licenses.ownerOf(movable) == licenses.license(movable).licensee == licensee
        assert (licenses.balanceOf(licensee), licenses.balanceOf(stranger)) == (1, 0)

    def test_several_moves_in_one_second(self, project, market, licenses, asset, owner, deployer, at, chain):
        """There and back within a block: a term of no length is no term."""
        caller = deployer.deploy(project.Caller)
        offer = market.offer(owner, asset, price=0, transferable=True)
        data = licenses.buy.encode_input(offer, terms_hash(licenses.offer(offer)[0]), 0)
        caller.runMany([licenses], [data], sender=deployer)
        give = licenses.setApprovalForAll.encode_input(caller, True)
        other = deployer.deploy(project.Caller)
        other.runMany([licenses], [give], sender=deployer)
        moves = [
            licenses.transferFrom.encode_input(one, two, 1)
            for one, two in ((caller, other), (other, caller), (caller, caller), (caller, other))
        ]
        now = chain.blocks.head.timestamp + 10
        at(now)
        caller.runMany([licenses] * 4, moves, sender=deployer)
        assert licenses.isLicensedAt(other, asset, TRAIN, now)
        assert not licenses.isLicensedAt(caller, asset, TRAIN, now)
        assert licenses.isLicensedAt(caller, asset, TRAIN, now - 1)

    def test_only_who_may_moves_it(self, licenses, movable, licensee, stranger, auditor):
        """As ERC-721 says: its holder, whom that one approved, an operator of all of its."""
        with reverts_with(licenses.ERC721InsufficientApproval, operator=stranger, tokenId=movable):
            licenses.transferFrom(licensee, stranger, movable, sender=stranger)
        with reverts_with(licenses.ERC721IncorrectOwner, sender=stranger, tokenId=movable, owner=licensee):
            licenses.transferFrom(stranger, auditor, movable, sender=licensee)
        with reverts_with(licenses.ERC721InvalidReceiver):
            licenses.transferFrom(licensee, "0x" + "00" * 20, movable, sender=licensee)
        licenses.approve(stranger, movable, sender=licensee)
        licenses.transferFrom(licensee, auditor, movable, sender=stranger)
        assert licenses.getApproved(movable) == "0x" + "00" * 20
        with reverts_with(licenses.ERC721InsufficientApproval):
            licenses.transferFrom(auditor, stranger, movable, sender=stranger)
        licenses.setApprovalForAll(stranger, True, sender=auditor)
        licenses.transferFrom(auditor, licensee, movable, sender=stranger)

    def test_what_is_over_stays(self, licenses, movable, licensee, stranger, owner, at, chain):
        """Ended or revoked, it says who had it."""
        end = licenses.license(movable).end
        with chain.isolate():
            licenses.revoke(movable, CAUSE, EVIDENCE, sender=owner)
            with reverts_with(licenses.LicenseNotActive, licenseId=movable):
                licenses.transferFrom(licensee, stranger, movable, sender=licensee)
        at(end)
        with reverts_with(licenses.LicenseNotActive, licenseId=movable):
            licenses.transferFrom(licensee, stranger, movable, sender=licensee)

    def test_refunds_go_to_the_holder(self, market, licenses, asset, movable, licensee, stranger, owner):
        """Of now."""
        licenses.transferFrom(licensee, stranger, movable, sender=licensee)
        refund = licenses.revoke(movable, CAUSE, EVIDENCE, sender=owner).return_value
        assert market.payments.claimable(market.token, stranger) == refund > 0
        assert market.payments.claimable(market.token, licensee) == 0
        assert not licenses.isLicensed(stranger, asset, TRAIN)

    def test_a_seat_goes_with_it(self, market, licenses, asset, owner, licensee, stranger):
        """Passed on, it is still taken."""
        offer = market.offer(owner, asset, seats=1, transferable=True)
        first = market.buy(offer, licensee, seat=1)
        licenses.transferFrom(licensee, stranger, first, sender=licensee)
        with reverts_with(licenses.SeatTaken, offerId=offer, seat=1, licenseId=first):
            market.buy(offer, licensee, seat=1)


class TestAreLicensed:
    def test_answers_each_in_order(self, market, licenses, asset, owner, licensee, stranger):
        """As `isLicensedAt` does; nothing asked, nothing answered."""
        first = market.buy(market.offer(owner, asset, purposes=TRAIN | INFER), licensee)
        start = licenses.license(first).start
        queries = [
            (who, number, purpose, time)
            for who in (licensee, stranger)
            for number in (asset, asset + 1)
            for purpose in (TRAIN, TRAIN | INFER, EVALUATE, 0)
            for time in (start - 1, start)
        ]
        answers = licenses.areLicensed(queries)
        assert list(answers) == [licenses.isLicensedAt(*query) for query in queries]
        assert sum(answers) == 2
        assert list(licenses.areLicensed([])) == []


class TestOrders:
    """Every order of up to four transactions that want the same thing: what may not happen never does."""

    def run(self, chain, actions):
        """Do all in every order, each order on its own state; yield the order, and which of them went through."""
        for order in itertools.permutations(actions):
            with chain.isolate():
                done = {}
                for action in order:
                    try:
                        actions[action]()
                    except TransactionError:
                        done[action] = False
                    else:
                        done[action] = True
                yield order, done

    def test_the_last_seat_is_sold_once(self, market, licenses, asset, owner, licensee, stranger, auditor, chain):
        """Three buyers of two seats, and one revocation of the seat that was sold before."""
        offer = market.offer(owner, asset, seats=2)
        old = market.buy(offer, auditor, seat=1)
        digest = terms_hash(market.terms(asset, seats=2))
        for buyer in (licensee, stranger, auditor):
            market.fund(buyer, 1_000_003)
        actions = {
            "first": lambda: licenses.buyWith(offer, digest, 2**255, 2, NO_PERMIT, sender=licensee),
            "second": lambda: licenses.buyWith(offer, digest, 2**255, 2, NO_PERMIT, sender=stranger),
            "third": lambda: licenses.buyWith(offer, digest, 2**255, 1, NO_PERMIT, sender=auditor),
            "revoke": lambda: licenses.revoke(old, CAUSE, EVIDENCE, sender=owner),
        }
        for order, done in self.run(chain, actions):
            first_of_two = next(name for name in order if name in {"first", "second"})
            assert [done["first"], done["second"]] == [first_of_two == "first", first_of_two == "second"], order
            assert done["third"] is (order.index("revoke") < order.index("third")), order
            assert done["revoke"], order
            records = [licenses.license(number) for number in range(1, licenses.licenseCount() + 1)]
            assert sum(record.revokedAt == 0 for record in records) <= 2

    def test_an_exclusive_license_is_alone(self, market, licenses, asset, owner, licensee, stranger, auditor, chain):
        """Two exclusive offers of overlapping purposes, and two plain ones of which each overlaps with one."""
        offers = {
            "one": market.offer(owner, asset, purposes=TRAIN | EVALUATE, exclusive=True),
            "two": market.offer(owner, asset, purposes=EVALUATE | INFER, exclusive=True),
            "train": market.offer(owner, asset, purposes=TRAIN),
            "infer": market.offer(owner, asset, purposes=INFER),
        }
        digests = {name: terms_hash(licenses.offer(offer)[0]) for name, offer in offers.items()}
        for buyer in (licensee, stranger, auditor, owner):
            market.fund(buyer, 1_000_003)

        def buying(name, buyer):
            return lambda: licenses.buy(offers[name], digests[name], 2**255, sender=buyer)

        actions = {
            name: buying(name, buyer) for name, buyer in zip(offers, (licensee, stranger, auditor, owner), strict=True)
        }
        clashes = {frozenset(pair) for pair in (("one", "two"), ("one", "train"), ("two", "infer"))}
        for order, done in self.run(chain, actions):
            sold: list[str] = []
            for name in order:
                fits = not any(frozenset((name, other)) in clashes for other in sold)
                assert done[name] is fits, (order, name)
                if fits:
                    sold.append(name)

    def test_a_new_price_is_never_paid_unasked(self, market, licenses, asset, owner, licensee, chain):
        """The owner withdraws and offers dearer while somebody buys: it pays what it read, or nothing."""
        offer = market.offer(owner, asset, price=100)
        dearer = market.terms(asset, price=1_000)
        cheap = terms_hash(market.terms(asset, price=100))
        market.fund(licensee, 10_000)
        actions = {
            "withdraw": lambda: licenses.withdrawOffer(offer, sender=owner),
            "publish": lambda: licenses.publishOffer(dearer, sender=owner),
            "buy": lambda: licenses.buy(offer, cheap, 100, sender=licensee),
            "buy the next": lambda: licenses.buy(offer + 1, cheap, 100, sender=licensee),
        }
        before = market.token.balanceOf(licensee)
        for order, done in self.run(chain, actions):
            assert done["buy"] is (order.index("buy") < order.index("withdraw")), order
            assert not done["buy the next"], order
            assert before - market.token.balanceOf(licensee) == (100 if done["buy"] else 0), order

    def test_a_sale_of_the_asset_against_purchases(
        self, market, licenses, asset, owner, licensee, stranger, auditor, chain
    ):
        """The seller's offers end with the sale, those withdrawn before it; whoever was in time has its license."""
        offer = market.offer(owner, asset, price=100)
        other = market.offer(owner, asset, price=70)
        digests = [terms_hash(licenses.offer(item)[0]) for item in (offer, other)]
        for buyer in (licensee, stranger):
            market.fund(buyer, 1_000)
        actions = {
            "sell the asset": lambda: market.assets.transferFrom(owner, auditor, asset, sender=owner),
            "buy": lambda: licenses.buy(offer, digests[0], 100, sender=licensee),
            "buy other": lambda: licenses.buy(other, digests[1], 70, sender=stranger),
            "withdraw": lambda: licenses.withdrawOffer(offer, sender=owner),
        }
        for order, done in self.run(chain, actions):
            place = {name: order.index(name) for name in order}
            in_time = place["buy"] < min(place["sell the asset"], place["withdraw"])
            assert done["buy"] is in_time, order
            assert done["buy other"] is (place["buy other"] < place["sell the asset"]), order
            assert done["withdraw"], order
            assert done["sell the asset"], order
            assert market.book(asset) == 100 * done["buy"] + 70 * done["buy other"], order

    def test_a_revocation_against_a_key_release(
        self, market, licenses, asset, owner, licensee, operator, deployer, chain
    ):
        """Released before it, the part for the release is earned; after it nothing is released, and it is refunded."""
        market.operators.put(operator, operator, sender=deployer)
        number = market.buy(market.offer(owner, asset, price=1_000, earnedAtReleaseBps=10_000), licensee)
        key = keccak(text="key")
        digest = licenses.keyRequestDigest(number, operator, key, FAR)
        signature = bytes(Account.unsafe_sign_hash(digest, licensee.private_key).signature)
        actions = {
            "revoke": lambda: licenses.revoke(number, CAUSE, EVIDENCE, sender=owner),
            "release": lambda: licenses.recordRelease(number, operator, key, FAR, signature, sender=operator),
            "settle": lambda: licenses.settle(asset, market.token, 400, sender=owner),
            "revoke again": lambda: licenses.revoke(number, CAUSE, EVIDENCE, sender=owner),
        }
        for order, done in self.run(chain, actions):
            first = min(order.index("revoke"), order.index("revoke again"))
            released = order.index("release") < first
            assert done["release"] is released, order
            assert done["revoke"] is not done["revoke again"], order
            record = licenses.license(number)
            assert record.refunded == (0 if released else 1_000), order
            due = order.index("release") < order.index("settle")
            assert market.payments.claimable(market.token, owner) == (1_000 if released and due else 0), order
            assert market.book(asset) == 1_000 - record.refunded - (1_000 if released and due else 0), order

    def test_a_transfer_of_the_asset_against_claims(
        self, market, licenses, asset, owner, licensee, operator, auditor, deployer, chain
    ):
        """What was earned before the transfer is the seller's, after it the buyer's, whoever claims, and when."""
        market.operators.put(operator, operator, sender=deployer)
        offer = market.offer(owner, asset, price=1_000, earnedAtReleaseBps=10_000)
        key = keccak(text="key")

        def released(number):
            digest = licenses.keyRequestDigest(number, operator, key, FAR)
            signature = bytes(Account.unsafe_sign_hash(digest, licensee.private_key).signature)
            return lambda: licenses.recordRelease(number, operator, key, FAR, signature, sender=operator)

        first, second = market.buy(offer, licensee), market.buy(offer, licensee)
        released(first)()
        what = encode(["uint256", "address"], [asset, market.token.address])
        payments = market.payments

        def claiming(who):
            return lambda: payments.claimFrom([licenses], [what], [market.token], sender=who, gas=4_000_000)

        actions = {
            "transfer": lambda: market.assets.transferFrom(owner, auditor, asset, sender=owner),
            "seller claims": claiming(owner),
            "buyer claims": claiming(auditor),
            "release": released(second),
        }
        before = {who: market.token.balanceOf(who) for who in (owner, auditor)}
        for order, done in self.run(chain, actions):
            assert all(done.values()), order
            place = {name: order.index(name) for name in order}
            is_sellers = place["release"] < place["transfer"]
            paid = market.token.balanceOf(owner) - before[owner]
            claimed_first = place["seller claims"] < place["release"]
            assert paid == 1_000 + (1_000 if is_sellers and not claimed_first else 0), order
            claiming(owner)()
            claiming(auditor)()
            assert market.token.balanceOf(owner) - before[owner] == 1_000 + 1_000 * is_sellers, order
            assert market.token.balanceOf(auditor) - before[auditor] == 1_000 * (not is_sellers), order
            assert market.book(asset) == 0, order
