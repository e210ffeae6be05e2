// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Assets: ERC-721 tokens that own objects
/// @notice Minted only by the owner of the objects (as Objects knows it); an object belongs to one asset at most. Afterwards the asset has a
/// life of its own: it is sold or given away like any token, and who once opened and paid its objects has no say in it.
/// What an asset consists of never changes.
interface IAssets {
    event AssetMinted(
        uint256 indexed assetId, address indexed owner, bytes32 contentHash, bytes32[] objectIds, string metadata
    );

    error NoObjects();
    error TooManyObjects(uint256 count, uint256 limit);
    error NotObjectOwner(bytes32 objectId, address caller, address owner);
    error ObjectNotCertified(bytes32 objectId);
    error ObjectAlreadyOwned(bytes32 objectId, uint256 assetId);
    error AssetUnknown(uint256 assetId);
    error TenureNotOver(uint256 assetId, uint256 number);
    error MetadataTooLong(uint256 length, uint256 limit);

    /// @notice Makes an asset of certified objects that the caller opened.
    /// @param contentHash SHA-256 of the plaintext @param metadata URI or JSON of its description
    function mint(bytes32[] calldata objectIds, bytes32 contentHash, string calldata metadata)
        external
        returns (uint256 assetId);
    function objectsOf(uint256 assetId) external view returns (bytes32[] memory);
    /// @notice The asset that an object belongs to, 0: none.
    function assetOf(bytes32 objectId) external view returns (uint256 assetId);
    function contentHashOf(uint256 assetId) external view returns (bytes32);
    function metadataOf(uint256 assetId) external view returns (string memory);
    /// @notice Who owns the asset, and how often it has changed hands: what an owner promises ends with its tenure, and does not
    /// come back to life should the asset return. A transfer to oneself counts.
    function tenureOf(uint256 assetId) external view returns (address owner, uint64 handovers);
    /// @notice Who owned the asset before its handover `number` (from 0 on), and until when.
    function tenureAt(uint256 assetId, uint256 number) external view returns (address owner, uint64 until);
    /// @notice Number of assets; ids run from 1 to it.
    function count() external view returns (uint256);
}
