"""The index: complete, in order, and without what a reorganisation undid."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from qanat.chain.abis import ABI_FOLDER, abi_of, canonical, signature_of
from qanat.chain.connection import MADE_BY, Chain
from qanat.chain.deployment import DeployedContract, Deployment
from qanat.chain.sender import Sender
from qanat.cli.session import plain
from qanat.errors import BadParameters, ChainError, ChainUnreachable, StoreCorrupted, WrongChain
from qanat.index import Catalog, Index, Wanted
from qanat.index import database as index_database
from qanat.index.catalog import KINDS, SORTS
from qanat.index.database import decode_log
from qanat.index.rows import GENERAL, NOT_FOLLOWED, ROWS
from tests.unit.local_chain import anvil, deploy, key_signer

# Raises the contracts' real events with values that a test chooses: the index sees no difference.
SOURCE = """
// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import "contracts/interfaces/IObjects.sol";
import "contracts/interfaces/IAudits.sol";
import "contracts/interfaces/IShards.sol";
import "contracts/interfaces/IRestaking.sol";
import "contracts/interfaces/IRewards.sol";
import "contracts/interfaces/IAssets.sol";
import "contracts/interfaces/ILicenses.sol";
import "contracts/interfaces/IDirectory.sol";
import "contracts/interfaces/IMembers.sol";
import "contracts/interfaces/IOperators.sol";
import "contracts/types/Types.sol";

contract Emitter {
    function opened(bytes32 id, uint32 shard) external {
        OpenRequest memory request = OpenRequest(
            shard, 7, 4096, 2, 6, 3, 1e6, 12, bytes32(uint256(1)), bytes32(uint256(2)), bytes32(uint256(3)), 5e30
        );
        emit IObjects.ObjectOpened(id, msg.sender, shard, 7, request, bytes32(uint256(4)), 5e29);
    }
    function certified(bytes32 id, uint16[] calldata absent) external {
        emit IObjects.ObjectCertified(id, 4, 16, absent);
    }
    function changed(bytes32 id) external {
        emit IObjects.ObjectAdopted(id, address(7), 5, 5);
        emit IObjects.ObjectExtended(id, msg.sender, 20, 6e29, 9);
        emit IObjects.ObjectExtended(id, msg.sender, 21, 1, 0);
    }
    function terminated(bytes32 id) external { emit IObjects.ObjectTerminated(id, 12); }
    function failed(bytes32 id) external { emit IObjects.ObjectFailed(id); }
    function epoch(uint64 number, address[] calldata answered, address missed) external {
        emit IAudits.EpochSealed(1, number, bytes32(uint256(number)), block.number, block.number + 8, address(77));
        for (uint256 i; i < answered.length; ++i) emit IAudits.Answered(1, number, answered[i], 3, 4);
        if (missed != address(0)) emit IAudits.MissReported(1, number, missed, msg.sender, bytes32(uint256(9)));
    }
    function slashed(address operator, address token) external {
        emit IRestaking.SlashQueued(bytes32(uint256(9)), 1, operator, 5, 7, msg.sender, 100);
        emit IRestaking.SlashDelayed(bytes32(uint256(9)), 103);
        emit IRestaking.StakeSlashed(bytes32(uint256(9)), operator, token, 1e25);
        emit IRestaking.StakeSlashed(bytes32(uint256(9)), operator, token, 1e25);
        emit IRestaking.SlashExecuted(bytes32(uint256(9)), operator, 2e25, 1e25);
    }
    function settled(address operator) external { emit IRewards.EpochSettled(1, 5, operator, 3e25, 1e25, 2e25); }
    function roster() external { emit IShards.RosterTaken(1, 7, 12, 4, 3, address(21), address(22)); }
    function licensing(bytes32 id, address token) external {
        bytes32[] memory ids = new bytes32[](1);
        ids[0] = id;
        emit IAssets.AssetMinted(1, msg.sender, bytes32(uint256(5)), ids, "{}");
        bytes32 text = bytes32(uint256(6));
        OfferTerms memory terms = OfferTerms(1, token, 25e18, 5, 86400, 0, 10000, text, 3, true, false, token);
        emit ILicenses.OfferPublished(1, 1, terms);
        emit Transfer(address(0), msg.sender, 1);
        emit ILicenses.LicenseSold(1, 1, 1, msg.sender, 1000, 2000, 25e18);
        emit ILicenses.KeyReleased(1, msg.sender, bytes32(uint256(8)));
        emit ILicenses.LicenseRenewed(1, msg.sender, 3000, 25e18);
        emit ILicenses.LicenseRevoked(1, bytes32(0), bytes32(0), 1);
        emit ILicenses.OfferWithdrawn(1);
    }
    function minted(bytes calldata metadata) external {
        emit IAssets.AssetMinted(9, msg.sender, bytes32(0), new bytes32[](0), string(metadata));
    }
    address public members;
    function setMembers(address members_) external { members = members_; }
    function moved(address to, uint256 id) external { emit Transfer(msg.sender, to, id); }
    event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
    function offered(uint256 id, uint256 price, uint32 purposes, address token) external {
        address nobody;
        OfferTerms memory terms = OfferTerms(1, token, price, purposes, 86400, 0, 0, 0, 0, false, false, nobody);
        emit ILicenses.OfferPublished(id, 1, terms);
    }
    function operator(address who, uint16 commission, uint256 fromBlock) external {
        if (fromBlock == 0) {
            emit IOperators.OperatorRegistered(who, bytes32(0), bytes32(0), who);
            emit IOperators.EndpointChanged(who, "http://node", 0);
        } else {
            emit IOperators.EndpointChanged(who, "http://moved", fromBlock);
        }
        emit IOperators.CommissionChanged(who, commission, fromBlock);
    }
    function left(address who) external { emit IMembers.OperatorLeft(1, who); }
    function jailed(address who, uint256 until) external { emit IMembers.OperatorJailed(1, who, until); }
    function joined(address operator) external { emit IMembers.OperatorJoined(1, operator, 0); }
    function announce(bytes32 name, address module) external { emit IDirectory.ModuleSet(name, module); }
}
"""
IDS = [bytes([number]) * 32 for number in range(1, 40)]
PEOPLE = ["0x" + f"{number:02x}" * 20 for number in range(0x11, 0x1F)]


class World:
    """A chain with emitters in the places of the contracts."""

    def __init__(self, local):
        self.local = local
        self.chain = local.connect()
        self.sender = Sender(self.chain, key_signer())
        names = ("Directory", "Objects", "Audits", "Shards", "Restaking", "Rewards", "Assets", "Licenses", "Operators")
        self.at = {name: deploy(self.sender, "Emitter", source=SOURCE) for name in names}
        self.first = self.chain.latest() - len(names) + 1
        self.deployment = Deployment(
            "local",
            31337,
            contracts={
                name: DeployedContract(item.address, self.first + number)
                for number, (name, item) in enumerate(self.at.items())
            },
        )
        self.chain.use(self.deployment)

    def raise_(self, contract, event, *arguments):
        return self.sender.send(getattr(self.at[contract].functions, event)(*arguments))

    def connect(self) -> Chain:
        return self.local.connect(deployment=self.deployment)


@pytest.fixture(scope="module")
def shared():
    with anvil() as local:
        yield World(local)


@pytest.fixture
def world(shared):
    """The chain as it was after deployment, again for each test."""
    snapshot = shared.chain.rpc("evm_snapshot")
    yield shared
    shared.chain.rpc("evm_revert", snapshot)


@pytest.fixture
def index(world, tmp_path):
    with Index(tmp_path / "index.sqlite", world.connect()) as made:
        yield made


class TestEvents:
    def test_what_changed_an_object_since_its_certificate(self, world, index):
        """Who adopted counts as a signer from an epoch on; the last change of the end stands."""
        world.raise_("Objects", "opened", IDS[0], 1)
        world.raise_("Objects", "certified", IDS[0], [2, 5])
        changed = world.raise_("Objects", "changed", IDS[0])
        index.sync()
        certificate = index.certificate(IDS[0])
        assert [certificate.absent_in(epoch) for epoch in (4, 5)] == [(2, 5), (2,)]
        (adoption,) = certificate.adoptions
        assert (adoption.seat, adoption.from_epoch, adoption.block) == (5, 5, changed["blockNumber"])
        assert [(item.end_epoch, item.payment, item.listed_from) for item in certificate.extensions] == [
            (20, 6 * 10**29, 9),
            (21, 1, 0),
        ]
        assert (certificate.certified_end, certificate.end_epoch) == (16, 21)
        world.raise_("Objects", "terminated", IDS[0])
        index.sync()
        assert (index.certificate(IDS[0]).end_epoch, index.certificates()[0].terminated_end) == (12, 12)

    def test_objects_and_certificates(self, world, index):
        world.raise_("Objects", "opened", IDS[0], 1)
        receipt = world.raise_("Objects", "opened", IDS[1], 2)
        world.raise_("Objects", "opened", IDS[2], 1)
        certified = world.raise_("Objects", "certified", IDS[0], [2, 5])
        world.raise_("Objects", "failed", IDS[2])
        index.sync()
        assert [(item.object_id, item.status) for item in index.objects()] == [
            (IDS[0], "certified"),
            (IDS[1], "open"),
            (IDS[2], "failed"),
        ]
        found = index.object(IDS[1])
        assert (found.shard, found.roster, found.width, found.k, found.n, found.matrices) == (2, 7, 4096, 2, 6, 3)
        assert (found.size, found.epochs, found.payment) == (10**6, 12, 5 * 10**29)
        assert (found.owner, found.block) == (world.sender.address, receipt["blockNumber"])
        assert found.transaction == bytes(receipt["transactionHash"])
        assert [item[-1] for item in (found.tree_root, found.content_hash, found.header_hash, found.manifest_root)] == [
            1,
            2,
            3,
            4,
        ]
        certificate = index.certificate(IDS[0])
        assert (certificate.first_epoch, certificate.end_epoch, certificate.non_signers) == (4, 16, (2, 5))
        assert certificate.transaction == bytes(certified["transactionHash"])
        assert index.certificate(IDS[1]) is None
        assert index.object(IDS[30]) is None
        assert [item.object_id for item in index.objects(shard=1)] == [IDS[0], IDS[2]]
        assert [item.object_id for item in index.objects(status="open")] == [IDS[1]]
        assert index.objects(owner=PEOPLE[0]) == []
        assert len(index.objects(owner=world.sender.address.lower())) == 3

    def test_epochs_answers_and_misses(self, world, index):
        world.raise_("Audits", "epoch", 5, PEOPLE[:3], PEOPLE[4])
        world.raise_("Audits", "epoch", 6, PEOPLE[:2], "0x" + "00" * 20)
        world.raise_("Rewards", "settled", PEOPLE[0])
        index.sync()
        assert [item.epoch for item in index.sealed_epochs(1)] == [5, 6]
        assert index.sealed_epochs(1, 5)[0].deadline == index.sealed_epochs(1, 5)[0].sealed_block + 8
        assert int(index.sealed_epochs(1, 5)[0].sealer, 16) == 77
        assert index.sealed_epochs(2) == []
        assert [item.operator.lower() for item in index.answers(1, 5)] == PEOPLE[:3]
        assert [item.epoch for item in index.answers(operator=PEOPLE[0])] == [5, 6]
        assert (index.answers()[0].live, index.answers()[0].read) == (3, 4)
        assert [(item.epoch, item.operator.lower()) for item in index.misses()] == [(5, PEOPLE[4])]
        (paid,) = index.settlements(epoch=5)
        assert (paid.amount, paid.to_operator, paid.to_sealers) == (3 * 10**25, 10**25, 2 * 10**25)

    def test_slashes_with_all_that_they_took(self, world, index):
        world.raise_("Restaking", "slashed", PEOPLE[3], PEOPLE[5])
        index.sync()
        (slash,) = index.slashes(PEOPLE[3])
        assert (slash.epoch, slash.roster, slash.ready_block) == (5, 7, 103)
        assert (slash.bond_taken, slash.reporter_reward) == (2 * 10**25, 10**25)
        assert list(slash.stake_taken.values()) == [2 * 10**25]
        assert slash.executed_block is not None
        assert index.slashes(PEOPLE[0]) == []
        assert index.slashes(slash_id=slash.slash_id) == [slash]

    def test_rosters(self, world, index):
        world.raise_("Shards", "roster")
        index.sync()
        (roster,) = index.rosters(1)
        assert (roster.number, roster.tickets, roster.operators, roster.active_from_epoch) == (7, 12, 4, 3)
        assert (int(roster.key_sum, 16), int(roster.slasher, 16)) == (21, 22)

    def test_assets_offers_and_licenses(self, world, index):
        world.raise_("Licenses", "licensing", IDS[0], PEOPLE[5])
        world.raise_("Assets", "licensing", IDS[0], PEOPLE[5])
        index.sync()
        # what a contract has no such event for is not taken from it
        (asset,) = index.assets()
        (offer,) = index.offers(1)
        (sold,) = index.licenses(licensee=world.sender.address)
        assert asset.objects == (IDS[0],)
        assert (offer.terms.price, offer.terms.purposes, offer.terms.token.lower()) == (25 * 10**18, 5, PEOPLE[5])
        assert offer.withdrawn
        assert (sold.start, sold.end, sold.revoked, sold.released) == (1000, 3000, True, True)
        assert index.asset(2) is None
        assert index.licenses(license_id=2) == []
        world.raise_("Licenses", "moved", PEOPLE[4], 1)
        index.sync()
        assert index.licenses(licensee=world.sender.address) == []
        (passed_on,) = index.licenses(licensee=PEOPLE[4])
        assert passed_on.license_id == 1

    def test_any_event_with_its_arguments(self, world, index):
        world.raise_("Objects", "certified", IDS[0], [1])
        index.sync()
        (event,) = index.events("ObjectCertified", contract="Objects")
        assert event.arguments == {
            "objectId": "0x" + IDS[0].hex(),
            "firstEpoch": 4,
            "endEpoch": 16,
            "nonSigners": [1],
        }
        assert index.events("ObjectCertified", since=event.block + 1) == []

    def test_an_event_of_a_stranger_is_not_taken(self, world, index):
        """Anybody can raise an event of the same name from a contract of their own."""
        stranger = deploy(world.sender, "Emitter", source=SOURCE)
        world.sender.send(stranger.functions.opened(IDS[0], 1))
        index.sync()
        assert index.objects() == []


class TestSync:
    def test_goes_as_far_as_it_is_told(self, world, index):
        for number in range(4):
            world.raise_("Objects", "opened", IDS[number], 1)
        latest = world.chain.latest()
        assert index.sync(latest - 2) == latest - 2
        assert len(index.objects()) == 2
        assert index.sync(10**9) == latest
        assert index.sync(latest - 3) == latest
        assert len(index.objects()) == 4

    def test_survives_a_restart(self, world, tmp_path):
        path = tmp_path / "index.sqlite"
        world.raise_("Objects", "opened", IDS[0], 1)
        with Index(path, world.connect()) as index:
            index.sync()
            assert index.needs_logs_from == world.chain.latest() + 1
        world.raise_("Objects", "opened", IDS[1], 1)
        with Index(path, world.connect()) as index:
            assert len(index.objects()) == 1
            index.sync()
            assert len(index.objects()) == 2

    def test_says_which_logs_it_needs(self, world, index):
        assert index.needs_logs_from == world.first

    def test_two_at_once_write_everything_once(self, world, tmp_path):
        path = tmp_path / "index.sqlite"
        world.raise_("Objects", "opened", IDS[0], 1)
        with Index(path, world.connect()) as one, Index(path, world.connect()) as two:
            one.sync()
            two.sync()
            world.raise_("Objects", "opened", IDS[1], 1)
            two.sync()
            one.sync()
            assert len(one.objects()) == len(two.objects()) == 2

    def test_the_range_shrinks_until_the_endpoint_takes_it(self, world, index, monkeypatch):
        """An endpoint that refuses more than three blocks at once is served all the same."""
        for number in range(10):
            world.raise_("Objects", "opened", IDS[number], 1)
        monkeypatch.setattr(index_database, "BY_HASH", 0)
        real = index.chain.rpc
        asked = []

        def rpc(method, *parameters):
            if method == "eth_getLogs":
                span = int(parameters[0]["toBlock"], 16) - int(parameters[0]["fromBlock"], 16) + 1
                asked.append(span)
                if span > 3:
                    raise ChainError("query returned more than 10000 results")
            return real(method, *parameters)

        monkeypatch.setattr(index.chain, "rpc", rpc)
        index.sync()
        assert len(index.objects()) == 10
        assert max(asked) > 3

    def test_after_many_events_fewer_blocks_are_asked_for(self, world, index, monkeypatch):
        """What lies in memory at once is bounded by the events, not by the blocks."""
        for number in range(12):
            world.raise_("Objects", "opened", IDS[number], 1)
        monkeypatch.setattr(index_database, "BY_HASH", 0)
        monkeypatch.setattr(index_database, "MANY_EVENTS", 2)
        index._span = 6
        real = index.chain.rpc
        spans = []

        def rpc(method, *parameters):
            if method == "eth_getLogs":
                spans.append(int(parameters[0]["toBlock"], 16) - int(parameters[0]["fromBlock"], 16) + 1)
            return real(method, *parameters)

        monkeypatch.setattr(index.chain, "rpc", rpc)
        index.sync()
        assert len(index.objects()) == 12
        assert max(spans) == 6
        assert max(spans[2:]) <= 3

    @pytest.mark.parametrize("by_hash", [0, 64])
    def test_an_endpoint_that_keeps_no_logs_is_named(self, world, index, monkeypatch, by_hash):
        monkeypatch.setattr(index_database, "BY_HASH", by_hash)
        monkeypatch.setattr(index_database.time, "sleep", lambda _: None)
        real = index.chain.rpc

        def rpc(method, *parameters):
            if method == "eth_getLogs":
                raise ChainError("history has been pruned")
            return real(method, *parameters)

        monkeypatch.setattr(index.chain, "rpc", rpc)
        with pytest.raises(ChainError, match=rf"pruned.*from block {world.first} on"):
            index.sync()

    def test_an_endpoint_that_goes_away_leaves_what_was_read(self, world, index, monkeypatch):
        world.raise_("Objects", "opened", IDS[0], 1)
        index.sync()
        world.raise_("Objects", "opened", IDS[1], 1)
        real = index.chain.rpc

        def rpc(method, *parameters):
            if method == "eth_getLogs":
                raise ChainUnreachable("gone")
            return real(method, *parameters)

        with monkeypatch.context() as patch:
            patch.setattr(index.chain, "rpc", rpc)
            with pytest.raises(ChainUnreachable):
                index.sync()
        assert len(index.objects()) == 1
        index.sync()
        assert len(index.objects()) == 2

    def test_a_module_that_was_swapped_in_is_followed(self, world, index):
        """From the block in which the Directory announced it, and also within the same range of blocks."""
        index.sync()
        new = deploy(world.sender, "Emitter", source=SOURCE)
        world.raise_("Directory", "announce", b"objects".ljust(32, b"\0"), new.address)
        world.sender.send(new.functions.opened(IDS[0], 1))
        world.raise_("Objects", "opened", IDS[1], 1)
        index.sync()
        assert [item.object_id for item in index.objects()] == [IDS[0], IDS[1]]
        world.sender.send(new.functions.opened(IDS[2], 1))
        index.sync()
        assert len(index.objects()) == 3

    def test_what_a_module_made_is_followed(self, world, index):
        """Members is made by Shards and named by it; no Directory knows it."""
        made = deploy(world.sender, "Emitter", source=SOURCE)
        world.raise_("Shards", "setMembers", made.address)
        world.sender.send(made.functions.joined(PEOPLE[2]))
        index.sync()
        (event,) = index.events("OperatorJoined", contract="Members")
        assert str(event.arguments["operator"]).lower() == PEOPLE[2]


class TestHostile:
    """What anybody can put on chain, and what an endpoint can answer, never stops an index or falsifies it."""

    @pytest.mark.parametrize("text", [b"\xff\xfe{", b"\x00\x1b[2J", "\ud800".encode("utf-8", "surrogatepass"), b""])
    def test_a_text_that_is_none(self, world, index, text):
        """A contract takes any bytes as a text; one such asset would stop everybody's index for ever."""
        world.raise_("Assets", "minted", text)
        world.raise_("Objects", "opened", IDS[0], 1)
        index.sync()
        assert index.asset(9).metadata == text.decode("utf-8", "replace")
        assert len(index.objects()) == 1

    def test_a_node_that_lags_behind_hides_no_event(self, world, index, monkeypatch):
        """Behind one address several nodes answer in turn; one has not seen the newest two blocks."""
        for number in range(6):
            world.raise_("Objects", "opened", IDS[number], 1)
        newest = world.chain.latest()
        known_to_it = {world.chain.block_hash(number) for number in range(newest - 1)}
        real, asked = index.chain.rpc, []
        monkeypatch.setattr(index_database.time, "sleep", lambda _: None)

        def rpc(method, *parameters):
            if method == "eth_getLogs":
                asked.append(parameters)
                if len(asked) % 2:
                    hash_ = parameters[0].get("blockHash")
                    if hash_ is None:  # as geth does: no error for blocks that it does not have
                        end = min(int(parameters[0]["toBlock"], 16), newest - 2)
                        return real(method, {**parameters[0], "toBlock": hex(end)})
                    if bytes.fromhex(hash_[2:]) not in known_to_it:
                        raise ChainError("unknown block")
            return real(method, *parameters)

        monkeypatch.setattr(index.chain, "rpc", rpc)
        index.sync()
        assert len(index.objects()) == 6

    @pytest.mark.parametrize("by_hash", [0, 64])
    def test_a_log_that_comes_twice_is_stored_once(self, world, index, monkeypatch, by_hash):
        monkeypatch.setattr(index_database, "BY_HASH", by_hash)
        world.raise_("Objects", "opened", IDS[0], 1)
        self.twisted(index, monkeypatch, lambda logs: logs + logs)
        index.sync()
        assert len(index.objects()) == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"blockNumber": "0x1"},
            {"blockNumber": None},
            {"data": "0x00"},
            {"data": "0xzz"},
            {"address": PEOPLE[0]},
            {"blockHash": "0x11"},
            {"logIndex": []},
        ],
    )
    def test_logs_that_make_no_sense_are_refused(self, world, index, monkeypatch, change):
        """The index stays as it was, and goes on when the endpoint has come to its senses."""
        monkeypatch.setattr(index_database.time, "sleep", lambda _: None)
        index.sync()
        world.raise_("Objects", "opened", IDS[0], 1)
        with monkeypatch.context() as patch:
            self.twisted(index, patch, lambda logs: [{**log, **change} for log in logs])
            with pytest.raises(ChainError):
                index.sync()
        assert index.objects() == []
        index.sync()
        assert len(index.objects()) == 1

    def twisted(self, index, patch, change):
        real = index.chain.rpc

        def rpc(method, *parameters):
            answer = real(method, *parameters)
            return change(answer) if method == "eth_getLogs" else answer

        patch.setattr(index.chain, "rpc", rpc)


class TestAbis:
    """No event is forgotten, and none can be one that the index does not take."""

    @staticmethod
    def followed():
        # what a build beside the package holds besides, doubles of tests, is nobody's to follow
        contracts = sorted({path.stem for path in ABI_FOLDER.glob("*.json")} - NOT_FOLLOWED.keys())
        # an interface's events are followed at the contract that has it
        return [name for name in contracts if not (name.startswith("I") and name[1:] in contracts)]

    @staticmethod
    def events(contract):
        return [entry for entry in abi_of(contract) if entry.get("type") == "event"]

    def test_each_event_has_a_table_or_a_reason(self):
        every = {(name, entry["name"]) for name in self.followed() for entry in self.events(name)}
        interfaces = {"IRandomness": "RandaoBeacon"}  # both beacons raise it
        every = {(interfaces.get(contract, contract), name) for contract, name in every}
        assert every == ROWS.keys() | GENERAL.keys()
        assert not ROWS.keys() & GENERAL.keys()
        assert all(GENERAL.values())

    def test_who_has_events_is_a_module_or_made_by_one(self, world):
        """A contract of which the index would not know the address has none."""
        modules = {"Directory", *index_database.MODULES, *MADE_BY, "IRandomness", "IDrandBeacon"}
        assert {name for name in self.followed() if self.events(name)} <= modules

    @pytest.mark.parametrize("seed", range(4))
    def test_each_event_is_stored_with_any_values(self, world, index, monkeypatch, seed):
        """The largest numbers, empty and odd texts, structs: stored, and read back as they were."""
        chance = random.Random(seed)
        block = index.needs_logs_from
        hash_ = "0x" + world.chain.block_hash(block).hex()
        logs, expected = [], []
        every = [(name, entry) for name in self.followed() if name != "IRandomness" for entry in self.events(name)]
        for number, (contract, entry) in enumerate(every):
            values = [value_of(item, chance, extreme=seed == 0) for item in entry["inputs"]]
            plain = [(item, value) for item, value in zip(entry["inputs"], values, strict=True) if not item["indexed"]]
            topics = [keccak(text=signature_of(entry))]
            for item, value in zip(entry["inputs"], values, strict=True):
                if item["indexed"]:
                    topics.append(encode([canonical(item)], [value]))
            log = {
                "address": address_of(contract),
                "blockNumber": hex(block),
                "blockHash": hash_,
                "logIndex": hex(number),
                "transactionHash": "0x" + "ab" * 32,
                "topics": ["0x" + item.hex() for item in topics],
                "data": "0x" + encode([raw(canonical(item)) for item, _ in plain], [value for _, value in plain]).hex(),
            }
            logs.append(log)
            expected.append((contract, entry["name"], index_database._plain(decode_log(entry, log))))
        modules = {address_of(contract): contract for contract in self.followed()}
        monkeypatch.setattr(index, "_made_by", lambda _: modules)
        real = index.chain.rpc
        monkeypatch.setattr(
            index.chain, "rpc", lambda method, *more: logs if method == "eth_getLogs" else real(method, *more)
        )
        index.sync(block)
        assert [(item.contract, item.name, item.arguments) for item in index.events()] == expected
        tables = {table for table, _ in ROWS.values()}
        for table in tables:
            wanted = sum(table == ROWS.get((contract, name), ("", 0))[0] for contract, name, _ in expected)
            assert index._database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == wanted


def address_of(contract):
    return to_checksum_address(keccak(text=contract)[:20])


def raw(kind):
    """A text goes through any bytes, as a contract lets it."""
    return kind.replace("string", "bytes")


def value_of(item, chance, *, extreme):
    """A value of a type: with ``extreme`` the largest, or the emptiest, that there is."""
    kind = item["type"]
    if kind.endswith("]"):
        part = {**item, "type": kind[: kind.rindex("[")]}
        return [value_of(part, chance, extreme=extreme) for _ in range(0 if extreme else chance.randrange(4))]
    if kind == "tuple":
        return tuple(value_of(part, chance, extreme=extreme) for part in item["components"])
    if kind.startswith("uint"):
        return 2 ** int(kind[4:]) - 1 if extreme else chance.randrange(2 ** int(kind[4:]))
    if kind == "address":
        return "0x" + chance.randbytes(20).hex()
    if kind == "bool":
        return chance.random() < 0.5
    size = int(kind[5:]) if kind.startswith("bytes") and kind != "bytes" else chance.randrange(40)
    return chance.randbytes(size)


class TestReorganisation:
    def test_anvil_s_own(self):
        """Three blocks are replaced by empty ones, and a fourth comes: what they held is gone."""
        with anvil() as local:
            world = World(local)
            for number in range(5):
                world.raise_("Objects", "opened", IDS[number], 1)
            with Index(":memory:", world.connect()) as index:
                index.sync()
                assert len(index.objects()) == 5
                world.chain.rpc("anvil_reorg", 3, [])
                index.sync()
                assert [item.object_id for item in index.objects()] == IDS[:2]
                world.chain.rpc("anvil_mine", "0x1")
                assert index.sync() == world.chain.latest()
                assert len(index.objects()) == 2

    def test_what_was_undone_disappears(self, world, index):
        world.raise_("Objects", "opened", IDS[0], 1)
        index.sync()
        snapshot = world.chain.rpc("evm_snapshot")
        world.raise_("Objects", "certified", IDS[0], [])
        world.raise_("Objects", "opened", IDS[1], 1)
        index.sync()
        assert index.object(IDS[0]).status == "certified"
        world.chain.rpc("evm_revert", snapshot)
        world.raise_("Objects", "opened", IDS[2], 1)
        world.raise_("Objects", "opened", IDS[3], 1)
        world.raise_("Objects", "failed", IDS[0])
        index.sync()
        assert [(item.object_id, item.status) for item in index.objects()] == [
            (IDS[0], "failed"),
            (IDS[2], "open"),
            (IDS[3], "open"),
        ]

    def test_a_shorter_chain_is_followed_too(self, world, index):
        snapshot = world.chain.rpc("evm_snapshot")
        for number in range(6):
            world.raise_("Objects", "opened", IDS[number], 1)
        index.sync()
        world.chain.rpc("evm_revert", snapshot)
        world.raise_("Objects", "opened", IDS[9], 1)
        assert index.sync() == world.chain.latest()
        assert [item.object_id for item in index.objects()] == [IDS[9]]

    def test_one_deeper_than_the_last_range(self, world, index):
        """Several synchronisations are undone at once, back to the block on which both agree."""
        world.raise_("Objects", "opened", IDS[0], 1)
        index.sync()
        snapshot = world.chain.rpc("evm_snapshot")
        for number in range(1, 6):
            world.raise_("Objects", "opened", IDS[number], 1)
            index.sync()
        world.chain.rpc("evm_revert", snapshot)
        world.chain.rpc("anvil_mine", hex(20))
        index.sync()
        assert [item.object_id for item in index.objects()] == [IDS[0]]

    def test_a_module_announced_in_an_undone_block_is_forgotten(self, world, index):
        snapshot = world.chain.rpc("evm_snapshot")
        new = deploy(world.sender, "Emitter", source=SOURCE)
        world.raise_("Directory", "announce", b"objects".ljust(32, b"\0"), new.address)
        index.sync()
        world.chain.rpc("evm_revert", snapshot)
        # a stranger's contract comes to stand at the very address that was announced
        again = deploy(world.sender, "Emitter", source=SOURCE)
        assert again.address == new.address
        world.sender.send(again.functions.opened(IDS[0], 1))
        index.sync()
        assert index.objects() == []

    def test_one_while_a_range_is_read_is_noticed(self, world, index, monkeypatch):
        """The logs come from the new chain, the hash from the old one: nothing of it is stored."""
        world.raise_("Objects", "opened", IDS[0], 1)
        snapshot = world.chain.rpc("evm_snapshot")
        world.raise_("Objects", "opened", IDS[1], 1)
        real = index.chain.rpc
        done = []

        def rpc(method, *parameters):
            answer = real(method, *parameters)
            if method == "eth_getLogs" and not done:
                done.append(True)
                world.chain.rpc("evm_revert", snapshot)
                world.raise_("Objects", "opened", IDS[2], 1)
            return answer

        monkeypatch.setattr(index.chain, "rpc", rpc)
        index.sync()
        assert [item.object_id for item in index.objects()] == [IDS[0], IDS[2]]

    def test_another_chain_with_the_same_addresses_begins_anew(self, world, tmp_path):
        """A local chain started again has the same addresses and other blocks."""
        path = tmp_path / "index.sqlite"
        world.raise_("Objects", "opened", IDS[0], 1)
        with Index(path, world.connect()) as index:
            index.sync()
        with anvil("--timestamp", "1700000000") as other:
            second = World(other)
            assert second.deployment.to_json() == world.deployment.to_json()
            second.raise_("Objects", "opened", IDS[7], 1)
            with Index(path, second.connect()) as index:
                index.sync()
                assert [item.object_id for item in index.objects()] == [IDS[7]]


class TestFile:
    def test_of_another_deployment_is_refused(self, world, index, tmp_path):
        other = Deployment(
            "local", 31337, contracts={**world.deployment.contracts, "Directory": DeployedContract(PEOPLE[0], 1)}
        )
        with pytest.raises(WrongChain):
            Index(index.path, world.local.connect(deployment=other))

    def test_that_is_no_index_is_named(self, world, tmp_path):
        path = tmp_path / "x.sqlite"
        path.write_bytes(b"no database, but long enough to be looked at" * 100)
        with pytest.raises(StoreCorrupted, match="delete it"):
            Index(path, world.connect())

    def test_that_is_damaged_is_named(self, world, tmp_path):
        path = tmp_path / "index.sqlite"
        with Index(path, world.connect()) as index:
            for number in range(30):
                world.raise_("Objects", "opened", IDS[number], 1)
            index.sync()
        content = bytearray(path.read_bytes())
        content[4096:] = bytes(len(content) - 4096)
        path.write_bytes(content)

        def use():
            with Index(path, world.connect()) as index:
                index.objects()
                index.sync()

        with pytest.raises(StoreCorrupted):
            use()

    def test_of_an_older_form_is_built_anew(self, world, index, tmp_path):
        world.raise_("Objects", "opened", IDS[0], 1)
        index.sync()
        index.close()
        copy = tmp_path / "old.sqlite"
        shutil.copy(index.path, copy)
        with sqlite3.connect(copy) as database:
            database.execute("UPDATE meta SET value = '0' WHERE name = 'version'")
        with Index(copy, world.connect()) as again:
            assert again.objects() == []
            again.sync()
            assert len(again.objects()) == 1

    def test_old_hashes_are_thinned(self, world, index, monkeypatch):
        """Where few hashes are kept, synchronising stays right."""
        monkeypatch.setattr(index_database, "DENSE_HASHES", 4)
        for number in range(20):
            world.raise_("Objects", "opened", IDS[number], 1)
            index.sync()
        kept = index._database.execute("SELECT count(*) FROM blocks").fetchone()[0]
        assert kept <= 12
        assert len(index.objects()) == 20
        assert isinstance(index.path, Path)


class TestCatalog:
    """What `qanat list` shows: chosen, ordered, a page at a time."""

    TOKEN = PEOPLE[5]

    @pytest.fixture
    def catalog(self, world, index):
        opened = [world.raise_("Objects", "opened", IDS[number], 1 + number % 2) for number in range(5)]
        world.raise_("Objects", "certified", IDS[0], [])  # epochs 4 to 15
        world.raise_("Objects", "certified", IDS[2], [])
        world.raise_("Objects", "failed", IDS[3])
        self.opened = [int(item["blockNumber"]) for item in opened]
        index.sync()
        return Catalog(index, epochs={1: 5, 2: 3}, block=world.chain.latest(), time=1500)

    def states(self, page):
        return [(row["object"], row["state"]) for row in page.rows]

    def test_objects_by_their_state(self, catalog, world):
        page = catalog.page(Wanted("objects"))
        assert self.states(page) == [
            (IDS[0], "live"),
            (IDS[1], "open"),
            (IDS[2], "live"),
            (IDS[3], "failed"),
            (IDS[4], "open"),
        ]
        assert page.total == 5
        assert [row["opened"] for row in page.rows] == self.opened
        assert page.rows[0]["paid"] == 5 * 10**29
        assert [row["object"] for row in catalog.page(Wanted("objects", live=True)).rows] == [IDS[0], IDS[2]]
        assert [row["object"] for row in catalog.page(Wanted("objects", shard=2)).rows] == [IDS[1], IDS[3]]
        assert catalog.page(Wanted("objects", owner=PEOPLE[0])).total == 0

    def test_epochs_end_what_is_live(self, index, catalog):
        later = Catalog(index, epochs={1: 16, 2: 16}, block=1, time=1)
        assert later.page(Wanted("objects")).rows[0]["state"] == "ended"
        before = Catalog(index, epochs={1: 3, 2: 3}, block=1, time=1)
        assert before.page(Wanted("objects")).rows[0]["state"] == "certified"

    def test_pages(self, catalog):
        pages = [catalog.page(Wanted("objects", descending=True, limit=2, offset=offset)) for offset in (0, 2, 4, 6)]
        assert [[row["object"] for row in page.rows] for page in pages] == [
            [IDS[4], IDS[3]],
            [IDS[2], IDS[1]],
            [IDS[0]],
            [],
        ]
        assert {page.total for page in pages} == {5}
        assert len(catalog.page(Wanted("objects", limit=0)).rows) == 5

    def test_assets_offers_and_licenses(self, world, index, catalog):
        world.raise_("Assets", "licensing", IDS[0], self.TOKEN)
        world.raise_("Assets", "moved", PEOPLE[3], 1)
        for number, price in enumerate((9, 10**30, 25)):
            world.raise_("Licenses", "offered", number + 5, price, 1 << number, self.TOKEN)
        world.raise_("Licenses", "licensing", IDS[0], self.TOKEN)  # offer 1, withdrawn; license 1, revoked
        index.sync()
        (asset,) = catalog.page(Wanted("assets")).rows
        assert asset["owner"].lower() == PEOPLE[3]
        # as every id, bytes: shown with 0x, as commands take them
        assert plain(asset["objects"]) == ["0x" + IDS[0].hex()]
        assert (asset["size"], asset["offers"], asset["licenses"], asset["live"]) == (10**6, [5, 6, 7], 1, 1)
        assert catalog.page(Wanted("assets", live=True, shard=1, purposes=2)).total == 1
        assert catalog.page(Wanted("assets", shard=2)).total == 0
        assert catalog.page(Wanted("assets", purposes=8)).total == 0
        assert catalog.page(Wanted("assets", owner=world.sender.address)).total == 0
        # numbers as numbers, though one passes 64 bits
        offers = catalog.page(Wanted("offers", sort="price")).rows
        assert [(row["offer"], row["price"]) for row in offers] == [(5, 9), (7, 25), (1, 25 * 10**18), (6, 10**30)]
        assert [row["offer"] for row in catalog.page(Wanted("offers", live=True, purposes=1)).rows] == [5]
        assert [row["state"] for row in offers] == ["on sale", "on sale", "withdrawn", "on sale"]
        (license_,) = catalog.page(Wanted("licenses")).rows
        assert (license_["state"], license_["key_released"], license_["end"]) == ("revoked", 1, 3000)
        assert catalog.page(Wanted("licenses", live=True)).total == 0
        assert catalog.page(Wanted("licenses", owner=world.sender.address)).total == 1
        world.raise_("Assets", "moved", PEOPLE[4], 1)
        index.sync()
        assert catalog.page(Wanted("offers", live=True)).total == 0
        assert catalog.page(Wanted("assets", owner=to_checksum_address(PEOPLE[4]))).total == 1

    def test_operators(self, world, index):
        made = deploy(world.sender, "Emitter", source=SOURCE)
        world.raise_("Shards", "setMembers", made.address)
        for operator in PEOPLE[:3]:
            world.raise_("Operators", "operator", operator, 500, 0)
            world.sender.send(made.functions.joined(operator))
        latest = world.chain.latest()
        world.raise_("Operators", "operator", PEOPLE[0], 700, latest + 3)  # replaced before it is in force
        world.raise_("Operators", "operator", PEOPLE[0], 900, latest + 100)  # waits
        world.sender.send(made.functions.left(PEOPLE[1]))
        world.raise_("Audits", "epoch", 5, PEOPLE[:1], PEOPLE[2])
        world.raise_("Audits", "epoch", 6, [PEOPLE[0], PEOPLE[2]], "0x" + "00" * 20)
        world.raise_("Restaking", "slashed", PEOPLE[2], self.TOKEN)
        index.sync()
        catalog = Catalog(index, epochs={1: 6}, block=world.chain.latest(), time=0)
        rows = {row["operator"].lower(): row for row in catalog.page(Wanted("operators")).rows}
        assert list(rows)[:3] == [*PEOPLE[:3]]
        first, second, third = (rows[item] for item in PEOPLE[:3])
        assert (first["commission"], first["next_commission"], first["shards"]) == (500, 900, [1])
        assert (first["answered"], first["missed"], first["availability"]) == (2, 0, 1.0)
        assert (second["shards"], second["availability"]) == ([], None)
        assert (third["answered"], third["missed"], third["availability"], third["slashes"]) == (1, 1, 0.5, 1)
        assert (third["endpoint"], third["next_endpoint"]) == ("http://node", None)
        assert (first["endpoint"], first["next_endpoint"]) == ("http://node", "http://moved")
        assert catalog.page(Wanted("operators", live=True)).total == 2
        assert catalog.page(Wanted("operators", shard=1)).total == 2
        best = catalog.page(Wanted("operators", sort="availability", descending=True)).rows
        assert [row["operator"].lower() for row in best] == [PEOPLE[0], PEOPLE[2], PEOPLE[1]]
        world.sender.send(made.functions.jailed(PEOPLE[0], 2**256 - 1))
        index.sync()
        assert catalog.page(Wanted("operators", live=True)).total == 1

    @pytest.mark.parametrize(
        "wanted", [Wanted("objects", sort="owner; DROP TABLE objects"), Wanted("shards", owner=PEOPLE[0])]
    )
    def test_what_a_kind_does_not_have_is_named(self, catalog, wanted):
        with pytest.raises(BadParameters, match="They can by"):
            catalog.page(wanted)

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_order_and_filter_of_a_kind_is_a_query(self, index, kind):
        catalog = Catalog(index, epochs={}, block=1, time=1)
        for sort in SORTS[kind]:
            assert catalog.page(Wanted(kind, sort=sort, descending=True, live=True)).rows == []
