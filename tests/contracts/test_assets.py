"""Assets: data as a token."""

from __future__ import annotations

import pytest
from eth_utils import keccak

from tests.contracts.licensing import make_market, object_id
from tests.contracts.reverts import reverts_with

CONTENT = keccak(text="content")


@pytest.fixture(scope="module")
def market(project, deployer, owner, licensee, stranger):
    return make_market(project, deployer)


@pytest.fixture(scope="module")
def assets(market):
    return market.assets


@pytest.fixture
def put(market, deployer):
    """Return what makes certified objects of an owner."""

    def _put(owner, *numbers, end_epoch=9):
        for number in numbers:
            market.objects.put(object_id(number), owner, end_epoch, sender=deployer)
        return [object_id(number) for number in numbers]

    return _put


class TestMint:
    def test_refuses_an_asset_of_nothing(self, assets, owner):
        """Data without objects can't be fetched."""
        with reverts_with(assets.NoObjects):
            assets.mint([], CONTENT, "", sender=owner)

    def test_refuses_more_objects_than_the_limit(self, assets, put, owner):
        """By one; the limit itself passes and fits a block easily."""
        ids = put(owner, *range(65))
        with reverts_with(assets.TooManyObjects, count=65, limit=64):
            assets.mint(ids, CONTENT, "", sender=owner)
        receipt = assets.mint(ids[:64], CONTENT, "m" * 4096, sender=owner)
        assert receipt.gas_used < 8_000_000
        assert assets.objectsOf(1) == ids[:64]
        assert assets.metadataOf(1) == "m" * 4096

    def test_refuses_long_metadata(self, assets, put, owner):
        """By one byte."""
        ids = put(owner, 1)
        with reverts_with(assets.MetadataTooLong, length=4097, limit=4096):
            assets.mint(ids, CONTENT, "m" * 4097, sender=owner)

    def test_refuses_anothers_object(self, assets, put, owner, stranger):
        """Also among own ones."""
        mine, others = put(stranger, 1), put(owner, 2)
        with reverts_with(assets.NotObjectOwner, objectId=others[0], caller=stranger, owner=owner):
            assets.mint(mine + others, CONTENT, "", sender=stranger)

    def test_refuses_an_object_that_was_never_certified(self, assets, put, owner):
        """Nobody has vouched for its bytes."""
        ids = put(owner, 1, end_epoch=0)
        with reverts_with(assets.ObjectNotCertified, objectId=ids[0]):
            assets.mint(ids, CONTENT, "", sender=owner)

    def test_refuses_an_object_of_another_asset(self, assets, put, owner):
        """One set of bytes is sold by one token."""
        ids = put(owner, 1, 2)
        assets.mint(ids[:1], CONTENT, "", sender=owner)
        with reverts_with(assets.ObjectAlreadyOwned, objectId=ids[0], assetId=1):
            assets.mint([ids[1], ids[0]], CONTENT, "", sender=owner)

    def test_refuses_an_object_named_twice(self, assets, put, owner):
        """In one minting."""
        ids = put(owner, 1)
        with reverts_with(assets.ObjectAlreadyOwned, objectId=ids[0], assetId=1):
            assets.mint(ids * 2, CONTENT, "", sender=owner)

    @pytest.mark.parametrize("metadata", ["", "ipfs://x", '{"name": "Böden, 土"}'])
    def test_writes_what_the_asset_is(self, assets, put, owner, metadata):
        """Read back as it was given, by event and by view."""
        ids = put(owner, 1, 2, 3)
        receipt = assets.mint(ids, CONTENT, metadata, sender=owner)

        assert assets.ownerOf(1) == owner
        assert assets.count() == assets.balanceOf(owner) == 1
        assert assets.objectsOf(1) == ids
        assert assets.contentHashOf(1) == CONTENT
        assert assets.metadataOf(1) == assets.tokenURI(1) == metadata
        assert [assets.assetOf(item) for item in ids] == [1, 1, 1]
        assert receipt.events.filter(assets.AssetMinted) == [
            assets.AssetMinted(assetId=1, owner=owner, contentHash=CONTENT, objectIds=ids, metadata=metadata)
        ]

    def test_numbers_assets_from_one(self, assets, put, owner, stranger):
        """Zero stands for none."""
        assert assets.assetOf(object_id(1)) == 0
        assets.mint(put(owner, 1), CONTENT, "", sender=owner)
        assets.mint(put(stranger, 2), CONTENT, "", sender=stranger)
        assert (assets.ownerOf(1), assets.ownerOf(2)) == (owner, stranger)


class TestTenure:
    def test_of_no_asset_is_refused(self, assets, owner):
        """So are all other views of it."""
        for view in (assets.tenureOf, assets.objectsOf, assets.contentHashOf, assets.metadataOf, assets.tokenURI):
            with reverts_with(assets.AssetUnknown, assetId=1):
                view(1)

    def test_counts_every_handover(self, assets, put, owner, stranger):
        """Minting is none; a transfer to oneself is one."""
        assets.mint(put(owner, 1), CONTENT, "", sender=owner)
        assert tuple(assets.tenureOf(1)) == (owner.address, 0)
        assets.transferFrom(owner, owner, 1, sender=owner)
        assets.transferFrom(owner, stranger, 1, sender=owner)
        assert tuple(assets.tenureOf(1)) == (stranger.address, 2)
        assets.transferFrom(stranger, owner, 1, sender=stranger)
        assert tuple(assets.tenureOf(1)) == (owner.address, 3)

    def test_does_not_follow_the_objects_payer(self, assets, put, owner, stranger, licensee):
        """Who opened the objects has no say once the asset is sold, and the objects stay with it."""
        ids = put(owner, 1)
        assets.mint(ids, CONTENT, "", sender=owner)
        assets.transferFrom(owner, stranger, 1, sender=owner)
        with reverts_with(assets.ERC721InsufficientApproval, operator=owner, tokenId=1):
            assets.transferFrom(stranger, licensee, 1, sender=owner)
        with reverts_with(assets.ObjectAlreadyOwned, objectId=ids[0], assetId=1):
            assets.mint(ids, CONTENT, "", sender=owner)
        assert assets.objectsOf(1) == ids


class TestInterfaces:
    @pytest.mark.parametrize(
        ("interface", "answer"),
        [("0x01ffc9a7", True), ("0x80ac58cd", True), ("0x5b5e139f", True), ("0xffffffff", False)],
    )
    def test_erc165_names_erc721_and_its_metadata(self, assets, interface, answer):
        """And nothing that it isn't."""
        assert assets.supportsInterface(interface) is answer
