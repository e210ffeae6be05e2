"""Rounds of a drand network for a chain without randomness of its own: an own key, and quicknet's words."""

import hashlib

import pytest
from eth_abi import encode
from eth_utils import keccak
from py_arkworks_bls12381 import G1Point, G2Point

from qanat.bls.kernels import signature_kernel
from qanat.chain.header import encode_header
from qanat.chain.randomness import DRAND_TAG, round_message
from tests.contracts.reverts import reverts_with

GENESIS, PERIOD, LEAD = 1_000_000, 3, 30
SECRET = 0x1234567890ABCDEF
TAG = keccak(text="qanat/v1/drand")

# https://api.drand.sh/52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971/info and /public/1000
QUICKNET_KEY = (
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
    "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
)
QUICKNET_GENESIS, QUICKNET_PERIOD = 1_692_803_367, 3
QUICKNET_ROUND = 1000
QUICKNET_SIGNATURE = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
QUICKNET_RANDOMNESS = "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd"


def padded(point):
    """EIP-2537's form of a point of G1 or G2."""
    raw = point.to_xy_bytes_be()
    return b"".join(bytes(16) + raw[i : i + 48] for i in range(0, len(raw), 48))


def words(key):
    return [int.from_bytes(key[i : i + 32], "big") for i in range(0, len(key), 32)]


def sign(number, secret=SECRET):
    return signature_kernel("fast").sign(secret, round_message(number), DRAND_TAG)


@pytest.fixture(scope="module")
def key():
    return signature_kernel("fast").public_key(SECRET)


@pytest.fixture(scope="module")
def beacon(project, deployer, key):
    return deployer.deploy(project.DrandBeacon, words(key), GENESIS, PERIOD, LEAD)


@pytest.fixture
def block(chain):
    """A block that is mined, and that a transaction may name."""
    chain.provider.web3.provider.make_request("anvil_mine", ["0x2"])
    return chain.provider.web3.eth.get_block(chain.provider.web3.eth.block_number)


def round_at(timestamp):
    """The first round that is signed after the block's time and the lead."""
    number = 1
    number += max(0, (timestamp + LEAD - GENESIS) // PERIOD - 2)
    while GENESIS + (number - 1) * PERIOD <= timestamp + LEAD:
        number += 1
    return number


class TestReveal:
    def test_refuses_a_block_that_is_not_mined(self, beacon, chain, deployer):
        current = chain.provider.web3.eth.block_number + 1
        with reverts_with(beacon.BlockUnreachable, blockNumber=current, currentBlock=current):
            beacon.reveal(current, bytes(200), sender=deployer)

    def test_refuses_less_than_a_signature(self, beacon, block, deployer):
        with reverts_with(beacon.PointLengthInvalid, got=127, expected=128):
            beacon.reveal(block["number"], bytes(127), sender=deployer)

    def test_refuses_another_blocks_header(self, beacon, chain, block, deployer):
        other = encode_header(chain.provider.web3.eth.get_block(block["number"] - 1))
        signature = sign(round_at(block["timestamp"]))
        with reverts_with(beacon.HeaderMismatch, got=keccak(other), expected=bytes(block["hash"])):
            beacon.reveal(block["number"], other + signature, sender=deployer)

    @pytest.mark.parametrize("step", [-1, 1, -11])
    def test_refuses_another_rounds_signature(self, beacon, block, deployer, step):
        """The rounds beside it, and the one of the block's own time: whoever sets the time knows that one."""
        number = round_at(block["timestamp"])
        proof = encode_header(block) + sign(number + step)
        with reverts_with(beacon.RoundSignatureInvalid, blockNumber=block["number"], round=number):
            beacon.reveal(block["number"], proof, sender=deployer)

    def test_refuses_another_networks_signature(self, beacon, block, deployer):
        number = round_at(block["timestamp"])
        with reverts_with(beacon.RoundSignatureInvalid, blockNumber=block["number"], round=number):
            beacon.reveal(block["number"], encode_header(block) + sign(number, SECRET + 1), sender=deployer)

    def test_refuses_the_identity_and_what_is_no_point(self, beacon, block, deployer):
        number = round_at(block["timestamp"])
        good = sign(number)
        for bad in (bytes(128), good[:127] + bytes([good[127] ^ 1]), b"\1" + good[1:]):
            with reverts_with(beacon.RoundSignatureInvalid, blockNumber=block["number"], round=number):
                beacon.reveal(block["number"], encode_header(block) + bad, sender=deployer)

    def test_refuses_the_opposite_of_the_signature(self, beacon, block, deployer):
        number = round_at(block["timestamp"])
        point = -G1Point.from_xy_bytes_be(sign(number)[16:64] + sign(number)[80:])
        with reverts_with(beacon.RoundSignatureInvalid, blockNumber=block["number"], round=number):
            beacon.reveal(block["number"], encode_header(block) + padded(point), sender=deployer)

    def test_refuses_a_block_before_the_network(self, project, chain, block, deployer, key):
        late = deployer.deploy(project.DrandBeacon, words(key), block["timestamp"] + LEAD + 1, PERIOD, LEAD)
        with reverts_with(late.BlockBeforeGenesis, timestamp=block["timestamp"], genesis=block["timestamp"] + LEAD + 1):
            late.reveal(block["number"], encode_header(block) + sign(1), sender=deployer)

    def test_stores_the_value_and_tells(self, beacon, chain, block, stranger):
        number = round_at(block["timestamp"])
        signature = sign(number)
        point = G1Point.from_xy_bytes_be(signature[16:64] + signature[80:])
        drawn = hashlib.sha256(bytes(point.to_compressed_bytes())).digest()
        mixed = keccak(
            encode(
                ["bytes32", "uint256", "address", "uint256", "bytes32"],
                [TAG, chain.chain_id, beacon.address, block["number"], drawn],
            )
        )
        value = mixed[:27] + block["timestamp"].to_bytes(5, "big")
        receipt = beacon.reveal(block["number"], encode_header(block) + signature, sender=stranger)
        assert receipt.events == [
            beacon.RoundVerified(blockNumber=block["number"], round=number, signature=signature),
            beacon.RandomnessRevealed(blockNumber=block["number"], value=value),
        ]
        assert beacon.isRevealed(block["number"]) is True
        assert beacon.timeOf(block["number"]) == block["timestamp"]
        assert beacon.valueOf(block["number"]) == value

    def test_a_second_reveal_returns_the_same_without_a_proof(self, beacon, block, stranger):
        proof = encode_header(block) + sign(round_at(block["timestamp"]))
        beacon.reveal(block["number"], proof, sender=stranger)
        receipt = beacon.reveal(block["number"], b"anything", sender=stranger)
        assert receipt.events == []

    def test_blocks_that_share_a_round_differ(self, beacon, chain, block, stranger):
        before = chain.provider.web3.eth.get_block(block["number"] - 1)
        for each in (before, block):
            beacon.reveal(each["number"], encode_header(each) + sign(round_at(each["timestamp"])), sender=stranger)
        assert beacon.valueOf(before["number"]) != beacon.valueOf(block["number"])

    def test_an_unknown_block_has_no_value(self, beacon):
        assert beacon.isRevealed(5) is False
        with reverts_with(beacon.RandomnessUnknown, blockNumber=5):
            beacon.valueOf(5)


class TestRounds:
    def test_the_first_round_after_time_and_lead(self, beacon):
        """No round that is already signed when the block's time and the lead are over."""
        for timestamp in range(GENESIS - LEAD, GENESIS - LEAD + 20):
            number = beacon.roundOf(timestamp)
            assert GENESIS + (number - 1) * PERIOD > timestamp + LEAD
            assert number == 1 or GENESIS + (number - 2) * PERIOD <= timestamp + LEAD

    def test_tells_its_parameters(self, beacon, key):
        assert (beacon.genesis(), beacon.period(), beacon.lead()) == (GENESIS, PERIOD, LEAD)
        assert bytes(beacon.publicKey()) == key
        assert bytes(beacon.scheme()).rstrip(b"\0") == b"drand"

    @pytest.mark.parametrize(("secret", "period"), [(SECRET, 0), (0, PERIOD)])
    def test_refuses_no_period_and_no_key(self, project, deployer, beacon, secret, period):
        key = words(signature_kernel("fast").public_key(secret)) if secret else [0] * 8
        with reverts_with(beacon.DrandParametersInvalid, period=period):
            deployer.deploy(project.DrandBeacon, key, GENESIS, period, LEAD)


class TestQuicknet:
    def test_its_own_round_verifies(self, project, deployer, chain):
        """A chain whose next block has the time that makes quicknet's round 1000 its round."""
        key = padded(G2Point.from_compressed_bytes(bytes.fromhex(QUICKNET_KEY)))
        point = G1Point.from_compressed_bytes(bytes.fromhex(QUICKNET_SIGNATURE))
        assert hashlib.sha256(bytes.fromhex(QUICKNET_SIGNATURE)).hexdigest() == QUICKNET_RANDOMNESS
        chain.provider.web3.provider.make_request("anvil_mine", ["0x2"])
        block = chain.provider.web3.eth.get_block(chain.provider.web3.eth.block_number)
        # the real network's rounds, their times moved to the block's: only differences of times count
        genesis = block["timestamp"] + LEAD - (QUICKNET_ROUND - 2) * QUICKNET_PERIOD
        beacon = deployer.deploy(project.DrandBeacon, words(key), genesis, QUICKNET_PERIOD, LEAD)
        assert beacon.roundOf(block["timestamp"]) == QUICKNET_ROUND
        receipt = beacon.reveal(block["number"], encode_header(block) + padded(point), sender=deployer)
        assert receipt.events[0].round == QUICKNET_ROUND
