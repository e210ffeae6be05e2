// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssets} from "../../contracts/interfaces/IAssets.sol";
import {IDirectory} from "../../contracts/interfaces/IDirectory.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {IPayments} from "../../contracts/interfaces/IPayments.sol";
import {ModuleNames} from "../../contracts/libraries/ModuleNames.sol";
import {Purposes} from "../../contracts/libraries/Purposes.sol";
import {Assets} from "../../contracts/licensing/Assets.sol";
import {Licenses} from "../../contracts/licensing/Licenses.sol";
import {MintableToken} from "../../contracts/mocks/MintableToken.sol";
import {MoodyToken} from "../../contracts/mocks/MoodyToken.sol";
import {ObjectsDouble} from "../../contracts/mocks/ObjectsDouble.sol";
import {OperatorsDouble} from "../../contracts/mocks/OperatorsDouble.sol";
import {Payments} from "../../contracts/rewards/Payments.sol";
import {LicenseRecord, OfferTerms, Permit} from "../../contracts/types/Types.sol";
import {Test} from "./Test.sol";
import {Desk} from "./World.sol";

/// @notice A person that is a contract: it signs all that it is asked about.
contract Person {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        return this.isValidSignature.selector;
    }
}

/// @title LicensesHandler
/// @notice All that owners, licensees, an arbiter, a key holder and anyone can do with the licenses of two assets in an honest token and in one of any mood, in any
/// order, at any time, with the real Payments: what can't be done reverts and changes nothing. Beside it stands what was paid for each license, and what it had earned
/// when it was looked at last.
contract LicensesHandler is Test {
    uint256 internal constant DAY = 1 days;
    uint256 internal constant PEOPLE = 4;
    uint256 internal constant ASSETS = 2;
    uint256 internal constant TOKENS = 2;
    uint256 internal constant MAX_LICENSES = 24;
    address internal constant HOLDER = address(0x0b);

    Payments internal payments;
    Assets internal assets;
    Licenses internal licenses;
    MintableToken[TOKENS] internal tokens;
    MoodyToken internal moody;
    address[PEOPLE] internal people;
    uint256 internal clock = 20_000 * DAY + 12_345;

    /// Per token: what came in and what claims sent.
    uint256[TOKENS] internal arrived;
    uint256[TOKENS] internal sent;
    mapping(uint256 licenseId => uint256) internal paid;
    mapping(uint256 licenseId => uint256) internal earnedBefore;
    mapping(uint256 licenseId => mapping(uint256 person => uint256)) internal late;
    /// What was seen to be wrong between two looks: a revert here would only undo the call.
    string public wrong;
    uint256 public renewals;
    uint256 public reinstated;
    uint256 public ended;
    uint256 public handovers;

    constructor() {
        Desk desk = new Desk();
        IDirectory directory = IDirectory(address(desk));
        ObjectsDouble objects = new ObjectsDouble();
        OperatorsDouble operators = new OperatorsDouble();
        operators.put(HOLDER, HOLDER);
        desk.set(ModuleNames.OBJECTS, address(objects));
        desk.set(ModuleNames.OPERATORS, address(operators));
        payments = new Payments(directory);
        assets = new Assets(directory);
        licenses = new Licenses(directory, IAssets(address(assets)), IPayments(address(payments)));
        desk.set(ModuleNames.LICENSES, address(licenses));
        moody = new MoodyToken();
        (tokens[0], tokens[1]) = (new MintableToken(), moody);
        for (uint256 p = 0; p < PEOPLE; ++p) {
            people[p] = address(new Person());
            for (uint256 t = 0; t < TOKENS; ++t) {
                tokens[t].mint(people[p], 2 ** 120);
                vm.prank(people[p]);
                tokens[t].approve(address(payments), type(uint256).max);
            }
        }
        for (uint256 a = 0; a < ASSETS; ++a) {
            bytes32[] memory ids = new bytes32[](1);
            ids[0] = bytes32(a + 1);
            objects.put(ids[0], people[a], 9);
            vm.prank(people[a]);
            assets.mint(ids, bytes32(0), "");
        }
        vm.warp(clock);
    }

    // ---- time

    function pass(uint256 time) external {
        uint256 span = time % 5;
        clock += span == 0 ? within(time, 0, 100) : span < 3 ? within(time, 0, DAY) : within(time, 0, 12 * DAY);
        if (time % 7 == 0) clock = (clock / DAY + 1) * DAY;
        vm.warp(clock);
    }

    // ---- offers and sales

    function publish(uint256 a, uint256 t, uint256 price, uint256 length, uint256 bps, uint256 shape) external {
        OfferTerms memory terms;
        terms.assetId = a % ASSETS + 1;
        terms.token = address(tokens[t % TOKENS]);
        terms.price = price % 4 == 0 ? within(price, 0, 9) : within(price, 0, 1e24);
        terms.purposes =
            shape % 3 == 0 ? Purposes.TRAIN : shape % 3 == 1 ? Purposes.INFER : Purposes.TRAIN | Purposes.INFER;
        terms.duration = uint64(length % 3 == 0 ? within(length, 1, 2_000) : within(length, 1, 9 * DAY));
        terms.earnedAtReleaseBps = uint16(bps % 3 == 0 ? 0 : bps % 10_001);
        terms.seats = uint32(shape / 3 % 3);
        terms.exclusive = shape / 9 % 8 == 0;
        terms.transferable = shape / 72 % 2 == 0;
        terms.arbiter = shape / 144 % 3 != 0 ? people[3] : address(0);
        vm.prank(assets.ownerOf(terms.assetId));
        licenses.publishOffer(terms);
    }

    function withdraw(uint256 o, uint256 seldom) external {
        if (seldom % 8 != 0) return;
        uint256 offerId = _offer(o);
        (OfferTerms memory terms,) = licenses.offer(offerId);
        vm.prank(assets.ownerOf(terms.assetId));
        licenses.withdrawOffer(offerId);
    }

    function buy(uint256 o, uint256 who, uint256 seat) external {
        if (licenses.licenseCount() >= MAX_LICENSES) return;
        uint256 offerId = _offer(o);
        (OfferTerms memory terms,) = licenses.offer(offerId);
        Permit memory none;
        seat = terms.seats == 0 ? 0 : within(seat, 1, terms.seats);
        vm.prank(people[who % PEOPLE]);
        uint256 licenseId = licenses.buyWith(offerId, keccak256(abi.encode(terms)), terms.price, seat, none);
        paid[licenseId] = terms.price;
        arrived[_token(terms.token)] += terms.price;
    }

    function renew(uint256 l, uint256 who) external {
        (uint256 licenseId, LicenseRecord memory record) = _license(l);
        _renew(licenseId, record, who);
    }

    function _renew(uint256 licenseId, LicenseRecord memory record, uint256 who) private {
        (OfferTerms memory terms,) = licenses.offer(record.offerId);
        vm.prank(people[who % PEOPLE]);
        licenses.renew(licenseId, keccak256(abi.encode(terms)));
        arrived[_token(terms.token)] += terms.price;
        if (clock < record.end) {
            paid[licenseId] += terms.price;
            ++renewals;
        } else {
            late[licenseId][who % PEOPLE] += terms.price;
        }
    }

    function reinstate(uint256 l, uint256 who, uint256 seat) external {
        (uint256 licenseId, LicenseRecord memory record) = _license(l);
        (OfferTerms memory terms,) = licenses.offer(record.offerId);
        seat = terms.seats == 0 ? 0 : within(seat, 1, terms.seats);
        // mostly somebody has just paid
        if (clock >= record.end && l % 4 != 0 && late[licenseId][who % PEOPLE] == 0) _renew(licenseId, record, who);
        vm.prank(assets.ownerOf(record.assetId));
        licenses.reinstate(licenseId, people[who % PEOPLE], seat);
        _true(late[licenseId][who % PEOPLE] >= record.price, "I-M29: who paid nothing late reinstates nothing");
        late[licenseId][who % PEOPLE] -= record.price;
        paid[licenseId] += record.price;
        ++reinstated;
    }

    function takeBack(uint256 l, uint256 who) external {
        (uint256 licenseId, LicenseRecord memory record) = _license(l);
        uint256 count = licenses.licenseCount();
        for (uint256 tries = 0; late[licenseId][who % PEOPLE] == 0 && tries < PEOPLE * count; ++tries) {
            if (++who % PEOPLE == 0) licenseId = licenseId % count + 1;
        }
        record = licenses.license(licenseId);
        vm.prank(people[who % PEOPLE]);
        uint256 amount = payments.takeBack(record.token, address(licenses), bytes32(licenseId));
        _true(amount == late[licenseId][who % PEOPLE], "I-M29: late money goes back whole");
        late[licenseId][who % PEOPLE] = 0;
    }

    // ---- what becomes of a license

    function release(uint256 l) external {
        (uint256 licenseId,) = _license(l);
        vm.prank(HOLDER);
        licenses.recordRelease(licenseId, HOLDER, bytes32(0), type(uint256).max, "");
    }

    function revoke(uint256 l, bool breach) external {
        (uint256 licenseId, LicenseRecord memory record) = _license(l);
        vm.prank(assets.ownerOf(record.assetId));
        if (breach) licenses.revokeForBreach(licenseId, bytes32(0), bytes32(0));
        else licenses.revoke(licenseId, bytes32(0), bytes32(0));
        ++ended;
    }

    function dispute(uint256 l) external {
        (uint256 licenseId, LicenseRecord memory record) = _contested(l);
        vm.prank(record.licensee);
        licenses.dispute(licenseId);
    }

    function decide(uint256 l, uint256 part) external {
        (uint256 licenseId,) = _contested(l);
        (uint256 frozen,,) = licenses.contestOf(licenseId);
        vm.prank(people[3]);
        licenses.decide(licenseId, within(part, 0, frozen));
    }

    function conclude(uint256 l, uint256 who) external {
        (uint256 licenseId,) = _contested(l);
        vm.prank(people[who % PEOPLE]);
        licenses.conclude(licenseId);
    }

    function refundUnreleased(uint256 l) external {
        (uint256 licenseId,) = _license(l);
        licenses.refundUnreleased(licenseId);
    }

    // ---- hands, settlements, claims

    /// Seldom, since it voids all offers.
    function transferAsset(uint256 a, uint256 to, uint256 seldom) external {
        if (seldom % 5 != 0) return;
        uint256 assetId = a % ASSETS + 1;
        address owner = assets.ownerOf(assetId);
        vm.prank(owner);
        assets.transferFrom(owner, people[to % PEOPLE], assetId);
        ++handovers;
    }

    function transferLicense(uint256 l, uint256 to) external {
        (uint256 licenseId, LicenseRecord memory record) = _license(l);
        vm.prank(record.licensee);
        IERC721(address(licenses)).transferFrom(record.licensee, people[to % PEOPLE], licenseId);
    }

    function settle(uint256 a, uint256 t, uint256 maxDays) external {
        licenses.settle(a % ASSETS + 1, address(tokens[t % TOKENS]), maxDays % 20);
    }

    function claim(uint256 t, uint256 who) external {
        address token = address(tokens[t % TOKENS]);
        uint256 due = payments.claimable(token, people[who % PEOPLE]);
        if (due == 0) return;
        uint256 held = tokens[t % TOKENS].balanceOf(people[who % PEOPLE]);
        vm.prank(people[who % PEOPLE]);
        payments.claim(token);
        sent[t % TOKENS] += due;
        if (t % TOKENS == 0) {
            _true(tokens[0].balanceOf(people[who % PEOPLE]) == held + due, "I-M6: a claim pays all that is there");
        }
    }

    function claimMany(uint256 who) external {
        address[] memory list = new address[](TOKENS);
        // the hostile one first
        (list[0], list[1]) = (address(tokens[1]), address(tokens[0]));
        uint256 due = payments.claimable(address(tokens[0]), people[who % PEOPLE]);
        vm.prank(people[who % PEOPLE]);
        uint256[] memory amounts = payments.claimMany(list);
        _true(amounts[1] == due, "I-M23: no token blocks another");
        sent[0] += amounts[1];
        sent[1] += amounts[0];
    }

    /// The hostile token changes its manner; called back, it tries what its callers could.
    function setMood(uint256 mood, uint256 what, uint256 a) external {
        bytes memory call = what % 2 == 0
            ? abi.encodeCall(licenses.settle, (a % ASSETS + 1, address(moody), 9))
            : abi.encodeCall(licenses.refundUnreleased, (within(a, 1, MAX_LICENSES)));
        moody.setMood(MoodyToken.Mood(mood % 12 < 6 ? mood % 6 : 0), address(licenses), call);
    }

    // ---- what holds

    function check() external {
        yes(bytes(wrong).length == 0, wrong);
        uint256[TOKENS][ASSETS] memory unearned;
        uint256[TOKENS] memory lateSum;
        uint256 count = licenses.licenseCount();
        for (uint256 id = 1; id <= count; ++id) {
            LicenseRecord memory record = licenses.license(id);
            uint256 earned = licenses.earned(id);
            atMost(earned + record.refunded, paid[id], "I-M30: earned and refunded are at most paid (I-L2)");
            atMost(earnedBefore[id], earned, "I-M30: earned never falls (I-L2)");
            earnedBefore[id] = earned;
            uint256 t = _token(record.token);
            unearned[record.assetId - 1][t] += paid[id] - earned - record.refunded;
            for (uint256 p = 0; p < PEOPLE; ++p) {
                uint256 lies = payments.lateOf(record.token, address(licenses), people[p], bytes32(id));
                equal(lies, late[id][p], "I-M29: late money is its payer's");
                lateSum[t] += lies;
            }
            _checkExclusive(id, record, count);
        }
        for (uint256 t = 0; t < TOKENS; ++t) {
            uint256 sum = lateSum[t];
            for (uint256 a = 0; a < ASSETS; ++a) {
                bytes32 account = payments.moduleAccount(address(licenses), bytes32(a + 1));
                (uint256 lies, uint256 counted,,) = payments.bookOf(address(tokens[t]), account);
                atMost(unearned[a][t] + counted, lies, "I-M28: what nobody earned, and what is due, lies in the book");
                sum += lies;
            }
            for (uint256 p = 0; p < PEOPLE; ++p) {
                sum += payments.claimable(address(tokens[t]), people[p]);
            }
            equal(payments.recorded(address(tokens[t])), sum, "I-M2: recorded = what is owed");
            equal(sum, arrived[t] - sent[t], "I-M3: what came less what was sent");
            atMost(sum, tokens[t].balanceOf(address(payments)), "I-M1: solvency");
        }
    }

    /// I-V1, and I-L5: of an offer no more are in force than it has seats.
    function _checkExclusive(uint256 id, LicenseRecord memory record, uint256 count) private view {
        if (record.revokedAt != 0 || clock >= record.end) return;
        (OfferTerms memory terms,) = licenses.offer(record.offerId);
        uint256 seated;
        for (uint256 other = 1; other <= count; ++other) {
            LicenseRecord memory its = licenses.license(other);
            if (its.revokedAt != 0 || clock >= its.end) continue;
            if (its.offerId == record.offerId) ++seated;
            bool clashes = other != id && its.assetId == record.assetId && its.purposes & record.purposes != 0;
            yes(!(terms.exclusive && clashes), "I-V1: an exclusive license is alone");
        }
        if (terms.seats != 0) atMost(seated, terms.seats, "I-L5: seats");
    }

    // ---- help

    function _offer(uint256 o) private view returns (uint256) {
        // mostly one of the last: handovers void the others
        uint256 count = licenses.offerCount();
        return within(o, o % 4 != 0 && count > 3 ? count - 2 : 1, count);
    }

    function _license(uint256 l) private view returns (uint256 licenseId, LicenseRecord memory record) {
        uint256 count = licenses.licenseCount();
        licenseId = within(l, l % 2 != 0 && count > 4 ? count - 3 : 1, count);
        record = licenses.license(licenseId);
    }

    /// Mostly one of which a part is contested.
    function _contested(uint256 l) private view returns (uint256 licenseId, LicenseRecord memory record) {
        (licenseId, record) = _license(l);
        uint256 count = licenses.licenseCount();
        for (uint256 tries = 0; tries < count; ++tries) {
            (uint256 frozen,,) = licenses.contestOf(licenseId);
            if (frozen != 0) break;
            licenseId = licenseId % count + 1;
        }
        record = licenses.license(licenseId);
    }

    function _token(address token) private view returns (uint256) {
        return token == address(moody) ? 1 : 0;
    }

    function _true(bool holds, string memory what) private {
        if (!holds) wrong = what;
    }
}
