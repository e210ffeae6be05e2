"""Assets, licenses and the test token against the standards' own words.

ERC-165, 721, 1271, 2612, 2981, 4494, 4906, 5192, 5267, 7572.

Interface numbers and EIP-712 hashes are made here from the signatures in the standards, not taken from the contracts.
"""

from __future__ import annotations

import json
from functools import reduce

import pytest
from ape.exceptions import TransactionError
from eth_abi import encode
from eth_account import Account
from eth_utils import keccak

from tests.contracts.licensing import NO_PERMIT, make_market
from tests.contracts.reverts import reverts_with

ZERO = "0x" + "00" * 20
FAR = 2**40
HALF_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141 // 2
ORDER = 2 * HALF_ORDER + 1

ERC165 = ("supportsInterface(bytes4)",)
ERC721 = (
    *("balanceOf(address)", "ownerOf(uint256)", "approve(address,uint256)", "getApproved(uint256)"),
    *("setApprovalForAll(address,bool)", "isApprovedForAll(address,address)"),
    *("transferFrom(address,address,uint256)", "safeTransferFrom(address,address,uint256)"),
    "safeTransferFrom(address,address,uint256,bytes)",
)
ERC721_METADATA = ("name()", "symbol()", "tokenURI(uint256)")
ERC2981 = ("royaltyInfo(uint256,uint256)",)
ERC4494 = ("permit(address,uint256,uint256,bytes)", "nonces(uint256)", "DOMAIN_SEPARATOR()")
ERC5192 = ("locked(uint256)",)
#: ERC-4906 has events only, and names its number.
ERC4906 = "0x49064906"
RIGHT, WRONG, DIRTY, SHORT, REVERT = range(5)


def number(functions) -> str:
    """Return an interface's number: all selectors, XORed (ERC-165)."""
    value = reduce(lambda one, two: one ^ two, (int.from_bytes(keccak(text=item)[:4], "big") for item in functions))
    return f"0x{value:08x}"


def domain_separator(name: str, contract, chain_id: int) -> bytes:
    """Return EIP-712's domain separator of (name, version 1, chain, contract)."""
    kind = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    values = [kind, keccak(text=name), keccak(text="1"), chain_id, contract.address]
    return keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], values))


@pytest.fixture(scope="module")
def market(project, deployer, owner, licensee, stranger, auditor):
    return make_market(project, deployer)


@pytest.fixture(scope="module")
def receiver(project, deployer):
    return deployer.deploy(project.ReceiverDouble)


@pytest.fixture(params=["assets", "licenses"])
def token(request, market, owner, licensee):
    """Return an ERC-721 of which `owner` has the tokens 1 and 2."""
    market.mint(owner)
    market.mint(owner)
    if request.param == "assets":
        return market.assets
    offer = market.offer(owner, 1, transferable=True)
    market.buy(offer, owner)
    market.buy(offer, owner)
    return market.licenses


class TestErc165:
    @pytest.mark.parametrize(
        ("contract", "functions"),
        [
            *(("assets", item) for item in (ERC165, ERC721, ERC721_METADATA, ERC2981, ERC4494)),
            *(("licenses", item) for item in (ERC165, ERC721, ERC721_METADATA, ERC5192)),
        ],
        ids=lambda item: item if isinstance(item, str) else number(item),
    )
    def test_names_what_it_has(self, market, contract, functions):
        """And has each of the functions: their selectors stand in its interface."""
        contract = getattr(market, contract)
        assert contract.supportsInterface(number(functions))
        have = {item.selector for item in contract.contract_type.methods}
        assert set(functions) <= have

    def test_numbers_are_those_of_the_standards(self):
        told = [number(item) for item in (ERC165, ERC721, ERC721_METADATA, ERC2981, ERC4494, ERC5192)]
        assert told == ["0x01ffc9a7", "0x80ac58cd", "0x5b5e139f", "0x2a55205a", "0x5604e225", "0xb45a3c0e"]

    @pytest.mark.parametrize("contract", ["assets", "licenses"])
    def test_denies_the_rest(self, market, contract):
        """0xffffffff above all; no enumeration; and no license is permitted, or pays royalties."""
        contract = getattr(market, contract)
        wrong = ["0xffffffff", "0x780e9d63", "0x00000000"]
        if contract == market.licenses:
            wrong += [number(ERC2981), number(ERC4494), ERC4906]
        else:
            wrong += [number(ERC5192)]
            assert contract.supportsInterface(ERC4906)
        for item in wrong:
            assert contract.supportsInterface(item) is False

    @pytest.mark.parametrize("contract", ["assets", "licenses"])
    def test_takes_less_than_30000_gas(self, market, contract, owner):
        """Asked by somebody who could pay: who is nobody has what blocks brought to address zero, and no more."""
        contract = getattr(market, contract)
        assert contract.supportsInterface.estimate_gas_cost("0xffffffff", sender=owner) - 21_000 < 30_000


class TestErc721:
    def test_zero_holds_nothing_and_may_not_be_asked(self, token):
        """Counting what address zero has throws."""
        with reverts_with(token.ERC721InvalidOwner, owner=ZERO):
            token.balanceOf(ZERO)

    def test_counts_and_names_holders(self, token, owner, stranger):
        assert (token.balanceOf(owner), token.balanceOf(stranger)) == (2, 0)
        assert token.ownerOf(1) == token.ownerOf(2) == owner
        token.transferFrom(owner, stranger, 1, sender=owner)
        assert (token.balanceOf(owner), token.balanceOf(stranger)) == (1, 1)
        assert (token.ownerOf(1), token.ownerOf(2)) == (stranger, owner)
        token.transferFrom(owner, owner, 2, sender=owner)
        assert (token.balanceOf(owner), token.ownerOf(2)) == (1, owner)

    def test_throws_for_what_is_no_token(self, token, owner, stranger):
        """Every question and every act."""
        acts = [
            lambda: token.ownerOf(3),
            lambda: token.getApproved(3),
            lambda: token.tokenURI(3),
            lambda: token.approve(stranger, 3, sender=owner),
            lambda: token.transferFrom(owner, stranger, 3, sender=owner),
            lambda: token.ownerOf(0),
        ]
        for act in acts:
            with pytest.raises(TransactionError):
                act()

    def test_transfers_are_for_owner_operator_and_approved_only(self, token, owner, stranger, auditor, licensee):
        """A stranger moves nothing; somebody approved for one token not the other; nobody from somebody else."""
        with reverts_with(token.ERC721InsufficientApproval, operator=stranger, tokenId=1):
            token.transferFrom(owner, stranger, 1, sender=stranger)
        token.approve(stranger, 1, sender=owner)
        with reverts_with(token.ERC721InsufficientApproval, operator=stranger, tokenId=2):
            token.transferFrom(owner, stranger, 2, sender=stranger)
        with reverts_with(token.ERC721IncorrectOwner, sender=auditor, tokenId=1, owner=owner):
            token.transferFrom(auditor, stranger, 1, sender=stranger)
        with reverts_with(token.ERC721InvalidReceiver, receiver=ZERO):
            token.transferFrom(owner, ZERO, 1, sender=owner)
        receipt = token.transferFrom(owner, auditor, 1, sender=stranger)
        assert receipt.events.filter(token.Transfer) == [token.Transfer(owner, auditor, 1)]
        # the approval went with the token
        assert token.getApproved(1) == ZERO
        with reverts_with(token.ERC721InsufficientApproval, operator=stranger, tokenId=1):
            token.transferFrom(auditor, owner, 1, sender=stranger)

    def test_approves_one_at_a_time(self, token, owner, stranger, auditor):
        """By owner or operator, said by an event; zero takes it back."""
        with reverts_with(token.ERC721InvalidApprover, approver=stranger):
            token.approve(stranger, 1, sender=stranger)
        receipt = token.approve(stranger, 1, sender=owner)
        assert receipt.events.filter(token.Approval) == [token.Approval(owner, stranger, 1)]
        assert (token.getApproved(1), token.getApproved(2)) == (stranger, ZERO)
        with reverts_with(token.ERC721InvalidApprover, approver=stranger):
            token.approve(auditor, 1, sender=stranger)
        token.approve(ZERO, 1, sender=owner)
        assert token.getApproved(1) == ZERO

    def test_operators_are_any_number(self, token, owner, stranger, auditor):
        """Each moves and approves all of the owner's, until it is told otherwise."""
        for operator in (stranger, auditor):
            receipt = token.setApprovalForAll(operator, True, sender=owner)
            assert receipt.events.filter(token.ApprovalForAll) == [token.ApprovalForAll(owner, operator, True)]
            assert token.isApprovedForAll(owner, operator)
        token.approve(stranger, 2, sender=auditor)
        token.transferFrom(owner, auditor, 1, sender=stranger)
        token.setApprovalForAll(stranger, False, sender=owner)
        assert not token.isApprovedForAll(owner, stranger)
        assert token.isApprovedForAll(owner, auditor)
        assert not token.isApprovedForAll(auditor, stranger)

    def test_safe_transfers_ask_contracts(self, token, receiver, owner, stranger, deployer):
        """With operator, giver, number and data; anything but the right word back reverts all."""
        receiver.setMood(RIGHT, sender=deployer)
        token.approve(stranger, 1, sender=owner)
        token.safeTransferFrom(owner, receiver, 1, b"hello", sender=stranger)
        values = [stranger.address, owner.address, 1, b"hello"]
        selector = keccak(text="onERC721Received(address,address,uint256,bytes)")[:4]
        assert bytes(receiver.seen()) == selector + encode(["address", "address", "uint256", "bytes"], values)
        assert token.ownerOf(1) == receiver
        for mood in (WRONG, SHORT, REVERT):
            receiver.setMood(mood, sender=deployer)
            with pytest.raises(TransactionError):
                token.safeTransferFrom(owner, receiver, 2, sender=owner)
            assert token.ownerOf(2) == owner
        token.safeTransferFrom(owner, stranger, 2, sender=owner)
        assert token.ownerOf(2) == stranger

    def test_has_name_symbol_and_a_page_for_each_token(self, token):
        assert token.name()
        assert token.symbol()
        assert token.tokenURI(1) == "ipfs://description"

    def test_every_token_began_with_a_transfer_from_zero(self, market, owner, licensee):
        asset = market.mint(owner)
        events = [event for event in market.assets.Transfer.range(0, 2**31) if event.tokenId == asset]
        assert [(event["from"], event.to) for event in events] == [(ZERO, owner)]
        license_id = market.buy(market.offer(owner, asset), licensee)
        events = [event for event in market.licenses.Transfer.range(0, 2**31) if event.tokenId == license_id]
        assert [(event["from"], event.to) for event in events] == [(ZERO, licensee)]


class TestErc2981:
    def test_asks_nothing_unless_it_was_set(self, market, owner):
        asset = market.mint(owner)
        assert tuple(market.assets.royaltyInfo(asset, 10**18)) == (ZERO, 0)

    @pytest.mark.parametrize("bps", [1, 250, 1_000])
    @pytest.mark.parametrize("price", [0, 1, 9_999, 10_000, 10**27 + 7])
    def test_is_a_share_of_the_price_rounded_down(self, market, owner, licensee, bps, price):
        """In the unit of the price, whatever that is, and less than one unit from the rational share."""
        asset = market.mint(owner)
        market.assets.setRoyalty(asset, licensee, bps, sender=owner)
        receiver, amount = market.assets.royaltyInfo(asset, price)
        assert (receiver, amount) == (licensee, price * bps // 10_000)

    def test_throws_for_what_is_no_token(self, market):
        with reverts_with(market.assets.AssetUnknown, assetId=99):
            market.assets.royaltyInfo(99, 1)


class TestErc4494:
    @pytest.fixture
    def asset(self, market, owner):
        return market.mint(owner)

    @pytest.fixture
    def sign(self, market, chain):
        """Return what signs a permit as a wallet would."""

        def _sign(signer, spender, asset, *, nonce=0, deadline=FAR):
            return Account.sign_typed_data(
                signer.private_key,
                domain_data={
                    "name": "Qanat Assets",
                    "version": "1",
                    "chainId": chain.chain_id,
                    "verifyingContract": market.assets.address,
                },
                message_types={
                    "Permit": [
                        {"name": name, "type": kind}
                        for name, kind in (
                            *(("spender", "address"), ("tokenId", "uint256")),
                            *(("nonce", "uint256"), ("deadline", "uint256")),
                        )
                    ]
                },
                message_data={"spender": spender.address, "tokenId": asset, "nonce": nonce, "deadline": deadline},
            )

        return _sign

    def test_domain_is_that_of_eip712(self, market, chain):
        """And ERC-5267 says the same in parts."""
        expected = domain_separator("Qanat Assets", market.assets, chain.chain_id)
        assert bytes(market.assets.DOMAIN_SEPARATOR()) == expected
        fields, name, version, chain_id, contract, salt, extensions = market.assets.eip712Domain()
        assert (bytes(fields), name, version, chain_id) == (b"\x0f", "Qanat Assets", "1", chain.chain_id)
        assert (contract, bytes(salt), list(extensions)) == (market.assets, bytes(32), [])

    @pytest.mark.parametrize("short", [False, True], ids=["65 bytes", "EIP-2098"])
    def test_approves_by_signature(self, market, asset, sign, owner, stranger, auditor, short):
        """Whoever brings it; the spender may then move the token, once."""
        signed = sign(owner, stranger, asset)
        signature = bytes(signed.signature)
        if short:
            high = (signed.v - 27) << 255 | signed.s
            signature = signed.r.to_bytes(32, "big") + high.to_bytes(32, "big")
        receipt = market.assets.permit(stranger, asset, FAR, signature, sender=auditor)
        assert receipt.events.filter(market.assets.Approval) == [market.assets.Approval(owner, stranger, asset)]
        assert market.assets.getApproved(asset) == stranger
        assert market.assets.nonces(asset) == 1
        market.assets.transferFrom(owner, stranger, asset, sender=stranger)
        assert market.assets.nonces(asset) == 2

    def test_works_once(self, market, asset, sign, owner, stranger, auditor):
        """Also after the approval was taken back, and after a transfer, to oneself too."""
        signature = bytes(sign(owner, stranger, asset).signature)
        market.assets.permit(stranger, asset, FAR, signature, sender=auditor)
        market.assets.approve(ZERO, asset, sender=owner)
        with reverts_with(market.assets.PermitInvalid, assetId=asset, owner=owner):
            market.assets.permit(stranger, asset, FAR, signature, sender=stranger)
        signature = bytes(sign(owner, stranger, asset, nonce=1).signature)
        market.assets.transferFrom(owner, owner, asset, sender=owner)
        with reverts_with(market.assets.PermitInvalid, assetId=asset, owner=owner):
            market.assets.permit(stranger, asset, FAR, signature, sender=stranger)
        signature = bytes(sign(owner, stranger, asset, nonce=2).signature)
        market.assets.transferFrom(owner, auditor, asset, sender=owner)
        market.assets.transferFrom(auditor, owner, asset, sender=auditor)
        assert market.assets.nonces(asset) == 4
        with reverts_with(market.assets.PermitInvalid, assetId=asset, owner=owner):
            market.assets.permit(stranger, asset, FAR, signature, sender=stranger)

    def test_refuses_what_its_owner_did_not_sign(self, market, asset, sign, owner, stranger, auditor):
        """Another's signature, for another spender, token, nonce or deadline; malformed; its mirror image."""
        other = market.mint(owner)
        good = sign(owner, stranger, asset)
        mirrored = good.r.to_bytes(32, "big") + (ORDER - good.s).to_bytes(32, "big") + bytes([55 - good.v])
        assert good.s <= HALF_ORDER
        bad = [
            *(bytes(sign(signer, stranger, asset).signature) for signer in (stranger, auditor)),
            bytes(sign(owner, auditor, asset).signature),
            bytes(sign(owner, stranger, other).signature),
            bytes(sign(owner, stranger, asset, nonce=1).signature),
            bytes(sign(owner, stranger, asset, deadline=FAR - 1).signature),
            *(b"", bytes(65), bytes(64), bytes(good.signature)[:-1], bytes(good.signature) + b"\0", mirrored),
        ]
        for signature in bad:
            with reverts_with(market.assets.PermitInvalid, assetId=asset, owner=owner):
                market.assets.permit(stranger, asset, FAR, signature, sender=stranger)
        market.assets.permit(stranger, asset, FAR, bytes(good.signature), sender=stranger)

    def test_ends_with_its_deadline(self, market, asset, sign, owner, stranger, chain):
        deadline = chain.pending_timestamp + 100
        signature = bytes(sign(owner, stranger, asset, deadline=deadline).signature)
        with chain.isolate():
            chain.provider.set_timestamp(deadline)
            market.assets.permit(stranger, asset, deadline, signature, sender=stranger)
        chain.provider.set_timestamp(deadline + 1)
        with reverts_with(market.assets.PermitExpired, deadline=deadline):
            market.assets.permit(stranger, asset, deadline, signature, sender=stranger)

    def test_throws_for_what_is_no_token(self, market, stranger):
        with reverts_with(market.assets.AssetUnknown, assetId=99):
            market.assets.permit(stranger, 99, FAR, b"", sender=stranger)
        with reverts_with(market.assets.AssetUnknown, assetId=99):
            market.assets.nonces(99)


class TestErc1271:
    """A contract signs what it says it signed: with the right word in a whole word, and nothing else."""

    @pytest.mark.parametrize("mood", [WRONG, DIRTY, SHORT, REVERT])
    def test_only_the_right_word_permits(self, market, receiver, owner, stranger, deployer, mood):
        asset = market.mint(owner)
        market.assets.transferFrom(owner, receiver, asset, sender=owner)
        receiver.setMood(mood, sender=deployer)
        with reverts_with(market.assets.PermitInvalid, assetId=asset, owner=receiver):
            market.assets.permit(stranger, asset, FAR, b"any", sender=stranger)
        receiver.setMood(RIGHT, sender=deployer)
        # of 64 bytes too: a contract's signatures are its own business
        market.assets.permit(stranger, asset, FAR, bytes(64), sender=stranger)
        assert market.assets.getApproved(asset) == stranger

    @pytest.mark.parametrize("mood", [WRONG, DIRTY, SHORT, REVERT])
    def test_only_the_right_word_sells(self, market, receiver, owner, licensee, deployer, mood):
        asset = market.mint(owner)
        market.assets.transferFrom(owner, receiver, asset, sender=owner)
        signed = {"terms": market.terms(asset, price=0), "handovers": 1, "salt": 1, "validUntil": FAR}
        receiver.setMood(mood, sender=deployer)
        with reverts_with(market.licenses.OfferSignatureInvalid, owner=receiver):
            market.licenses.buySigned(signed, b"any", 0, 0, NO_PERMIT, sender=licensee)
        receiver.setMood(RIGHT, sender=deployer)
        market.licenses.buySigned(signed, b"any", 0, 0, NO_PERMIT, sender=licensee)

    @pytest.mark.parametrize("mood", [WRONG, DIRTY, SHORT, REVERT])
    def test_only_the_right_word_asks_for_a_key(self, market, receiver, owner, operator, deployer, mood):
        asset = market.mint(owner)
        market.operators.put(operator, operator, sender=deployer)
        offer = market.offer(owner, asset, price=0, transferable=True)
        license_id = market.buy(offer, owner)
        market.licenses.transferFrom(owner, receiver, license_id, sender=owner)
        receiver.setMood(mood, sender=deployer)
        with reverts_with(market.licenses.RequestInvalid, licenseId=license_id, signer=receiver):
            market.licenses.recordRelease(license_id, operator, bytes(32), FAR, b"any", sender=operator)
        receiver.setMood(RIGHT, sender=deployer)
        market.licenses.recordRelease(license_id, operator, bytes(32), FAR, b"any", sender=operator)


class TestErc2612:
    """The token that local and test networks pay with, and so the form in which `buyWith` brings a permit."""

    @pytest.fixture
    def paid(self, project, deployer):
        return deployer.deploy(project.PermitToken)

    def digest(self, token, chain, owner, spender, value, nonce, deadline):
        """Return what is signed, from the standard's text."""
        kind = keccak(text="Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")
        types = ["bytes32", "address", "address", "uint256", "uint256", "uint256"]
        values = [kind, owner.address, spender.address, value, nonce, deadline]
        return keccak(b"\x19\x01" + domain_separator("Permit", token, chain.chain_id) + keccak(encode(types, values)))

    def sign(self, signer, digest):
        signed = Account.unsafe_sign_hash(digest, signer.private_key)
        return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")

    def test_sets_the_allowance_and_counts(self, paid, chain, owner, stranger, auditor):
        assert bytes(paid.DOMAIN_SEPARATOR()) == domain_separator("Permit", paid, chain.chain_id)
        assert paid.nonces(owner) == 0
        digest = self.digest(paid, chain, owner, stranger, 77, 0, FAR)
        receipt = paid.permit(owner, stranger, 77, FAR, *self.sign(owner, digest), sender=auditor)
        assert receipt.events.filter(paid.Approval) == [paid.Approval(owner, stranger, 77)]
        assert (paid.allowance(owner, stranger), paid.nonces(owner)) == (77, 1)
        with reverts_with(paid.ERC2612InvalidSigner):
            paid.permit(owner, stranger, 77, FAR, *self.sign(owner, digest), sender=auditor)

    def test_refuses_late_foreign_and_zero(self, paid, chain, owner, stranger):
        past = chain.pending_timestamp - 1_000
        digest = self.digest(paid, chain, owner, stranger, 77, 0, past)
        with reverts_with(paid.ERC2612ExpiredSignature, deadline=past):
            paid.permit(owner, stranger, 77, past, *self.sign(owner, digest), sender=stranger)
        digest = self.digest(paid, chain, owner, stranger, 77, 0, FAR)
        with reverts_with(paid.ERC2612InvalidSigner, signer=stranger, owner=owner):
            paid.permit(owner, stranger, 77, FAR, *self.sign(stranger, digest), sender=stranger)
        with pytest.raises(TransactionError):
            paid.permit(ZERO, stranger, 77, FAR, 27, bytes(32), bytes(32), sender=stranger)
        assert (paid.allowance(owner, stranger), paid.nonces(owner)) == (0, 0)


class TestErc5192:
    def test_a_bound_license_says_so_and_stays(self, market, owner, licensee, stranger):
        """Locked from its first event on; every way of moving it throws. One that may be passed on is unlocked."""
        asset = market.mint(owner)
        bound = market.buy(market.offer(owner, asset), licensee)
        free = market.buy(market.offer(owner, asset, transferable=True), licensee)
        licenses = market.licenses
        assert (licenses.locked(bound), licenses.locked(free)) == (True, False)
        for move in (
            lambda: licenses.transferFrom(licensee, stranger, bound, sender=licensee),
            lambda: licenses.safeTransferFrom(licensee, stranger, bound, sender=licensee),
            lambda: licenses.approve(stranger, bound, sender=licensee),
        ):
            with reverts_with(licenses.NotTransferable, licenseId=bound):
                move()
        with reverts_with(licenses.LicenseUnknown, licenseId=99):
            licenses.locked(99)


class TestErc7572:
    def test_tells_of_the_contract(self, market):
        """JSON with at least a name, in the URI itself: it needs no server."""
        head, _, body = market.assets.contractURI().partition(",")
        assert head == "data:application/json;utf8"
        told = json.loads(body)
        assert (told["name"], told["symbol"]) == (market.assets.name(), market.assets.symbol())
