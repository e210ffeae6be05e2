"""Assets: data as a token."""

from __future__ import annotations

import pytest
import rlp
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
        """Minting is none, nor is a transfer to oneself."""
        assets.mint(put(owner, 1), CONTENT, "", sender=owner)
        assert tuple(assets.tenureOf(1)) == (owner.address, 0)
        assets.transferFrom(owner, owner, 1, sender=owner)
        assert tuple(assets.tenureOf(1)) == (owner.address, 0)
        assets.transferFrom(owner, stranger, 1, sender=owner)
        assert tuple(assets.tenureOf(1)) == (stranger.address, 1)
        assets.transferFrom(stranger, owner, 1, sender=stranger)
        assert tuple(assets.tenureOf(1)) == (owner.address, 2)

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


def content_of(*ids, ranges=(), content=CONTENT, header=b"", croissant=bytes(32), metadata="m"):
    """Return what `mintWith` and `addVersion` take."""
    return (list(ids), list(ranges), content, header, croissant, metadata)


def told(content):
    """Return a version as the chain tells it, in the form of `content_of`."""
    objects, ranges, *rest = tuple(content)
    return ([bytes(item) for item in objects], [tuple(item) for item in ranges], *rest)


class TestMintWith:
    def test_keeps_all_that_was_given(self, assets, put, owner):
        """Objects, ranges of two bundles, header, description: read back as they were, and said by events."""
        one, two, bundle, other, croissant = put(owner, *range(5))
        ranges = [(bundle, 7, 3), (other, 0, 2**32 - 1), (bundle, 10, 1)]
        given = content_of(one, two, ranges=ranges, header=b"\1" * 1024, croissant=croissant, metadata="{}")
        receipt = assets.mintWith(given, sender=owner)
        assert told(assets.contentOf(1, 1)) == given
        assert (assets.objectsOf(1), assets.metadataOf(1), assets.contentHashOf(1)) == ([one, two], "{}", CONTENT)
        assert [assets.assetOf(item) for item in (one, bundle, croissant)] == [1, 0, 0]
        assert [assets.holds(1, item) for item in (one, two, bundle, other, croissant)] == [True] * 4 + [False]
        assert [assets.recordsTaken(item) for item in (one, bundle, other)] == [0, 11, 2**32 - 1]
        (minted,) = receipt.events.filter(assets.AssetMinted)
        assert (minted.assetId, minted.owner, list(minted.objectIds)) == (1, owner, [one, two])
        (described,) = receipt.events.filter(assets.ContentDescribed)
        assert (described.version, described.header, described.croissant) == (1, given[3], croissant)
        assert [tuple(item) for item in described.ranges] == ranges

    def test_an_ordinary_one_is_as_minted(self, assets, put, owner):
        """The shorter form is the same with nothing else in it, and costs no event more."""
        one, two = put(owner, 1, 2)
        receipt = assets.mint([one], CONTENT, "m", sender=owner)
        assert not list(receipt.events.filter(assets.ContentDescribed))
        assets.mintWith(content_of(two), sender=owner)
        assert told(assets.contentOf(1, 1)) == content_of(one)
        assert told(assets.contentOf(2, 1)) == content_of(two)

    def test_refuses_a_record_twice(self, assets, put, owner):
        """Of a bundle: below what is taken, in any asset; whole after a part, or a part after the whole."""
        bundle, whole = put(owner, 1, 2)
        assets.mintWith(content_of(whole), sender=owner)
        assets.mintWith(content_of(ranges=[(bundle, 5, 5)]), sender=owner)
        for first in (0, 9):
            with reverts_with(assets.RecordsTaken, objectId=bundle, first=first, taken=10):
                assets.mintWith(content_of(ranges=[(bundle, first, 1)]), sender=owner)
        with reverts_with(assets.RecordsTaken, objectId=bundle, first=12, taken=13):
            assets.mintWith(content_of(ranges=[(bundle, 10, 3), (bundle, 12, 3)]), sender=owner)
        with reverts_with(assets.RecordsTaken, objectId=bundle, first=0, taken=10):
            assets.mintWith(content_of(bundle), sender=owner)
        with reverts_with(assets.ObjectAlreadyOwned, objectId=whole, assetId=1):
            assets.mintWith(content_of(ranges=[(whole, 0, 1)]), sender=owner)
        assets.mintWith(content_of(ranges=[(bundle, 10, 3)]), sender=owner)
        assert [assets.holds(number, bundle) for number in (1, 2, 3)] == [False, True, True]

    def test_refuses_ranges_of_nothing_or_too_far(self, assets, put, owner):
        (bundle,) = put(owner, 1)
        for first, count in ((5, 0), (2**32 - 1, 1), (1, 2**32 - 1)):
            with reverts_with(assets.RangeInvalid, objectId=bundle, first=first, count=count):
                assets.mintWith(content_of(ranges=[(bundle, first, count)]), sender=owner)

    def test_refuses_anothers_bundle_or_description(self, assets, put, owner, stranger):
        """Or one that was never certified."""
        mine, others, open_ = put(stranger, 1) + put(owner, 2) + put(stranger, 3, end_epoch=0)
        for wrong in (content_of(ranges=[(others, 0, 1)]), content_of(mine, croissant=others)):
            with reverts_with(assets.NotObjectOwner, objectId=others, caller=stranger, owner=owner):
                assets.mintWith(wrong, sender=stranger)
        for wrong in (content_of(ranges=[(open_, 0, 1)]), content_of(mine, croissant=open_)):
            with reverts_with(assets.ObjectNotCertified, objectId=open_):
                assets.mintWith(wrong, sender=stranger)

    def test_refuses_too_much(self, assets, put, owner):
        """Objects and ranges count together; the header has its limit."""
        ids = put(owner, *range(33))
        (bundle,) = put(owner, 99)
        ranges = [(bundle, number, 1) for number in range(32)]
        with reverts_with(assets.TooManyObjects, count=65, limit=64):
            assets.mintWith(content_of(*ids, ranges=ranges), sender=owner)
        with reverts_with(assets.HeaderTooLong, length=1025, limit=1024):
            assets.mintWith(content_of(*ids[:1], header=bytes(1025)), sender=owner)
        assets.mintWith(content_of(*ids[:32], ranges=ranges), sender=owner)

    def test_finds_its_blobs_beyond_every_length_of_number(self, project, deployer):
        """A blob's address follows from its number, which RLP writes in one to five bytes: against Python's `rlp`."""
        harness = deployer.deploy(project.CodeBlobHarness)
        for number in (1, 127, 128, 255, 256, 65_535, 65_536, 2**24 - 1, 2**24, 2**32 - 1):
            expected = keccak(rlp.encode([bytes.fromhex(harness.address[2:]), number]))[12:]
            assert bytes.fromhex(harness.createdBy(harness, number)[2:]) == expected


class TestVersions:
    @pytest.fixture
    def asset(self, assets, put, owner):
        assets.mint(put(owner, 1), CONTENT, "one", sender=owner)
        return 1

    def test_are_added_and_all_stay_readable(self, assets, asset, put, owner, market):
        """The newest is what the short views tell; another asset's minting in between changes nothing."""
        first = assets.contentOf(asset, 1)
        given = [content_of(*put(owner, 10 + number), metadata=f"v{number}") for number in range(2, 12)]
        for number, item in enumerate(given, start=2):
            receipt = assets.addVersion(asset, item, sender=owner)
            assert receipt.return_value == number == assets.versionCount(asset)
            (added,) = receipt.events.filter(assets.VersionAdded)
            assert (added.version, added.metadata, list(added.objectIds)) == (number, f"v{number}", item[0])
            assert [event._tokenId for event in receipt.events.filter(assets.MetadataUpdate)] == [asset]
            assets.mint(put(owner, 100 + number), CONTENT, "other", sender=owner)
        assert told(assets.contentOf(asset, 1)) == told(first)
        for number, item in enumerate(given, start=2):
            assert told(assets.contentOf(asset, number)) == item
        assert (assets.metadataOf(asset), assets.tokenURI(asset)) == ("v11", "v11")
        assert assets.objectsOf(asset) == given[-1][0]
        assert assets.holds(asset, given[0][0][0])
        assert assets.holds(asset, put(owner, 1)[0])

    def test_are_the_owners_to_add(self, assets, asset, put, owner, stranger):
        """Of its own objects: who sold the asset adds nothing, who bought it nothing of the seller's."""
        mine, others = put(stranger, 2), put(owner, 3)
        with reverts_with(assets.NotAssetOwner, assetId=asset, caller=stranger, owner=owner):
            assets.addVersion(asset, content_of(*mine), sender=stranger)
        assets.approve(stranger, asset, sender=owner)
        with reverts_with(assets.NotAssetOwner, assetId=asset, caller=stranger, owner=owner):
            assets.addVersion(asset, content_of(*mine), sender=stranger)
        assets.transferFrom(owner, stranger, asset, sender=owner)
        with reverts_with(assets.NotAssetOwner, assetId=asset, caller=owner, owner=stranger):
            assets.addVersion(asset, content_of(*others), sender=owner)
        with reverts_with(assets.NotObjectOwner, objectId=others[0], caller=stranger, owner=owner):
            assets.addVersion(asset, content_of(*others), sender=stranger)
        assets.addVersion(asset, content_of(*mine), sender=stranger)

    def test_have_objects_of_no_other(self, assets, asset, put, owner):
        """What an older version has is the asset's already, and can't be named again."""
        (old,) = put(owner, 1)
        with reverts_with(assets.ObjectAlreadyOwned, objectId=old, assetId=asset):
            assets.addVersion(asset, content_of(old), sender=owner)
        with reverts_with(assets.NoObjects):
            assets.addVersion(asset, content_of(), sender=owner)

    def test_are_numbered_from_one(self, assets, asset):
        for version in (0, 2):
            with reverts_with(assets.VersionUnknown, assetId=asset, version=version, count=1):
                assets.contentOf(asset, version)


class TestSetRoyalty:
    def test_is_the_first_owners_until_it_hands_over(self, assets, put, owner, stranger):
        """Then it is fixed for ever, for who buys the asset and for who comes back to it."""
        assets.mint(put(owner, 1), CONTENT, "", sender=owner)
        with reverts_with(assets.NotAssetOwner, assetId=1, caller=stranger, owner=owner):
            assets.setRoyalty(1, stranger, 1, sender=stranger)
        receipt = assets.setRoyalty(1, owner, 1_000, sender=owner)
        assert receipt.events.filter(assets.RoyaltySet) == [assets.RoyaltySet(1, owner, 1_000)]
        assets.transferFrom(owner, owner, 1, sender=owner)
        assets.setRoyalty(1, stranger, 500, sender=owner)
        assets.transferFrom(owner, stranger, 1, sender=owner)
        with reverts_with(assets.RoyaltyFixed, assetId=1, handovers=1):
            assets.setRoyalty(1, stranger, 0, sender=stranger)
        assets.transferFrom(stranger, owner, 1, sender=stranger)
        with reverts_with(assets.RoyaltyFixed, assetId=1, handovers=2):
            assets.setRoyalty(1, owner, 0, sender=owner)
        assert tuple(assets.royaltyInfo(1, 1_000)) == (stranger, 50)

    def test_is_a_tenth_at_most_and_somebodys(self, assets, put, owner):
        zero = "0x" + "00" * 20
        assets.mint(put(owner, 1), CONTENT, "", sender=owner)
        with reverts_with(assets.RoyaltyInvalid, receiver=owner, bps=1_001, limit=1_000):
            assets.setRoyalty(1, owner, 1_001, sender=owner)
        with reverts_with(assets.RoyaltyInvalid, receiver=zero, bps=1, limit=1_000):
            assets.setRoyalty(1, zero, 1, sender=owner)
        with reverts_with(assets.AssetUnknown, assetId=2):
            assets.setRoyalty(2, owner, 1, sender=owner)
