"""Bytes kept as code: written once, read in any part, never past the end."""

import pytest

from tests.contracts.reverts import reverts_with

LIMIT = 24_575


@pytest.fixture(scope="module")
def blobs(project, deployer):
    return deployer.deploy(project.CodeBlobHarness)


def write(blobs, data, sender):
    blobs.write(data, sender=sender)
    return blobs.last()


def pattern(size):
    return bytes((7 * i + i // 256) % 256 for i in range(size))


class TestWrite:
    def test_refuses_more_than_code_may_hold(self, blobs, deployer):
        with reverts_with(blobs.BlobTooLarge, got=LIMIT + 1, limit=LIMIT):
            blobs.write(bytes(LIMIT + 1), sender=deployer)

    def test_too_little_gas_to_keep_the_code_is_told(self, blobs, deployer):
        with reverts_with(blobs.BlobNotWritten, size=20_000):
            blobs.writeWithGas(pattern(20_000), 3_000_000, sender=deployer, gas=6_000_000)

    @pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 254, 255, 256, LIMIT])
    def test_what_was_written_is_read(self, blobs, deployer, size):
        pointer = write(blobs, pattern(size), deployer)
        assert blobs.sizeOf(pointer) == size
        assert blobs.read(pointer, 0, size) == pattern(size)

    def test_the_code_begins_with_stop(self, blobs, deployer, chain):
        """Code that began otherwise could be run, and made to destroy itself or refused (EIP-3541)."""
        pointer = write(blobs, b"\xef\xff" + pattern(10), deployer)
        assert bytes(chain.provider.get_code(pointer)) == b"\0\xef\xff" + pattern(10)


class TestRead:
    def test_refuses_an_address_without_code(self, blobs, stranger):
        with reverts_with(blobs.BlobMissing, pointer=stranger):
            blobs.read(stranger, 0, 0)
        with reverts_with(blobs.BlobMissing, pointer=stranger):
            blobs.sizeOf(stranger)

    @pytest.mark.parametrize(
        ("start", "length"), [(0, 101), (100, 1), (101, 0), (99, 2), (2**256 - 1, 2), (1, 2**256 - 1), (2**255, 2**255)]
    )
    def test_refuses_to_read_past_the_end(self, blobs, deployer, start, length):
        pointer = write(blobs, pattern(100), deployer)
        with reverts_with(blobs.BlobOutOfBounds, start=start, length=length, size=100):
            blobs.read(pointer, start, length)

    @pytest.mark.parametrize(("start", "length"), [(0, 0), (0, 1), (1, 99), (37, 32), (99, 1), (100, 0)])
    def test_reads_any_part(self, blobs, deployer, start, length):
        pointer = write(blobs, pattern(100), deployer)
        assert blobs.read(pointer, start, length) == pattern(100)[start : start + length]
