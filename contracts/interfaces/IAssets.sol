// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetContent, RecordRange} from "../types/Types.sol";

/// @title Assets: ERC-721 tokens that own objects
/// @notice Minted only by the owner of the objects (as Objects knows it); an object, or a record of a bundle, belongs to one asset at most. Afterwards the
/// asset has a life of its own: it is sold or given away like any token, and who once opened and paid its objects has no say in it.
/// What a version of an asset consists of never changes; its owner may add versions, and each stays readable.
///
/// Beside ERC-721: ERC-165, ERC-2981 (royalties of resales), ERC-4494 (permit), ERC-4906 (metadata changed: a new version), ERC-5267, ERC-7572 (contract metadata).
///
/// A bundle is sold as a whole or in ranges of its records, which its owner takes in ascending order: one number per bundle then says what is taken, however
/// many ranges there are. How many records a bundle has stands in its manifest, which the chain has no more than the root of: who buys checks that the range is there.
interface IAssets {
    event AssetMinted(
        uint256 indexed assetId, address indexed owner, bytes32 contentHash, bytes32[] objectIds, string metadata
    );
    event VersionAdded(
        uint256 indexed assetId, uint32 version, bytes32 contentHash, bytes32[] objectIds, string metadata
    );
    /// @notice What a version has beside whole objects, content hash and metadata.
    event ContentDescribed(
        uint256 indexed assetId, uint32 version, RecordRange[] ranges, bytes header, bytes32 croissant
    );
    event RoyaltySet(uint256 indexed assetId, address receiver, uint256 bps);

    error NoObjects();
    error TooManyObjects(uint256 count, uint256 limit);
    error NotObjectOwner(bytes32 objectId, address caller, address owner);
    error ObjectNotCertified(bytes32 objectId);
    error ObjectAlreadyOwned(bytes32 objectId, uint256 assetId);
    /// @notice Records of the bundle below `taken` belong to assets.
    error RecordsTaken(bytes32 objectId, uint256 first, uint256 taken);
    /// @notice No record, or places beyond 2^32.
    error RangeInvalid(bytes32 objectId, uint256 first, uint256 count);
    error AssetUnknown(uint256 assetId);
    error VersionUnknown(uint256 assetId, uint256 version, uint256 count);
    error TenureNotOver(uint256 assetId, uint256 number);
    error MetadataTooLong(uint256 length, uint256 limit);
    error HeaderTooLong(uint256 length, uint256 limit);
    error NotAssetOwner(uint256 assetId, address caller, address owner);
    /// @notice Royalties are the first owner's to set, before it hands the asset over.
    error RoyaltyFixed(uint256 assetId, uint256 handovers);
    error RoyaltyInvalid(address receiver, uint256 bps, uint256 limit);
    error PermitExpired(uint256 deadline, uint256 timestamp);
    error PermitInvalid(uint256 assetId, address owner);

    /// @notice Makes an asset of certified objects that the caller opened.
    /// @param contentHash SHA-256 of the plaintext @param metadata URI or JSON of its description
    function mint(bytes32[] calldata objectIds, bytes32 contentHash, string calldata metadata)
        external
        returns (uint256 assetId);
    /// @notice The same with all that a version can have. Its description's object is the caller's, certified, and may describe several.
    function mintWith(AssetContent calldata content) external returns (uint256 assetId);
    /// @notice Asset's owner: a further version, of objects that it opened. Licenses are of the asset, whatever its versions.
    function addVersion(uint256 assetId, AssetContent calldata content) external returns (uint256 version);
    /// @notice First owner, until it hands the asset over: what ERC-2981 asks of resales, for ever. `bps` at most MAX_ROYALTY_BPS; with 0: nothing.
    function setRoyalty(uint256 assetId, address receiver, uint256 bps) external;

    /// @notice Of the newest version: whole objects.
    function objectsOf(uint256 assetId) external view returns (bytes32[] memory);
    /// @notice The asset that a whole object belongs to, 0: none.
    function assetOf(bytes32 objectId) external view returns (uint256 assetId);
    /// @notice Whether any version of the asset has the object, or records of it.
    function holds(uint256 assetId, bytes32 objectId) external view returns (bool);
    /// @notice Records of a bundle below this place belong to assets, or were passed over.
    function recordsTaken(bytes32 objectId) external view returns (uint256);
    function contentHashOf(uint256 assetId) external view returns (bytes32);
    function metadataOf(uint256 assetId) external view returns (string memory);
    /// @notice A version, numbered from 1 on.
    function contentOf(uint256 assetId, uint256 version) external view returns (AssetContent memory);
    function versionCount(uint256 assetId) external view returns (uint256);
    /// @notice ERC-7572.
    function contractURI() external view returns (string memory);
    /// @notice Who owns the asset, and how often it has changed hands: what an owner promises ends with its tenure, and does not
    /// come back to life should the asset return. A transfer to oneself begins no tenure.
    function tenureOf(uint256 assetId) external view returns (address owner, uint64 handovers);
    /// @notice Who owned the asset before its handover `number` (from 0 on), and until when.
    function tenureAt(uint256 assetId, uint256 number) external view returns (address owner, uint64 until);
    /// @notice Number of assets; ids run from 1 to it.
    function count() external view returns (uint256);
}
