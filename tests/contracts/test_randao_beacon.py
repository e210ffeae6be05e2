"""The RANDAO mix of blocks near and far, proven by headers rebuilt from what a node answers."""

import contextlib
import socket
import subprocess
import time

import pytest
import rlp
from eth_abi import encode
from eth_utils import keccak
from web3 import Web3

from ape_qanat import anvil_folder
from qanat.chain.header import encode_header
from qanat.errors import ChainError
from tests.contracts.reverts import reverts_with

HISTORY = "0x0000F90827F1C53a10cb7A02335B175320002935"
HISTORY_BLOCKS = 8191


@pytest.fixture(scope="module")
def beacon(project, deployer):
    return deployer.deploy(project.RandaoBeacon)


@pytest.fixture(scope="module")
def parser(project, deployer):
    return deployer.deploy(project.RlpHeaderHarness)


def block_of(chain, number):
    return chain.provider.web3.eth.get_block(number)


def header_of(chain, number):
    return encode_header(block_of(chain, number))


def head(chain):
    return chain.provider.web3.eth.block_number


def mine(chain, count):
    """Mine blocks, in portions that a node finishes within the time limit of one request."""
    while count > 0:
        portion = min(count, 1000)
        answer = chain.provider.web3.provider.make_request("anvil_mine", [hex(portion)])
        assert "error" not in answer
        count -= portion


def fill_window(chain, number, age):
    """Mine until a transaction sent now would see the block `number` at this age."""
    mine(chain, number + age - 1 - head(chain))


def forge_hash(chain, number, value):
    """Make the history contract say that `value` is the block's hash."""
    slot = "0x" + (number % HISTORY_BLOCKS).to_bytes(32, "big").hex()
    answer = chain.provider.web3.provider.make_request("anvil_setStorageAt", [HISTORY, slot, "0x" + value.hex()])
    assert "error" not in answer


def value_of(block):
    """Return the value of a block: its mix, the lowest 40 bits replaced by its time."""
    return bytes(block["mixHash"])[:27] + block["timestamp"].to_bytes(5, "big")


def make_header(number, mix, **changes):
    """Fields of a header, which need not be a block's."""
    fields = [
        bytes(32), bytes(32), bytes(20), bytes(32), bytes(32), bytes(32), bytes(256), b"",
        number.to_bytes((number.bit_length() + 7) // 8, "big"), b"\1", b"", b"\5", b"extra", mix, bytes(8),
    ]  # fmt: skip
    for place, value in changes.items():
        fields[int(place.removeprefix("field_"))] = value
    return rlp.encode(fields)


class TestReveal:
    @pytest.mark.parametrize("ahead", [0, 1, 1000])
    def test_refuses_a_block_that_is_not_mined(self, beacon, chain, deployer, ahead):
        current = head(chain) + 1
        with reverts_with(beacon.BlockUnreachable, blockNumber=current + ahead, currentBlock=current):
            beacon.reveal(current + ahead, b"", sender=deployer)

    def test_refuses_another_blocks_header(self, beacon, chain, deployer):
        mine(chain, 3)
        number = head(chain) - 1
        other = header_of(chain, number - 1)
        with reverts_with(beacon.HeaderMismatch, got=keccak(other), expected=block_of(chain, number)["hash"]):
            beacon.reveal(number, other, sender=deployer)

    def test_refuses_no_header(self, beacon, chain, deployer):
        with reverts_with(beacon.HeaderMismatch, got=keccak(b"")):
            beacon.reveal(head(chain), b"", sender=deployer)

    def test_refuses_a_block_without_randomness(self, beacon, chain, deployer):
        """A mix of zeros, which the first block of a local chain has, would pass for "not revealed"."""
        assert not any(bytes(chain.provider.web3.eth.get_block(0)["mixHash"]))
        number = head(chain)
        fill_window(chain, number, 300)
        header = make_header(number, bytes(32))
        forge_hash(chain, number, keccak(header))
        with reverts_with(beacon.RandomnessAbsent, blockNumber=number):
            beacon.reveal(number, header, sender=deployer)

    @pytest.mark.parametrize("time", [b"", (2**40).to_bytes(6, "big")], ids=["none", "late"])
    def test_refuses_a_time_that_it_could_not_keep(self, beacon, chain, deployer, time):
        number = head(chain)
        fill_window(chain, number, 300)
        header = make_header(number, keccak(b"mix"), field_11=time)
        forge_hash(chain, number, keccak(header))
        with reverts_with(beacon.BlockTimeInvalid, timestamp=int.from_bytes(time, "big")):
            beacon.reveal(number, header, sender=deployer)

    def test_refuses_a_header_that_names_another_number(self, beacon, chain, deployer):
        """Where a chain's headers were built in another way, its field 8 would not be the number."""
        number = head(chain)
        fill_window(chain, number, 300)
        forged = make_header(number + 1, keccak(b"mix"))
        forge_hash(chain, number, keccak(forged))
        with reverts_with(beacon.HeaderNumberMismatch, got=number + 1, expected=number):
            beacon.reveal(number, forged, sender=deployer)

    def test_refuses_a_malformed_header_though_its_hash_is_right(self, beacon, chain, deployer):
        number = head(chain)
        fill_window(chain, number, 300)
        forged = make_header(number, keccak(b"mix"), field_13=keccak(b"mix")[:31])
        forge_hash(chain, number, keccak(forged))
        with reverts_with(beacon.HeaderMalformed):
            beacon.reveal(number, forged, sender=deployer)

    def test_stores_mix_and_time_and_tells(self, beacon, chain, stranger):
        mine(chain, 2)
        number = head(chain)
        block = block_of(chain, number)
        assert bytes(block["mixHash"]) != bytes(32)
        value = value_of(block)
        receipt = beacon.reveal(number, header_of(chain, number), sender=stranger)
        assert receipt.events == [beacon.RandomnessRevealed(blockNumber=number, value=value)]
        assert beacon.isRevealed(number) is True
        assert beacon.valueOf(number) == value
        assert beacon.timeOf(number) == block["timestamp"]

    def test_a_second_reveal_returns_the_same_without_a_proof(self, beacon, chain, stranger, deployer):
        number = head(chain)
        value = value_of(block_of(chain, number))
        beacon.reveal(number, header_of(chain, number), sender=stranger)
        assert beacon.reveal.call(number, b"anything", sender=deployer) == value
        receipt = beacon.reveal(number, b"anything", sender=deployer)
        assert receipt.events == []
        assert beacon.valueOf(number) == value

    def test_a_value_outlives_the_window(self, beacon, chain, stranger):
        number = head(chain)
        value = value_of(block_of(chain, number))
        beacon.reveal(number, header_of(chain, number), sender=stranger)
        mine(chain, 300)
        assert beacon.valueOf(number) == value

    @pytest.mark.parametrize("age", [1, 255, 256, 257, 258])
    def test_reaches_blocks_on_both_sides_of_blockhash(self, beacon, chain, stranger, age):
        """From 257 blocks on the hash comes from the history contract: from nowhere else."""
        mine(chain, 2)
        number = head(chain)
        header = header_of(chain, number)
        fill_window(chain, number, age)
        beacon.reveal(number, header, sender=stranger)
        assert beacon.valueOf(number) == value_of(block_of(chain, number))

    def test_needs_the_history_contract_beyond_256_blocks(self, beacon, chain, stranger):
        """On a chain without it, near blocks are reached and far ones are not, whatever it answers."""
        mine(chain, 2)
        number = head(chain)
        header = header_of(chain, number)
        fill_window(chain, number, 256)
        chain.provider.web3.provider.make_request("anvil_setCode", [HISTORY, "0x"])
        with chain.isolate():
            beacon.reveal(number, header, sender=stranger)
        mine(chain, 1)
        # Nothing there; a revert; one byte; 32 zero bytes; and 64 bytes, which are no hash.
        for code in ("0x", "0x5f5ffd", "0x60015ff3", "0x60205ff3", "0x60405ff3"):
            chain.provider.web3.provider.make_request("anvil_setCode", [HISTORY, code])
            current = head(chain) + 1
            with reverts_with(beacon.BlockUnreachable, blockNumber=number, currentBlock=current):
                beacon.reveal(number, header, sender=stranger)

    @pytest.mark.parametrize(("age", "reached"), [(8190, True), (8191, True), (8192, False), (20_000, False)])
    def test_reaches_back_8191_blocks_and_no_further(self, beacon, chain, stranger, age, reached):
        """The call sees a later block's number: mining the blocks between takes minutes, and changes nothing else here.

        The history contract keeps a hash until the block 8,192 later is opened, so its storage is what it would be.
        """
        mine(chain, 2)
        number = head(chain)
        data = beacon.reveal.encode_input(number, header_of(chain, number))
        value = value_of(block_of(chain, number))
        mine(chain, 1)
        call = {"from": stranger.address, "to": beacon.address, "data": "0x" + bytes(data).hex()}
        answer = chain.provider.web3.provider.make_request(
            "eth_call", [call, "latest", {}, {"number": hex(number + age)}]
        )
        if reached:
            assert answer["result"] == "0x" + value.hex()
        else:
            error = keccak(text="BlockUnreachable(uint256,uint256)")[:4] + encode(
                ["uint256"] * 2, [number, number + age]
            )
            assert answer["error"]["data"] == "0x" + error.hex()


class TestValueOf:
    def test_refuses_a_block_that_nobody_revealed(self, beacon, chain):
        number = head(chain)
        assert beacon.isRevealed(number) is False
        with reverts_with(beacon.RandomnessUnknown, blockNumber=number):
            beacon.valueOf(number)
        with reverts_with(beacon.RandomnessUnknown, blockNumber=number):
            beacon.timeOf(number)


class TestParse:
    MIX = keccak(b"mix")

    @pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 2**32, 2**64 - 1])
    def test_reads_number_and_mix(self, parser, number):
        assert parser.parse(make_header(number, self.MIX)) == (number, 5, self.MIX)

    @pytest.mark.parametrize("extra", [b"", b"\x7f", b"\x80", bytes(32), bytes(55), bytes(56), bytes(300)])
    def test_steps_over_fields_of_any_length(self, parser, extra):
        assert parser.parse(make_header(5, self.MIX, field_12=extra)) == (5, 5, self.MIX)

    @pytest.mark.parametrize(
        ("bad", "position"),
        [
            (b"", 0),
            (b"\xc0", 0),  # an empty list
            (b"\xf7" + bytes(55), 0),  # a short list
            (b"\xf8", 0),  # a length that is missing
            (b"\xf8\x37" + bytes(55), 0),  # a length that should be short
            (b"\xf9\x00\x40" + bytes(64), 1),  # a length with a leading zero
            (b"\xb8\x40" + bytes(64), 0),  # a string
            (b"\x05", 0),
            (b"\xff" + b"\xff" * 8, 9),  # more than there is of anything
        ],
        ids=lambda value: value[:3].hex() or "empty" if isinstance(value, bytes) else str(value),
    )
    def test_refuses_what_is_no_list_of_a_header(self, parser, bad, position):
        with reverts_with(parser.HeaderMalformed, position=position):
            parser.parse(bad)

    @pytest.mark.parametrize(
        "changes",
        [
            {"field_8": b"\0\1"},  # a leading zero
            {"field_8": b"\1" + bytes(8)},  # nine bytes
            {"field_13": bytes(31)},
            {"field_13": bytes(33)},
            {"field_13": b""},
            {"field_3": [b"list"]},
            {"field_13": [b"list"]},
        ],
        ids=str,
    )
    def test_refuses_fields_that_are_no_headers(self, parser, changes):
        with reverts_with(parser.HeaderMalformed):
            parser.parse(make_header(5, self.MIX, **changes))

    def test_refuses_fewer_fields(self, parser):
        fields = rlp.decode(make_header(5, self.MIX))
        for count in (8, 13):
            with reverts_with(parser.HeaderMalformed):
                parser.parse(rlp.encode(fields[:count]))
        assert parser.parse(rlp.encode(fields[:14])) == (5, 5, self.MIX)

    @pytest.mark.parametrize("missing", [1, 33, 300])
    def test_refuses_bytes_cut(self, parser, missing):
        with reverts_with(parser.HeaderMalformed):
            parser.parse(make_header(77, self.MIX)[:-missing])

    @pytest.mark.parametrize("added", [1, 32])
    def test_refuses_bytes_added(self, parser, added):
        with reverts_with(parser.HeaderMalformed, position=3):
            parser.parse(make_header(77, self.MIX) + bytes(added))

    def test_refuses_a_last_field_that_runs_past_the_end(self, parser):
        """The list ends where it says, and the mix in it claims one byte more."""
        items = [rlp.encode(item) for item in rlp.decode(make_header(5, self.MIX))[:14]]
        payload = b"".join(items)[:-1]
        start = 3 + len(payload) - len(items[13]) + 1
        with reverts_with(parser.HeaderMalformed, position=start):
            parser.parse(b"\xf9" + len(payload).to_bytes(2, "big") + payload)

    @pytest.mark.parametrize("field", [8, 12])
    def test_refuses_encodings_that_are_not_the_shortest(self, parser, field):
        """81 05 for 05, b8 05 … for 85 …, and b9 00 40 … for b8 40 …: one header has one encoding."""
        items = [rlp.encode(item) for item in rlp.decode(make_header(5, self.MIX))]
        for longer in (b"\x81\x05", b"\xb8\x05" + bytes(5), b"\xb9\x00\x40" + bytes(64)):
            changed = list(items)
            changed[field] = longer
            payload = b"".join(changed)
            with reverts_with(parser.HeaderMalformed):
                parser.parse(b"\xf9" + len(payload).to_bytes(2, "big") + payload)


class TestEncodeHeader:
    def test_the_first_block_of_ethereum(self):
        """A Frontier header, whose hash everybody knows."""
        empty = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
        header = encode_header(
            {
                "parentHash": "0x" + "00" * 32,
                "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
                "miner": "0x" + "00" * 20,
                "stateRoot": "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
                "transactionsRoot": empty,
                "receiptsRoot": empty,
                "logsBloom": "0x" + "00" * 256,
                "difficulty": "0x400000000",
                "number": "0x0",
                "gasLimit": "0x1388",
                "gasUsed": "0x0",
                "timestamp": "0x0",
                "extraData": "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
                "mixHash": "0x" + "00" * 32,
                "nonce": "0x0000000000000042",
                "hash": "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
            }
        )
        assert keccak(header).hex() == "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"

    @pytest.mark.parametrize("fork", ["shanghai", "cancun", "prague"])
    def test_headers_of_a_nodes_forks(self, checkout, fork):
        """Each fork appended fields; a node that runs it answers with as many."""
        with running_anvil(checkout, fork) as web3:
            web3.provider.make_request("anvil_mine", [hex(3)])
            for number in (0, 2):
                block = web3.eth.get_block(number)
                assert keccak(encode_header(block)) == bytes(block["hash"])
                raw = web3.provider.make_request("eth_getBlockByNumber", [hex(number), False])["result"]
                assert encode_header(raw) == encode_header(block)

    @pytest.mark.parametrize("appended", range(7))
    def test_a_header_ends_where_a_field_is_missing(self, chain, appended):
        """Headers of older forks, made here, also where a node names fields that the header does not have."""
        names = (
            "baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash"
        )  # fmt: skip
        block = dict(block_of(chain, 0))
        header = rlp.encode(rlp.decode(encode_header(block))[: 15 + appended])
        block["hash"] = keccak(header)
        if appended < len(names):
            del block[names[appended]]
        assert encode_header(block) == header

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("stateRoot", b"\1" * 32),
            ("number", 7_000),
            ("requestsHash", None),
            ("baseFeePerGas", None),
            ("hash", b"\1" * 32),
        ],
    )
    def test_refuses_a_block_that_does_not_hash_to_its_hash(self, chain, field, value):
        block = dict(block_of(chain, 0)) | {field: value}
        with pytest.raises(ChainError):
            encode_header(block)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("stateRoot", b"\1" * 31),
            ("stateRoot", "11" * 32),
            ("stateRoot", "0xzz"),
            ("stateRoot", 5),
            ("number", -1),
            ("number", "x"),
            ("number", b"\1"),
            ("number", True),
            ("number", None),
            ("hash", None),
            ("hash", "0x12"),
        ],
    )
    def test_names_the_field_that_is_malformed(self, chain, field, value):
        block = dict(block_of(chain, 0)) | {field: value}
        with pytest.raises(ChainError, match=field) as caught:
            encode_header(block)
        assert caught.value.data["field"] == field


@contextlib.contextmanager
def running_anvil(checkout, fork):
    """A chain of another fork, for as long as the block lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [anvil_folder(checkout) / "anvil", "--hardfork", fork, "--port", str(port), "--silent"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        web3 = Web3(Web3.HTTPProvider(f"http://127.0.0.1:{port}"))
        for _ in range(100):
            if web3.is_connected():
                break
            time.sleep(0.05)
        yield web3
    finally:
        process.terminate()
        process.wait(10)
