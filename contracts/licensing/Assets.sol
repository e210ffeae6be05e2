// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC165} from "@openzeppelin/contracts/interfaces/IERC165.sol";
import {IERC2981} from "@openzeppelin/contracts/interfaces/IERC2981.sol";
import {IERC4906} from "@openzeppelin/contracts/interfaces/IERC4906.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IAssets} from "../interfaces/IAssets.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IERC4494} from "../interfaces/IERC4494.sol";
import {IObjects} from "../interfaces/IObjects.sol";
import {AssetBlob} from "../libraries/AssetBlob.sol";
import {CodeBlob} from "../libraries/CodeBlob.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {AssetContent, RecordRange} from "../types/Types.sol";

/// @title Assets
/// @notice Data as a token. What each version of it consists of is written once, into contract code.
///
/// Invariants:
/// - I-AS1  an object, or a record of a bundle, belongs to at most one asset, for ever; no object belongs to an asset both whole and in part
/// - I-AS2  content hash, objects, ranges, header, description and metadata of a version never change; versions are only added, by the owner
/// - I-AS3  the handovers of an asset count every transfer to another since its minting; each tenure that one ended is kept, with its owner and its end
/// - I-AS4  a permit approves once: every transfer and every permit that was used raises the nonce that it signs
/// - I-AS5  ⌊price · bps / 10,000⌋ ≤ 10 % of the price is what royaltyInfo asks; nobody changes it after the first handover
contract Assets is IAssets, IERC2981, IERC4494, IERC4906, ERC721, EIP712 {
    using SafeCast for uint256;

    /// One slot. The blob of the newest version lies where this contract's creation of that number is.
    struct Asset {
        address owner;
        uint32 blob;
        uint32 handovers;
        // permits used and transfers to oneself: with the handovers, the nonce
        uint32 spent;
    }

    struct Counts {
        uint128 assets;
        uint128 blobs;
    }

    /// Of an object: the asset that has it whole, or up to where its records are taken.
    struct Belonging {
        uint128 assetId;
        uint128 recordsTaken;
    }

    struct Tenure {
        address owner;
        uint64 until;
    }

    struct Royalty {
        address receiver;
        uint16 bps;
    }

    /// Most objects and ranges of one version: what minting costs stays far below a block's gas. Larger collections are bundles.
    uint256 public constant MAX_OBJECTS = 64;

    /// Longest metadata, and longest header. With 64 ranges the blob stays below a third of what contract code may hold.
    uint256 public constant MAX_METADATA_BYTES = 4096;
    uint256 public constant MAX_HEADER_BYTES = 1024;

    /// Most that a resale can be asked for, of its price.
    uint256 public constant MAX_ROYALTY_BPS = 1_000;

    uint256 private constant BPS = 10_000;

    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address spender,uint256 tokenId,uint256 nonce,uint256 deadline)");

    IDirectory private immutable DIRECTORY;

    Counts private _counts;
    mapping(uint256 assetId => Asset) private _assets;
    mapping(bytes32 objectId => Belonging) private _belongings;

    /// Tenures that are over: what was earned in one is its owner's, whenever that is paid.
    mapping(uint256 assetId => mapping(uint256 number => Tenure)) private _tenures;
    /// Blobs of all versions but the newest.
    mapping(uint256 assetId => uint32[] blobs) private _former;
    /// Whether an asset has records of a bundle.
    mapping(uint256 assetId => mapping(bytes32 objectId => bool)) private _hasPart;
    mapping(uint256 assetId => Royalty) private _royalties;

    constructor(IDirectory directory) ERC721("Qanat Assets", "QASSET") EIP712("Qanat Assets", "1") {
        DIRECTORY = directory;
    }

    // ─── Content ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IAssets
    function mint(bytes32[] calldata objectIds, bytes32 contentHash, string calldata metadata)
        external
        returns (uint256 assetId)
    {
        AssetContent memory content;
        (content.objectIds, content.contentHash, content.metadata) = (objectIds, contentHash, metadata);
        return _make(content);
    }

    /// @inheritdoc IAssets
    function mintWith(AssetContent calldata content) external returns (uint256 assetId) {
        return _make(content);
    }

    /// @inheritdoc IAssets
    function addVersion(uint256 assetId, AssetContent calldata content) external returns (uint256 version) {
        Asset memory asset = _assetOf(assetId);
        if (msg.sender != asset.owner) revert NotAssetOwner(assetId, msg.sender, asset.owner);

        _takeAll(assetId, content);
        _former[assetId].push(asset.blob);
        _assets[assetId].blob = _write(content, ++_counts.blobs);
        version = versionCount(assetId);
        emit VersionAdded(assetId, uint32(version), content.contentHash, content.objectIds, content.metadata);
        emit MetadataUpdate(assetId);
        _describe(assetId, version, content);
    }

    /// Makes an asset, and does what ERC721's minting would: its owner stands in its own slot, so that minting writes one slot less.
    function _make(AssetContent memory content) private returns (uint256 assetId) {
        Counts memory counts = _counts;
        assetId = ++counts.assets;
        ++counts.blobs;
        _counts = counts;

        _takeAll(assetId, content);
        _assets[assetId] = Asset(msg.sender, _write(content, counts.blobs), 0, 0);
        _increaseBalance(msg.sender, 1);
        emit Transfer(address(0), msg.sender, assetId);
        emit AssetMinted(assetId, msg.sender, content.contentHash, content.objectIds, content.metadata);
        _describe(assetId, 1, content);
    }

    /// Lets an asset own all that a version consists of. What is taken is marked at once, so that naming it twice is refused too.
    function _takeAll(uint256 assetId, AssetContent memory content) private {
        uint256 number = content.objectIds.length + content.ranges.length;
        if (number == 0) revert NoObjects();
        if (number > MAX_OBJECTS) revert TooManyObjects(number, MAX_OBJECTS);
        uint256 metadataBytes = bytes(content.metadata).length;
        if (metadataBytes > MAX_METADATA_BYTES) revert MetadataTooLong(metadataBytes, MAX_METADATA_BYTES);
        uint256 headerBytes = content.header.length;
        if (headerBytes > MAX_HEADER_BYTES) revert HeaderTooLong(headerBytes, MAX_HEADER_BYTES);

        IObjects objects = IObjects(DIRECTORY.module(ModuleNames.OBJECTS));
        for (uint256 i; i < content.objectIds.length; ++i) {
            bytes32 objectId = content.objectIds[i];
            Belonging memory belonging = _belongingOf(objectId);
            if (belonging.recordsTaken != 0) revert RecordsTaken(objectId, 0, belonging.recordsTaken);
            _checkMine(objects, objectId);
            _belongings[objectId].assetId = uint128(assetId);
        }
        for (uint256 i; i < content.ranges.length; ++i) {
            _takeRange(objects, content.ranges[i], assetId);
        }
        if (content.croissant != bytes32(0)) _checkMine(objects, content.croissant);
    }

    function _takeRange(IObjects objects, RecordRange memory range, uint256 assetId) private {
        uint256 end = uint256(range.first) + range.count;
        if (range.count == 0 || end > type(uint32).max) revert RangeInvalid(range.objectId, range.first, range.count);
        uint256 taken = _belongingOf(range.objectId).recordsTaken;
        if (range.first < taken) revert RecordsTaken(range.objectId, range.first, taken);
        _checkMine(objects, range.objectId);

        _belongings[range.objectId].recordsTaken = uint128(end);
        _hasPart[assetId][range.objectId] = true;
    }

    /// Of an object that no asset has whole.
    function _belongingOf(bytes32 objectId) private view returns (Belonging memory belonging) {
        belonging = _belongings[objectId];
        if (belonging.assetId != 0) revert ObjectAlreadyOwned(objectId, belonging.assetId);
    }

    function _checkMine(IObjects objects, bytes32 objectId) private view {
        address owner = objects.ownerOf(objectId);
        if (owner != msg.sender) revert NotObjectOwner(objectId, msg.sender, owner);
        if (objects.endEpochOf(objectId) == 0) revert ObjectNotCertified(objectId);
    }

    /// Writes a version as this contract's `number`-th creation.
    function _write(AssetContent memory content, uint256 number) private returns (uint32) {
        AssetBlob.write(content);
        return number.toUint32();
    }

    function _describe(uint256 assetId, uint256 version, AssetContent memory content) private {
        if (content.ranges.length + content.header.length == 0 && content.croissant == bytes32(0)) return;
        emit ContentDescribed(assetId, uint32(version), content.ranges, content.header, content.croissant);
    }

    // ─── Royalties and permits ────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IAssets
    function setRoyalty(uint256 assetId, address receiver, uint256 bps) external {
        Asset memory asset = _assetOf(assetId);
        if (msg.sender != asset.owner) revert NotAssetOwner(assetId, msg.sender, asset.owner);
        if (asset.handovers != 0) revert RoyaltyFixed(assetId, asset.handovers);
        if (bps > MAX_ROYALTY_BPS || receiver == address(0)) revert RoyaltyInvalid(receiver, bps, MAX_ROYALTY_BPS);

        _royalties[assetId] = Royalty(receiver, uint16(bps));
        emit RoyaltySet(assetId, receiver, bps);
    }

    /// @inheritdoc IERC2981
    function royaltyInfo(uint256 assetId, uint256 price) external view returns (address receiver, uint256 amount) {
        _assetOf(assetId);
        Royalty memory royalty = _royalties[assetId];
        return (royalty.receiver, price * royalty.bps / BPS);
    }

    /// @inheritdoc IERC4494
    function permit(address spender, uint256 assetId, uint256 deadline, bytes calldata signature) external {
        address owner = _assetOf(assetId).owner;
        if (block.timestamp > deadline) revert PermitExpired(deadline, block.timestamp);
        bytes32 digest =
            _hashTypedDataV4(keccak256(abi.encode(PERMIT_TYPEHASH, spender, assetId, nonces(assetId), deadline)));
        if (!_isSigned(owner, digest, signature)) revert PermitInvalid(assetId, owner);

        ++_assets[assetId].spent;
        _approve(spender, assetId, address(0));
    }

    /// @inheritdoc IERC4494
    function nonces(uint256 assetId) public view returns (uint256) {
        Asset memory asset = _assetOf(assetId);
        return uint256(asset.handovers) + asset.spent;
    }

    /// @inheritdoc IERC4494
    // solhint-disable-next-line func-name-mixedcase
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _isSigned(address owner, bytes32 digest, bytes calldata signature) private view returns (bool) {
        if (signature.length != 64 || owner.code.length != 0) {
            return SignatureChecker.isValidSignatureNow(owner, digest, signature);
        }
        // EIP-2098
        (address signer,,) = ECDSA.tryRecover(digest, bytes32(signature[:32]), bytes32(signature[32:]));
        return signer == owner;
    }

    // ─── Views ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IAssets
    function count() external view returns (uint256) {
        return _counts.assets;
    }

    /// @inheritdoc IAssets
    function objectsOf(uint256 assetId) external view returns (bytes32[] memory) {
        return _newest(assetId).objectIds;
    }

    /// @inheritdoc IAssets
    function assetOf(bytes32 objectId) external view returns (uint256) {
        return _belongings[objectId].assetId;
    }

    /// @inheritdoc IAssets
    function holds(uint256 assetId, bytes32 objectId) external view returns (bool) {
        _assetOf(assetId);
        return _belongings[objectId].assetId == assetId || _hasPart[assetId][objectId];
    }

    /// @inheritdoc IAssets
    function recordsTaken(bytes32 objectId) external view returns (uint256) {
        return _belongings[objectId].recordsTaken;
    }

    /// @inheritdoc IAssets
    function contentHashOf(uint256 assetId) external view returns (bytes32) {
        return _newest(assetId).contentHash;
    }

    /// @inheritdoc IAssets
    function metadataOf(uint256 assetId) public view returns (string memory) {
        return _newest(assetId).metadata;
    }

    /// @inheritdoc IAssets
    function contentOf(uint256 assetId, uint256 version) external view returns (AssetContent memory) {
        uint256 versions = versionCount(assetId);
        if (version == 0 || version > versions) revert VersionUnknown(assetId, version, versions);
        return version == versions ? _newest(assetId) : _read(_former[assetId][version - 1]);
    }

    /// @inheritdoc IAssets
    function versionCount(uint256 assetId) public view returns (uint256) {
        _assetOf(assetId);
        return _former[assetId].length + 1;
    }

    /// @inheritdoc ERC721
    function tokenURI(uint256 assetId) public view override returns (string memory) {
        return metadataOf(assetId);
    }

    /// @inheritdoc IAssets
    function contractURI() external pure returns (string memory) {
        return 'data:application/json;utf8,{"name":"Qanat Assets","symbol":"QASSET","description":"Data that is stored, proven to be stored, and licensed"}';
    }

    /// @inheritdoc IAssets
    function tenureOf(uint256 assetId) external view returns (address owner, uint64 handovers) {
        Asset memory asset = _assetOf(assetId);
        return (asset.owner, asset.handovers);
    }

    /// @inheritdoc IAssets
    function tenureAt(uint256 assetId, uint256 number) external view returns (address owner, uint64 until) {
        Tenure storage tenure = _tenures[assetId][number];
        (owner, until) = (tenure.owner, tenure.until);
        if (until == 0) revert TenureNotOver(assetId, number);
    }

    /// @inheritdoc ERC721
    function supportsInterface(bytes4 interfaceId) public view override(ERC721, IERC165) returns (bool) {
        // ERC-4906 has events only, and names its number itself
        return interfaceId == type(IERC2981).interfaceId || interfaceId == type(IERC4494).interfaceId
            || interfaceId == bytes4(0x49064906) || super.supportsInterface(interfaceId);
    }

    // ─── Token ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Owners stand in the assets' own slots.
    function _ownerOf(uint256 assetId) internal view override returns (address) {
        return _assets[assetId].owner;
    }

    /// Ends a tenure, unless the asset stays with whom it is with.
    function _update(address to, uint256 assetId, address authority) internal override returns (address from) {
        from = super._update(to, assetId, authority);
        Asset storage asset = _assets[assetId];
        if (from == to) {
            ++asset.spent;
            return from;
        }
        uint32 number = asset.handovers;
        (asset.owner, asset.handovers) = (to, number + 1);
        _tenures[assetId][number] = Tenure(from, uint64(block.timestamp));
    }

    function _assetOf(uint256 assetId) private view returns (Asset memory asset) {
        asset = _assets[assetId];
        if (asset.owner == address(0)) revert AssetUnknown(assetId);
    }

    function _newest(uint256 assetId) private view returns (AssetContent memory) {
        return _read(_assetOf(assetId).blob);
    }

    function _read(uint256 blob) private view returns (AssetContent memory) {
        return AssetBlob.read(CodeBlob.createdBy(address(this), blob));
    }
}
