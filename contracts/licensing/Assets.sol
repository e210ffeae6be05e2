// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

import {IAssets} from "../interfaces/IAssets.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IObjects} from "../interfaces/IObjects.sol";
import {CodeBlob} from "../libraries/CodeBlob.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";

/// @title Assets
/// @notice Data as a token. What it consists of is written once, into contract code.
///
/// Invariants:
/// - I-AS1  an object belongs to at most one asset, for ever
/// - I-AS2  content hash, objects and metadata of an asset never change
/// - I-AS3  the handovers of an asset count every transfer since its minting; each tenure that one ended is kept, with its owner and its end
contract Assets is IAssets, ERC721 {
    /// Where an asset's blob lies, and how often the asset changed hands: one slot.
    struct Asset {
        address blob;
        uint64 handovers;
    }

    struct Tenure {
        address owner;
        uint64 until;
    }

    /// Most objects of one asset: what minting costs stays far below a block's gas. Larger collections are bundles.
    uint256 public constant MAX_OBJECTS = 64;

    /// Longest metadata. With 64 objects the blob stays below a quarter of what contract code may hold.
    uint256 public constant MAX_METADATA_BYTES = 4096;

    uint256 private constant WORD_BYTES = 32;

    IDirectory private immutable DIRECTORY;

    /// @inheritdoc IAssets
    uint256 public count;

    mapping(uint256 assetId => Asset) private _assets;

    /// Tenures that are over: what was earned in one is its owner's, whenever that is paid.
    mapping(uint256 assetId => mapping(uint256 number => Tenure)) private _tenures;

    /// @inheritdoc IAssets
    mapping(bytes32 objectId => uint256 assetId) public assetOf;

    constructor(IDirectory directory) ERC721("Qanat Assets", "QASSET") {
        DIRECTORY = directory;
    }

    /// @inheritdoc IAssets
    function mint(bytes32[] calldata objectIds, bytes32 contentHash, string calldata metadata)
        external
        returns (uint256 assetId)
    {
        if (objectIds.length == 0) revert NoObjects();
        if (objectIds.length > MAX_OBJECTS) revert TooManyObjects(objectIds.length, MAX_OBJECTS);
        uint256 metadataBytes = bytes(metadata).length;
        if (metadataBytes > MAX_METADATA_BYTES) revert MetadataTooLong(metadataBytes, MAX_METADATA_BYTES);

        assetId = ++count;
        IObjects objects = IObjects(DIRECTORY.module(ModuleNames.OBJECTS));
        for (uint256 i; i < objectIds.length; ++i) {
            _take(objects, objectIds[i], assetId);
        }
        // Content hash ‖ number of objects ‖ objects ‖ metadata.
        _assets[assetId].blob =
            CodeBlob.write(abi.encodePacked(contentHash, uint16(objectIds.length), objectIds, metadata));
        _mint(msg.sender, assetId);
        emit AssetMinted(assetId, msg.sender, contentHash, objectIds, metadata);
    }

    /// @inheritdoc IAssets
    function objectsOf(uint256 assetId) external view returns (bytes32[] memory objectIds) {
        address blob = _blobOf(assetId);
        uint256 number = _objectCount(blob);
        bytes memory packed = CodeBlob.read(blob, WORD_BYTES + 2, number * WORD_BYTES);
        objectIds = new bytes32[](number);
        for (uint256 i; i < number; ++i) {
            bytes32 objectId;
            assembly ("memory-safe") {
                objectId := mload(add(add(packed, 32), mul(i, 32)))
            }
            objectIds[i] = objectId;
        }
    }

    /// @inheritdoc IAssets
    function contentHashOf(uint256 assetId) external view returns (bytes32) {
        return bytes32(CodeBlob.read(_blobOf(assetId), 0, WORD_BYTES));
    }

    /// @inheritdoc IAssets
    function metadataOf(uint256 assetId) public view returns (string memory) {
        address blob = _blobOf(assetId);
        uint256 start = WORD_BYTES + 2 + _objectCount(blob) * WORD_BYTES;
        return string(CodeBlob.read(blob, start, CodeBlob.sizeOf(blob) - start));
    }

    /// @inheritdoc ERC721
    function tokenURI(uint256 assetId) public view override returns (string memory) {
        return metadataOf(assetId);
    }

    /// @inheritdoc IAssets
    function tenureOf(uint256 assetId) external view returns (address owner, uint64 handovers) {
        owner = _ownerOf(assetId);
        if (owner == address(0)) revert AssetUnknown(assetId);
        handovers = _assets[assetId].handovers;
    }

    /// @inheritdoc IAssets
    function tenureAt(uint256 assetId, uint256 number) external view returns (address owner, uint64 until) {
        Tenure storage tenure = _tenures[assetId][number];
        (owner, until) = (tenure.owner, tenure.until);
        if (until == 0) revert TenureNotOver(assetId, number);
    }

    /// Lets the new asset own an object. The number is marked at once, so that naming an object twice is refused too.
    function _take(IObjects objects, bytes32 objectId, uint256 assetId) private {
        uint256 taken = assetOf[objectId];
        if (taken != 0) revert ObjectAlreadyOwned(objectId, taken);
        address owner = objects.ownerOf(objectId);
        if (owner != msg.sender) revert NotObjectOwner(objectId, msg.sender, owner);
        if (objects.endEpochOf(objectId) == 0) revert ObjectNotCertified(objectId);

        assetOf[objectId] = assetId;
    }

    /// Counts handovers; a minting is none.
    function _update(address to, uint256 assetId, address authority) internal override returns (address from) {
        from = super._update(to, assetId, authority);
        if (from == address(0)) return from;
        uint64 number = _assets[assetId].handovers++;
        _tenures[assetId][number] = Tenure(from, uint64(block.timestamp));
    }

    function _objectCount(address blob) private view returns (uint256) {
        return uint16(bytes2(CodeBlob.read(blob, WORD_BYTES, 2)));
    }

    function _blobOf(uint256 assetId) private view returns (address blob) {
        blob = _assets[assetId].blob;
        if (blob == address(0)) revert AssetUnknown(assetId);
    }
}
