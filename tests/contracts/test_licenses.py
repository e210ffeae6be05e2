"""Licenses: offers, sales, releases, earnings, revocation; times are seconds, and chain time is set by the tests."""

from __future__ import annotations

import pytest
from eth_abi import encode
from eth_account import Account
from eth_utils import keccak

from qanat.licensing.streams import FRACTION_BITS, Stream
from tests.contracts.licensing import (
    ALL_PURPOSES,
    COMMERCIAL,
    DAY,
    EVALUATE,
    INFER,
    TRAIN,
    make_market,
    terms_hash,
)
from tests.contracts.reverts import reverts_with

RECIPIENT_KEY = keccak(text="recipient key")
CAUSE = keccak(text="cause")
EVIDENCE = keccak(text="evidence")
MAX_DURATION = 100 * 365 * DAY
FAR = 2**40


@pytest.fixture(scope="module")
def market(project, deployer, owner, licensee, stranger, operators, operator):
    return make_market(project, deployer)


@pytest.fixture(scope="module")
def licenses(market):
    return market.licenses


@pytest.fixture
def asset(market, owner):
    return market.mint(owner)


@pytest.fixture
def holder(market, operator, deployer, stranger):
    """Return a registered operator that holds keys; its node answers as `stranger`."""
    market.operators.put(operator, stranger, sender=deployer)
    return operator


@pytest.fixture
def at(chain):
    """Return what mines the next block at a time."""

    def _at(time):
        chain.provider.set_timestamp(time)

    return _at


@pytest.fixture
def make_license(market, owner, licensee, asset):
    """Return what sells a license and returns (id, start, end)."""

    def _make(buyer=licensee, **overrides):
        license_id = market.buy(market.offer(owner, overrides.pop("assetId", asset), **overrides), buyer)
        record = market.licenses.license(license_id)
        return license_id, record.start, record.end

    return _make


@pytest.fixture
def request_of(licenses, chain):
    """Return what signs a key request as a licensee's Ethereum key would."""

    def _request(signer, license_id, holder, recipient_key=RECIPIENT_KEY, deadline=FAR, contract=None, chain_id=None):
        message = {
            "licenseId": license_id,
            "keyHolder": holder.address,
            "recipientKey": recipient_key,
            "deadline": deadline,
        }
        signed = Account.sign_typed_data(
            signer.private_key,
            domain_data={
                "name": "Qanat Licenses",
                "version": "1",
                "chainId": chain_id or chain.chain_id,
                "verifyingContract": (contract or licenses).address,
            },
            message_types={
                "KeyRequest": [
                    {"name": "licenseId", "type": "uint256"},
                    {"name": "keyHolder", "type": "address"},
                    {"name": "recipientKey", "type": "bytes32"},
                    {"name": "deadline", "type": "uint256"},
                ]
            },
            message_data=message,
        )
        return bytes(signed.signature)

    return _request


@pytest.fixture
def release(licenses, holder, licensee, request_of):
    """Return what records a release as asked for by the licensee."""

    def _release(license_id, sender=None):
        signature = request_of(licensee, license_id, holder)
        return licenses.recordRelease(license_id, holder, RECIPIENT_KEY, FAR, signature, sender=sender or holder)

    return _release


class TestPublishOffer:
    def test_refuses_an_unknown_asset(self, market, licenses, owner):
        """There is nothing to offer."""
        with reverts_with(market.assets.AssetUnknown, assetId=7):
            licenses.publishOffer(market.terms(7), sender=owner)

    def test_refuses_who_does_not_own_the_asset(self, market, licenses, asset, owner, stranger):
        """Also a former owner."""
        with reverts_with(licenses.NotAssetOwner, assetId=asset, caller=stranger, owner=owner):
            licenses.publishOffer(market.terms(asset), sender=stranger)
        market.assets.transferFrom(owner, stranger, asset, sender=owner)
        with reverts_with(licenses.NotAssetOwner, assetId=asset, caller=owner, owner=stranger):
            licenses.publishOffer(market.terms(asset), sender=owner)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("purposes", 0),
            ("purposes", 64),
            ("purposes", 65),
            ("duration", 0),
            ("duration", MAX_DURATION + 1),
            ("earnedAtReleaseBps", 10_001),
            ("price", 2**96),
        ],
    )
    def test_refuses_terms_out_of_range(self, market, licenses, asset, owner, field, value):
        """By one."""
        with reverts_with(licenses.TermsInvalid, field=field.encode().ljust(32, b"\0"), value=value):
            licenses.publishOffer(market.terms(asset, **{field: value}), sender=owner)

    def test_refuses_a_price_that_no_stream_takes(self, market, licenses, asset, owner):
        """2^79 units a second or more: found when it is offered, not when somebody buys."""
        market.offer(owner, asset, price=2**79 - 1, duration=1)
        with reverts_with(licenses.StreamTooLarge, amount=2**79, start=0, end=1):
            market.offer(owner, asset, price=2**79, duration=1)

    def test_refuses_a_token_that_is_none(self, market, licenses, asset, owner, stranger):
        """An account without code takes no payment."""
        with reverts_with(licenses.TermsInvalid, field=b"token".ljust(32, b"\0"), value=int(stranger.address, 16)):
            licenses.publishOffer(market.terms(asset, token=stranger.address), sender=owner)

    def test_keeps_the_terms_as_given(self, market, licenses, asset, owner):
        """To the highest of what they may be."""
        terms = market.terms(
            asset,
            purposes=ALL_PURPOSES,
            duration=MAX_DURATION,
            price=2**96 - 1,
            uses=2**32 - 1,
            earnedAtReleaseBps=10_000,
        )
        receipt = licenses.publishOffer(terms, sender=owner)

        stored, withdrawn = licenses.offer(1)
        assert terms_hash(stored) == terms_hash(terms)
        assert not withdrawn
        assert licenses.offerCount() == 1
        (event,) = receipt.events.filter(licenses.OfferPublished)
        assert (event.offerId, event.assetId, terms_hash(event.terms)) == (1, asset, terms_hash(terms))


class TestWithdrawOffer:
    def test_refuses_an_unknown_offer(self, licenses, owner):
        """Numbers run from one."""
        for unknown in (0, 1):
            with reverts_with(licenses.OfferUnknown, offerId=unknown):
                licenses.withdrawOffer(unknown, sender=owner)
            with reverts_with(licenses.OfferUnknown, offerId=unknown):
                licenses.offer(unknown)

    def test_refuses_who_did_not_publish_it(self, market, licenses, asset, owner, stranger):
        """Even who owns the asset by now: the offer is void anyway."""
        offer = market.offer(owner, asset)
        market.assets.transferFrom(owner, stranger, asset, sender=owner)
        with reverts_with(licenses.NotOfferPublisher, offerId=offer, caller=stranger, publisher=owner):
            licenses.withdrawOffer(offer, sender=stranger)

    def test_refuses_to_withdraw_twice(self, market, licenses, asset, owner):
        """Once is for ever."""
        offer = market.offer(owner, asset)
        licenses.withdrawOffer(offer, sender=owner)
        with reverts_with(licenses.OfferIsWithdrawn, offerId=offer):
            licenses.withdrawOffer(offer, sender=owner)

    def test_ends_the_offer_and_nothing_else(self, market, licenses, asset, owner, licensee):
        """What was sold stays sold."""
        offer = market.offer(owner, asset)
        market.buy(offer, licensee)
        receipt = licenses.withdrawOffer(offer, sender=owner)

        assert receipt.events.filter(licenses.OfferWithdrawn) == [licenses.OfferWithdrawn(offer)]
        assert licenses.offer(offer).withdrawn
        assert licenses.isLicensed(licensee, asset, TRAIN)
        with reverts_with(licenses.OfferIsWithdrawn, offerId=offer):
            market.buy(offer, licensee)


class TestBuy:
    def test_refuses_an_unknown_offer(self, licenses, licensee):
        with reverts_with(licenses.OfferUnknown, offerId=1):
            licenses.buy(1, bytes(32), 0, sender=licensee)

    def test_refuses_a_former_owners_offer(self, market, licenses, asset, owner, stranger, licensee):
        """Who bought the asset isn't bound by what its seller still offers; not even if the seller gets it back."""
        offer = market.offer(owner, asset)
        market.assets.transferFrom(owner, stranger, asset, sender=owner)
        with reverts_with(licenses.OfferVoid, offerId=offer, publisher=owner, owner=stranger):
            market.buy(offer, licensee)
        assert licenses.offer(offer).withdrawn
        market.assets.transferFrom(stranger, owner, asset, sender=stranger)
        with reverts_with(licenses.OfferVoid, offerId=offer, publisher=owner, owner=owner):
            market.buy(offer, licensee)

    def test_refuses_other_terms_than_the_buyer_read(self, market, licenses, asset, owner, licensee):
        """An offer's number can come to mean another offer when the chain reorganises."""
        offer = market.offer(owner, asset)
        read, stored = market.terms(asset, duration=31 * DAY), market.terms(asset)
        with reverts_with(licenses.TermsChanged, got=terms_hash(read), expected=terms_hash(stored)):
            licenses.buy(offer, terms_hash(read), 2**255, sender=licensee)

    def test_refuses_a_price_above_the_buyers_limit(self, market, licenses, asset, owner, licensee):
        """By one unit."""
        offer = market.offer(owner, asset, price=500)
        with reverts_with(licenses.PriceAboveMaximum, price=500, maximum=499):
            licenses.buy(offer, terms_hash(market.terms(asset, price=500)), 499, sender=licensee)

    def test_refuses_who_does_not_pay(self, project, market, licenses, asset, owner, licensee):
        """And leaves no license behind."""
        offer = market.offer(owner, asset)
        with reverts_with(project.MintableToken.ERC20InsufficientAllowance):
            licenses.buy(offer, terms_hash(market.terms(asset)), 2**255, sender=licensee)
        assert licenses.licenseCount() == 0
        assert not licenses.isLicensed(licensee, asset, TRAIN)

    def test_sells_what_was_offered(self, market, licenses, asset, owner, licensee, chain):
        """Terms, times, escrow, token and events; the buyer holds it, the owner has nothing yet."""
        offer = market.offer(owner, asset, uses=3)
        market.token.mint(licensee, 1_000_003, sender=licensee)
        market.token.approve(market.payments, 1_000_003, sender=licensee)
        receipt = licenses.buy(offer, terms_hash(market.terms(asset, uses=3)), 1_000_003, sender=licensee)

        start = chain.blocks.head.timestamp
        record = licenses.license(1)
        assert dict(record.items()) == {
            "assetId": asset,
            "offerId": offer,
            "licensee": licensee.address,
            "purposes": TRAIN,
            "start": start,
            "end": start + 30 * DAY,
            "revokedAt": 0,
            "releasedAt": 0,
            "uses": 3,
            "earnedAtReleaseBps": 2_500,
            "token": market.token.address,
            "price": 1_000_003,
            "refunded": 0,
        }
        assert market.book(asset) == market.token.balanceOf(market.payments) == 1_000_003
        assert market.payments.claimable(market.token, owner) == 0
        assert licenses.ownerOf(1) == licensee
        assert licenses.balanceOf(licensee) == licenses.licenseCount() == 1
        assert licenses.tokenURI(1) == "ipfs://description"
        zero = "0x" + "00" * 20
        assert receipt.events.filter(licenses.Transfer) == [licenses.Transfer(zero, licensee, 1)]
        assert receipt.events.filter(licenses.Locked) == [licenses.Locked(1)]
        assert receipt.events.filter(licenses.LicenseSold) == [
            licenses.LicenseSold(1, offer, asset, licensee, start, start + 30 * DAY, 1_000_003)
        ]

    def test_sells_for_nothing_too(self, market, licenses, asset, owner, licensee):
        """No token moves, and nothing is ever earned."""
        offer = market.offer(owner, asset, price=0)
        licenses.buy(offer, terms_hash(market.terms(asset, price=0)), 0, sender=licensee)
        assert licenses.isLicensed(licensee, asset, TRAIN)
        assert market.settle(asset, sender=owner) == licenses.earned(1) == 0
        licenses.revoke(1, CAUSE, EVIDENCE, sender=owner)
        assert not licenses.isLicensed(licensee, asset, TRAIN)

    def test_is_closed_to_a_token_that_calls_back(
        self, project, market, licenses, asset, owner, licensee, deployer, chain
    ):
        """Between the license's writing and its payment nothing else here can be called."""
        token = deployer.deploy(project.ReenteringToken)
        token.mint(licensee, 100, sender=licensee)
        token.approve(market.payments, 100, sender=licensee)
        offer = market.offer(owner, asset, token=token.address, price=100, earnedAtReleaseBps=10_000)
        digest = terms_hash(licenses.offer(offer)[0])
        for call in (
            licenses.settle.encode_input(asset, token, 400),
            licenses.settleFor.encode_input(owner, encode(["uint256", "address"], [asset, token.address])),
            licenses.renew.encode_input(1, digest),
            licenses.revokeForBreach.encode_input(1, CAUSE, EVIDENCE),
            licenses.revoke.encode_input(1, CAUSE, EVIDENCE),
            licenses.refundUnreleased.encode_input(1),
            licenses.buy.encode_input(offer, digest, 100),
            licenses.recordRelease.encode_input(1, owner, RECIPIENT_KEY, FAR, b""),
        ):
            token.arm(licenses, call, True, False, sender=deployer)
            with chain.isolate():
                licenses.buy(offer, digest, 100, sender=licensee)
                assert not token.lastSuccess()
                assert token.lastReturned()[:4] == keccak(text="ReentrancyGuardReentrantCall()")[:4]
                assert market.book(asset, token) == 100

    def test_a_hostile_token_blocks_only_its_own_license(
        self, project, market, licenses, asset, owner, licensee, make_license, deployer, at
    ):
        """Once it refuses, its escrow moves on paper only, and other licenses of the asset are paid as ever."""
        token = deployer.deploy(project.RefusingToken)
        token.mint(licensee, 100, sender=licensee)
        token.approve(market.payments, 100, sender=licensee)
        offer = market.offer(owner, asset, token=token.address, price=100, earnedAtReleaseBps=0)
        licenses.buy(offer, terms_hash(licenses.offer(offer)[0]), 100, sender=licensee)
        _, _, end = make_license()
        token.refuseAll(True, sender=deployer)
        at(end + DAY)

        for paid_in in (token, market.token):
            market.settle(asset, paid_in, sender=owner)
        receipt = market.payments.claimMany([token, market.token], sender=owner, gas=1_500_000)
        assert receipt.return_value == [0, 1_000_003 - 250_000]
        assert market.payments.claimable(token, owner) == 100


class TestToken:
    def test_cannot_be_transferred(self, market, licenses, asset, owner, licensee, stranger, make_license):
        """Neither by its holder nor by anyone it approved: it is personal."""
        license_id, _, _ = make_license()
        licenses.setApprovalForAll(stranger, True, sender=licensee)
        for sender in (licensee, stranger):
            with reverts_with(licenses.NotTransferable, licenseId=license_id):
                licenses.transferFrom(licensee, stranger, license_id, sender=sender)
            for safe in ("address,address,uint256", "address,address,uint256,bytes"):
                arguments = (licensee, stranger, license_id) + ((b"",) if "bytes" in safe else ())
                with reverts_with(licenses.NotTransferable, licenseId=license_id):
                    licenses.safeTransferFrom(*arguments, sender=sender)
        with reverts_with(licenses.NotTransferable, licenseId=license_id):
            licenses.approve(stranger, license_id, sender=licensee)
        assert licenses.ownerOf(license_id) == licensee
        assert licenses.locked(license_id)

    def test_unknown_ones_are_refused_everywhere(self, licenses, owner):
        """Zero and the next number."""
        for unknown in (0, 1):
            for view in (licenses.license, licenses.earned, licenses.locked, licenses.tokenURI):
                with reverts_with(licenses.LicenseUnknown, licenseId=unknown):
                    view(unknown)
            with reverts_with(licenses.LicenseUnknown, licenseId=unknown):
                licenses.isActiveAt(unknown, TRAIN, 1)
            for call in (licenses.dispute, licenses.conclude, licenses.refundUnreleased):
                with reverts_with(licenses.LicenseUnknown, licenseId=unknown):
                    call(unknown, sender=owner)
            for call in (licenses.revoke, licenses.revokeForBreach):
                with reverts_with(licenses.LicenseUnknown, licenseId=unknown):
                    call(unknown, CAUSE, EVIDENCE, sender=owner)
            for call, *rest in ((licenses.renew, CAUSE), (licenses.decide, 0), (licenses.refundLost, CAUSE, 1)):
                with reverts_with(licenses.LicenseUnknown, licenseId=unknown):
                    call(unknown, *rest, sender=owner)

    @pytest.mark.parametrize(
        ("interface", "answer"),
        [("0x01ffc9a7", True), ("0x80ac58cd", True), ("0x5b5e139f", True), ("0xb45a3c0e", True), ("0xffffffff", False)],
    )
    def test_erc165_names_erc721_and_erc5192(self, licenses, interface, answer):
        """And nothing that it isn't."""
        assert licenses.supportsInterface(interface) is answer


class TestRecordRelease:
    def test_refuses_an_unknown_license(self, licenses, holder):
        with reverts_with(licenses.LicenseUnknown, licenseId=1):
            licenses.recordRelease(1, holder, RECIPIENT_KEY, FAR, b"", sender=holder)

    def test_refuses_from_the_end_on(self, licenses, make_license, holder, licensee, request_of, release, at):
        """The second before is in time, the end itself is not."""
        license_id, _, end = make_license()
        late, _, late_end = make_license()
        at(end - 1)
        release(license_id)
        assert licenses.license(license_id).releasedAt == end - 1
        at(late_end)
        with reverts_with(licenses.LicenseNotActive, licenseId=late):
            release(late)

    def test_refuses_a_revoked_license(self, licenses, make_license, release, owner):
        license_id, _, _ = make_license()
        licenses.revoke(license_id, CAUSE, EVIDENCE, sender=owner)
        with reverts_with(licenses.LicenseNotActive, licenseId=license_id):
            release(license_id)

    def test_refuses_a_request_that_is_too_old(self, licenses, make_license, holder, licensee, request_of, at):
        """The deadline itself is in time."""
        license_id, start, _ = make_license()
        signature = request_of(licensee, license_id, holder, deadline=start + 100)
        at(start + 101)
        with reverts_with(licenses.RequestExpired, deadline=start + 100, timestamp=start + 101):
            licenses.recordRelease(license_id, holder, RECIPIENT_KEY, start + 100, signature, sender=holder)

    def test_takes_a_request_at_its_deadline(self, licenses, make_license, holder, licensee, request_of, at):
        """To the second."""
        license_id, start, _ = make_license()
        signature = request_of(licensee, license_id, holder, deadline=start + 100)
        at(start + 100)
        licenses.recordRelease(license_id, holder, RECIPIENT_KEY, start + 100, signature, sender=holder)
        assert licenses.license(license_id).releasedAt == start + 100

    def test_refuses_a_holder_that_is_no_operator(self, licenses, make_license, licensee, owner, request_of):
        """The owner can't make itself a key holder on paper."""
        license_id, _, _ = make_license()
        signature = request_of(licensee, license_id, owner)
        with reverts_with(licenses.KeyHolderUnknown, keyHolder=owner):
            licenses.recordRelease(license_id, owner, RECIPIENT_KEY, FAR, signature, sender=owner)

    def test_a_licensee_records_for_itself(
        self, market, licenses, make_license, asset, holder, licensee, stranger, release
    ):
        """Without a signature, as its own holder, once; it has earned what a holder's record would have."""
        license_id, start, _ = make_license()
        with reverts_with(licenses.KeyHolderUnknown, keyHolder=licensee):
            licenses.recordRelease(license_id, licensee, RECIPIENT_KEY, FAR, b"", sender=stranger)
        with reverts_with(licenses.NotKeyHolder, keyHolder=holder, caller=licensee):
            licenses.recordRelease(license_id, holder, RECIPIENT_KEY, FAR, b"", sender=licensee)
        receipt = licenses.recordRelease(license_id, licensee, RECIPIENT_KEY, FAR, b"", sender=licensee)
        assert receipt.events.filter(licenses.KeyReleased) == [
            licenses.KeyReleased(license_id, licensee, RECIPIENT_KEY)
        ]
        record = licenses.license(license_id)
        assert record.releasedAt >= start
        assert licenses.earned(license_id) >= 250_000
        assert release(license_id).events.filter(licenses.KeyReleased) == []
        assert licenses.license(license_id).releasedAt == record.releasedAt

    def test_refuses_another_sender(self, licenses, make_license, licensee, holder, owner, request_of):
        """A request that was overheard is of no use, to the owner above all."""
        license_id, _, _ = make_license()
        signature = request_of(licensee, license_id, holder)
        with reverts_with(licenses.NotKeyHolder, keyHolder=holder, caller=owner):
            licenses.recordRelease(license_id, holder, RECIPIENT_KEY, FAR, signature, sender=owner)

    def test_refuses_what_the_licensee_did_not_sign(
        self, market, licenses, make_license, licensee, holder, owner, stranger, operators, deployer, request_of
    ):
        """Any other signer, license, holder, key, deadline, contract or chain."""
        license_id, _, _ = make_license()
        other, _, _ = make_license()
        market.operators.put(operators[1], stranger, sender=deployer)
        wrong = [
            request_of(owner, license_id, holder),
            request_of(licensee, other, holder),
            request_of(licensee, license_id, operators[1]),
            request_of(licensee, license_id, holder, recipient_key=CAUSE),
            request_of(licensee, license_id, holder, deadline=FAR - 1),
            request_of(licensee, license_id, holder, contract=market.assets),
            request_of(licensee, license_id, holder, chain_id=1),
            b"",
            bytes(65),
            request_of(licensee, license_id, holder)[:-1],
        ]
        for signature in wrong:
            with reverts_with(licenses.RequestInvalid, licenseId=license_id, signer=licensee):
                licenses.recordRelease(license_id, holder, RECIPIENT_KEY, FAR, signature, sender=holder)

    def test_digest_is_what_wallets_sign(self, licenses, make_license, licensee, holder, request_of):
        """EIP-712, recovered here."""
        license_id, _, _ = make_license()
        digest = licenses.keyRequestDigest(license_id, holder, RECIPIENT_KEY, FAR)
        signature = request_of(licensee, license_id, holder)
        assert Account._recover_hash(digest, signature=signature) == licensee.address

    @pytest.mark.parametrize("sender", ["holder", "responder"])
    def test_is_recorded_once(self, licenses, make_license, holder, stranger, release, chain, sender):
        """By the holder or its responder; a second time changes nothing and says nothing."""
        license_id, _, _ = make_license()
        first = release(license_id, sender=holder if sender == "holder" else stranger)
        released_at = chain.blocks.head.timestamp
        assert first.events.filter(licenses.KeyReleased) == [licenses.KeyReleased(license_id, holder, RECIPIENT_KEY)]

        again = release(license_id)
        assert list(again.events) == []
        assert licenses.license(license_id).releasedAt == released_at

    def test_takes_a_contract_accounts_signature(
        self, project, market, licenses, asset, owner, licensee, holder, deployer, request_of
    ):
        """ERC-1271: a licensee that is a contract asks through its signer; another's signature stays refused."""
        wallet = deployer.deploy(project.SignerWallet, licensee)
        offer = market.offer(owner, asset)
        market.token.mint(wallet, 1_000_003, sender=deployer)
        terms = terms_hash(licenses.offer(offer)[0])
        wallet.run(market.token, market.token.approve.encode_input(market.payments, 1_000_003), sender=deployer)
        wallet.run(licenses, licenses.buy.encode_input(offer, terms, 1_000_003), sender=deployer)

        with reverts_with(licenses.RequestInvalid, licenseId=1, signer=wallet):
            licenses.recordRelease(1, holder, RECIPIENT_KEY, FAR, request_of(owner, 1, holder), sender=holder)
        licenses.recordRelease(1, holder, RECIPIENT_KEY, FAR, request_of(licensee, 1, holder), sender=holder)
        assert licenses.license(1).releasedAt != 0


class TestSettle:
    """What an asset's licenses earned goes to who owned it meanwhile; `qanat.licensing.streams` says how much."""

    def test_pays_nothing_before_anything_is_earned(self, market, licenses, make_license, asset, owner, at):
        """The first second of thirty days earns less than a unit here."""
        _, start, _ = make_license()
        at(start + 1)
        assert market.settle(asset, sender=owner) == 0

    def test_pays_the_release_at_once_and_the_rest_with_time(
        self, market, licenses, make_license, release, asset, owner, stranger, at
    ):
        """1,000,003 at a quarter: 250,000 at the release, 750,003 over thirty days; all when the last is over."""
        license_id, start, end = make_license()
        stream = Stream(750_003, start, end, start)
        at(start + 10 * DAY)
        release(license_id)
        at(start + 15 * DAY)
        first = market.settle(asset, sender=stranger)
        assert first == 250_000 + (stream.counted(start + 15 * DAY) >> FRACTION_BITS) == 250_000 + 375_001
        assert market.payments.claimable(market.token, owner) == first
        assert market.book(asset) == 1_000_003 - first

        at((end // DAY + 1) * DAY)
        assert first + market.settle(asset, sender=owner) == 1_000_003
        assert market.book(asset) == market.settle(asset, sender=owner) == 0
        assert licenses.earned(license_id) == 1_000_003

    def test_pays_each_owner_for_its_tenure(
        self, market, licenses, make_license, asset, owner, stranger, auditor, deployer, at
    ):
        """Whoever asks, and though nobody settled at the handovers; a transfer to oneself changes nothing."""
        _, start, end = make_license(earnedAtReleaseBps=0)
        stream = Stream(1_000_003, start, end, start)
        moves = [
            (start + 5 * DAY, owner, stranger),
            (start + 6 * DAY, stranger, stranger),
            (start + 20 * DAY, stranger, auditor),
        ]
        for time, giver, taker in moves:
            at(time)
            market.assets.transferFrom(giver, taker, asset, sender=giver)
        at(end + 2 * DAY)
        market.settle(asset, sender=deployer)
        shares = [stream.counted(time) >> FRACTION_BITS for time, _, _ in moves]
        payments = market.payments
        assert payments.claimable(market.token, owner) == shares[0]
        assert payments.claimable(market.token, stranger) == shares[2] - shares[0]
        assert payments.claimable(market.token, auditor) == 1_000_003 - shares[2]

    def test_goes_on_where_it_stopped(self, market, licenses, make_license, asset, owner, stranger, at):
        """A day at a time, across a handover: nothing is paid on the way, and in the end all to whom it belongs."""
        _, start, end = make_license(earnedAtReleaseBps=0)
        at(start + 3 * DAY)
        market.assets.transferFrom(owner, stranger, asset, sender=owner)
        at(end + 2 * DAY)
        rounds = 0
        while True:
            rounds += 1
            amount, is_done = licenses.settle(asset, market.token, 1, sender=owner).return_value
            if is_done:
                break
            assert amount == 0
        assert rounds > 30
        first = Stream(1_000_003, start, end, start).counted(start + 3 * DAY) >> FRACTION_BITS
        assert market.payments.claimable(market.token, owner) == first
        assert market.payments.claimable(market.token, stranger) == 1_000_003 - first

    def test_many_handovers_are_settled_in_steps(
        self, market, licenses, make_license, release, asset, owner, deployer, project, licensee, at
    ):
        """Sixteen at a time; until then what needs the book says so, and anyone can go on."""
        license_id, _, _ = make_license()
        caller = deployer.deploy(project.Caller)
        market.assets.transferFrom(owner, caller, asset, sender=owner)
        market.assets.setApprovalForAll(caller, True, sender=owner)
        pair = [(caller, owner), (owner, caller)]
        moves = [market.assets.transferFrom.encode_input(giver, taker, asset) for giver, taker in pair * 20]
        caller.runMany([market.assets] * 40, moves, sender=deployer)
        with reverts_with(licenses.NotSettled, assetId=asset, token=market.token):
            release(license_id)
        assert not licenses.settle(asset, market.token, 400, sender=licensee).return_value[1]
        with reverts_with(licenses.NotSettled, assetId=asset, token=market.token):
            release(license_id)
        licenses.settle(asset, market.token, 400, sender=licensee)
        release(license_id)

    def test_a_handover_before_the_first_sale_costs_nothing(self, market, licenses, asset, owner, stranger, licensee):
        """A book without money belongs to whoever comes."""
        for giver, taker in ((owner, stranger), (stranger, owner)) * 10:
            market.assets.transferFrom(giver, taker, asset, sender=giver)
        market.buy(market.offer(owner, asset), licensee)
        assert market.book(asset) == 1_000_003

    def test_earns_nothing_for_a_release_that_never_came(self, market, licenses, make_license, asset, owner, at):
        """Only the linear part is earned by time."""
        _, _, end = make_license(earnedAtReleaseBps=10_000)
        at(end + 2 * DAY)
        assert market.settle(asset, sender=owner) == 0

    def test_takes_the_largest_amounts(self, market, licenses, make_license, asset, owner, at):
        """The highest price over the longest duration overflows nowhere."""
        price = 2**96 - 1
        _, start, _ = make_license(price=price, duration=MAX_DURATION, earnedAtReleaseBps=1)
        at(start + 300 * DAY)
        stream = Stream(price - price // 10_000, start, start + MAX_DURATION, start)
        assert market.settle(asset, sender=owner) == stream.counted(start + 300 * DAY) >> FRACTION_BITS

    def test_is_a_source_of_claims(self, market, licenses, make_license, release, asset, owner):
        """One transaction settles and pays out."""
        license_id, _, _ = make_license(earnedAtReleaseBps=10_000)
        release(license_id)
        what = encode(["uint256", "address"], [asset, market.token.address])
        market.payments.claimFrom([licenses], [what], [market.token], sender=owner, gas=3_000_000)
        assert market.token.balanceOf(owner) == 1_000_003


class TestRevoke:
    def test_refuses_who_does_not_own_the_asset(self, market, licenses, make_license, asset, owner, licensee):
        """A licensee can't hand a license back either: that is the owner's to grant."""
        license_id, _, _ = make_license()
        with reverts_with(licenses.NotAssetOwner, assetId=asset, caller=licensee, owner=owner):
            licenses.revoke(license_id, CAUSE, EVIDENCE, sender=licensee)

    def test_refuses_a_former_owner(self, market, licenses, make_license, asset, owner, stranger):
        """Licenses bind, and belong to, whoever owns the asset."""
        license_id, _, _ = make_license()
        market.assets.transferFrom(owner, stranger, asset, sender=owner)
        with reverts_with(licenses.NotAssetOwner, assetId=asset, caller=owner, owner=stranger):
            licenses.revoke(license_id, CAUSE, EVIDENCE, sender=owner)
        licenses.revoke(license_id, CAUSE, EVIDENCE, sender=stranger)

    def test_refuses_a_second_time(self, licenses, make_license, owner):
        """Nothing is refunded twice."""
        license_id, _, _ = make_license()
        licenses.revoke(license_id, CAUSE, EVIDENCE, sender=owner)
        with reverts_with(licenses.AlreadyRevoked, licenseId=license_id):
            licenses.revoke(license_id, CAUSE, EVIDENCE, sender=owner)

    def test_refuses_from_the_end_on(self, licenses, make_license, owner, at):
        """There is nothing left to end."""
        license_id, _, end = make_license()
        at(end)
        with reverts_with(licenses.LicenseNotActive, licenseId=license_id):
            licenses.revoke(license_id, CAUSE, EVIDENCE, sender=owner)

    @pytest.mark.parametrize(("released", "refund"), [(False, 250_000 + 500_002), (True, 500_002)])
    def test_returns_what_is_not_earned(
        self, market, licenses, make_license, release, asset, owner, licensee, at, released, refund
    ):
        """After ten of thirty days: two thirds of the linear part, and the part for the release if there was none."""
        license_id, start, end = make_license()
        if released:
            release(license_id)
        at(start + 10 * DAY)
        receipt = licenses.revoke(license_id, CAUSE, EVIDENCE, sender=owner)

        assert receipt.return_value == refund
        assert receipt.events.filter(licenses.LicenseRevoked) == [
            licenses.LicenseRevoked(license_id, CAUSE, EVIDENCE, refund)
        ]
        assert market.payments.claimable(market.token, licensee) == refund
        record = licenses.license(license_id)
        assert (record.revokedAt, record.refunded, record.end) == (start + 10 * DAY, refund, end)

        market.settle(asset, sender=owner)
        assert market.payments.claimable(market.token, owner) == 1_000_003 - refund == licenses.earned(license_id)
        assert market.book(asset) == 0
        at(end + DAY)
        with reverts_with(licenses.NothingToRefund, licenseId=license_id):
            licenses.refundUnreleased(license_id, sender=licensee)

    def test_takes_back_nothing_that_was_settled(self, market, licenses, make_license, asset, owner, licensee, at):
        """The refund comes out of the book alone."""
        license_id, start, _ = make_license(earnedAtReleaseBps=0)
        at(start + 10 * DAY)
        paid = market.settle(asset, sender=owner)
        at(start + 20 * DAY)
        refund = licenses.revoke(license_id, CAUSE, EVIDENCE, sender=owner).return_value
        assert paid == 333_334
        assert refund == 1_000_003 - 666_669
        assert market.book(asset) == 1_000_003 - paid - refund == market.settle(asset, sender=owner)


class TestRefundUnreleased:
    def test_refuses_before_the_end(self, licenses, make_license, licensee, at):
        """A key can still come, to the last second."""
        license_id, _, end = make_license()
        at(end - 1)
        with reverts_with(licenses.NothingToRefund, licenseId=license_id):
            licenses.refundUnreleased(license_id, sender=licensee)

    def test_refuses_after_a_release(self, licenses, make_license, release, licensee, at):
        """It was earned."""
        license_id, _, end = make_license()
        release(license_id)
        at(end)
        with reverts_with(licenses.NothingToRefund, licenseId=license_id):
            licenses.refundUnreleased(license_id, sender=licensee)

    def test_refuses_where_nothing_was_for_the_release(self, licenses, make_license, licensee, at):
        license_id, _, end = make_license(earnedAtReleaseBps=0)
        at(end)
        with reverts_with(licenses.NothingToRefund, licenseId=license_id):
            licenses.refundUnreleased(license_id, sender=licensee)

    def test_returns_the_part_for_the_release_once(
        self, market, licenses, make_license, asset, owner, licensee, stranger, at
    ):
        """At the end, whoever asks; the linear part stays the owner's."""
        license_id, _, end = make_license()
        at(end)
        receipt = licenses.refundUnreleased(license_id, sender=stranger)
        assert receipt.return_value == 250_000
        assert receipt.events.filter(licenses.LicenseRefunded) == [licenses.LicenseRefunded(license_id, 250_000)]
        assert market.payments.claimable(market.token, licensee) == 250_000
        with reverts_with(licenses.NothingToRefund, licenseId=license_id):
            licenses.refundUnreleased(license_id, sender=stranger)
        at(end + 2 * DAY)
        assert market.settle(asset, sender=stranger) == market.payments.claimable(market.token, owner) == 750_003
        assert market.book(asset) == 0


class TestIsLicensed:
    def test_only_the_licensee_only_the_asset_only_the_purpose(
        self, market, licenses, make_license, asset, owner, licensee, stranger
    ):
        """Not even the asset's owner is its licensee."""
        make_license(purposes=TRAIN | EVALUATE)
        other = market.mint(owner)
        for purpose in (TRAIN, EVALUATE, TRAIN | EVALUATE):
            assert licenses.isLicensed(licensee, asset, purpose)
        for purpose in (0, INFER, TRAIN | INFER, 64, TRAIN | 64):
            assert not licenses.isLicensed(licensee, asset, purpose)
        for who, what in ((owner, asset), (stranger, asset), (licensee, other), (licensee, 0)):
            assert not licenses.isLicensed(who, what, TRAIN)

    def test_two_licenses_do_not_add_up(self, licenses, make_license, asset, licensee):
        """To train for study and to serve for money is not to train for money."""
        make_license(purposes=TRAIN)
        make_license(purposes=INFER | COMMERCIAL)
        assert licenses.isLicensed(licensee, asset, TRAIN)
        assert licenses.isLicensed(licensee, asset, COMMERCIAL)
        assert not licenses.isLicensed(licensee, asset, TRAIN | COMMERCIAL)
        assert not licenses.isLicensed(licensee, asset, TRAIN | INFER)

    def test_of_many_licenses_with_several_sets_of_purposes(
        self, licenses, make_license, asset, owner, licensee, stranger, at
    ):
        """Bought in turns, each longer or shorter than the one before, some revoked: any question, at any time."""
        sets, held = [INFER, TRAIN | EVALUATE, INFER | COMMERCIAL], []
        for turn in range(12):
            number, start, end = make_license(purposes=sets[turn % 3], duration=(3 + turn * 5 % 7) * DAY)
            held.append([sets[turn % 3], start, end, number])
            at(start + DAY)
        for entry in held[9::2]:
            licenses.revoke(entry[3], CAUSE, EVIDENCE, sender=owner)
            entry[2] = licenses.license(entry[3]).revokedAt
        times = sorted({edge + step for _, start, end, _ in held for edge in (start, end) for step in (-1, 0)})
        asked = [INFER, TRAIN, COMMERCIAL, TRAIN | EVALUATE, INFER | COMMERCIAL, TRAIN | INFER]
        queries = [(licensee, asset, purpose, time) for purpose in asked for time in times]
        expected = [
            any(purposes & purpose == purpose and start <= time < end for purposes, start, end, _ in held)
            for _, _, purpose, time in queries
        ]
        assert licenses.areLicensed(queries) == expected
        assert not any(licenses.areLicensed([(stranger, *query[1:]) for query in queries]))

    def test_from_the_sale_until_before_the_end(self, licenses, make_license, asset, licensee, chain, at):
        """Asked for any time, and of one license."""
        license_id, start, end = make_license()
        for time, answer in ((start - 1, False), (start, True), (end - 1, True), (end, False), (2**64 - 1, False)):
            assert licenses.isLicensedAt(licensee, asset, TRAIN, time) is answer
            assert licenses.isActiveAt(license_id, TRAIN, time) is answer
        assert not licenses.isActiveAt(license_id, TRAIN | INFER, start)
        assert not licenses.isActiveAt(license_id, 0, start)
        at(end)
        chain.mine()
        assert not licenses.isLicensed(licensee, asset, TRAIN)

    def test_a_revocation_ends_it_now_and_changes_no_past(self, licenses, make_license, asset, owner, licensee, at):
        """Whoever asks about the time before gets the answer that held then."""
        license_id, start, end = make_license()
        at(start + 100)
        licenses.revoke(license_id, CAUSE, EVIDENCE, sender=owner)
        for time, answer in ((start, True), (start + 99, True), (start + 100, False), (end - 1, False)):
            assert licenses.isLicensedAt(licensee, asset, TRAIN, time) is answer
            assert licenses.isActiveAt(license_id, TRAIN, time) is answer
        assert not licenses.isLicensed(licensee, asset, TRAIN)

    def test_a_revocation_leaves_the_licensees_other_licenses(self, licenses, make_license, asset, owner, licensee, at):
        """The longer of two is revoked: the shorter still holds until its own end, and then nothing does."""
        _, _, short_end = make_license(duration=10 * DAY)
        long, _, long_end = make_license(duration=90 * DAY)
        licenses.revoke(long, CAUSE, EVIDENCE, sender=owner)
        for time, answer in ((short_end - 1, True), (short_end, False), (long_end - 1, False)):
            assert licenses.isLicensedAt(licensee, asset, TRAIN, time) is answer

    def test_a_gap_between_two_licenses_stays_a_gap(self, licenses, make_license, asset, licensee, at):
        """Bought again after the end: the days between were not licensed."""
        _, _, end = make_license(duration=DAY)
        at(end + 50)
        _, start, _ = make_license(duration=DAY)
        for time, answer in ((end - 1, True), (end, False), (start - 1, False), (start, True)):
            assert licenses.isLicensedAt(licensee, asset, TRAIN, time) is answer

    def test_binds_who_buys_the_asset(self, market, licenses, make_license, asset, owner, licensee, stranger):
        """A sale of the asset ends no license."""
        make_license()
        market.assets.transferFrom(owner, stranger, asset, sender=owner)
        assert licenses.isLicensed(licensee, asset, TRAIN)

    def test_costs_no_more_when_others_buy(self, market, licenses, asset, owner, licensee, stranger, project, deployer):
        """A hundred sales to others, and of other assets, leave what a question reads unchanged."""
        offer = market.offer(owner, asset, price=0)
        market.buy(offer, licensee)
        before = licenses.isLicensed.estimate_gas_cost(licensee, asset, TRAIN, sender=stranger)
        caller = deployer.deploy(project.Caller)
        digest = terms_hash(licenses.offer(offer)[0])
        data = licenses.buy.encode_input(offer, digest, 0)
        caller.runMany([licenses] * 100, [data] * 100, sender=stranger)
        assert licenses.isLicensed.estimate_gas_cost(licensee, asset, TRAIN, sender=stranger) == before

    def test_stays_cheap_for_who_buys_a_thousand_times(
        self, market, licenses, asset, owner, deployer, project, stranger
    ):
        """And revoking any of them as well: nobody can buy its way out of being revoked."""
        offer = market.offer(owner, asset, price=0)
        caller = deployer.deploy(project.Caller)
        digest = terms_hash(licenses.offer(offer)[0])
        data = licenses.buy.encode_input(offer, digest, 0)
        caller.runMany([licenses], [data], sender=stranger)
        first = licenses.isLicensed.estimate_gas_cost(caller, asset, TRAIN, sender=stranger)
        for _ in range(10):
            caller.runMany([licenses] * 100, [data] * 100, sender=stranger)
        assert licenses.balanceOf(caller) == 1001
        assert licenses.isLicensed.estimate_gas_cost(caller, asset, TRAIN, sender=stranger) < first + 20_000
        for license_id in (1, 500, 1001):
            assert licenses.revoke(license_id, CAUSE, EVIDENCE, sender=owner).gas_used < 200_000
        assert licenses.isLicensed(caller, asset, TRAIN)
