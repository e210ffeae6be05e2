"""Encryption of a file as a stream, before it is encoded: AES-256-GCM in chunks whose nonces say where they stand.

The nonce of chunk i is prefix (7 bytes) | i (4) | 1 if it is the last, else 0 (the STREAM construction of Hoang,
Reyhanitabar, Rogaway and Vizar), so chunks can't be cut off, reordered or repeated. The header is authenticated with
every chunk. The file's own key comes from the data key and a fresh salt by HKDF-SHA256, and so does a commitment to
the data key, which AES-GCM alone doesn't give: one ciphertext can't open under two keys.

Header, 81 or 161 bytes, big-endian (docs/format.md)::

    "QNTE" | u8 version | u8 cipher=1 | u32 chunk size | 7 nonce prefix | 32 salt | 32 key commitment
    version 2: | 80 data key, sealed to the owner's recovery key
"""

from __future__ import annotations

import hmac
import secrets
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qanat.errors import BadParameters, DecryptionFailed, FormatError
from qanat.keys.seal import SEALED_OVERHEAD, SealingKey, seal_bytes

DATA_KEY_BYTES = 32
CHUNK_BYTES = 1 << 16
TAG_BYTES = 16
MAX_CHUNK_BYTES = 1 << 24
MAX_CHUNKS = 1 << 32

_MAGIC = b"QNTE"
_LAYOUT = struct.Struct(">4sBBI7s32s32s")
_PLACE = struct.Struct(">IB").pack  # a chunk's counter, whether it is the last: the nonce after its prefix
HEADER_BYTES = _LAYOUT.size
WRAPPED_KEY_BYTES = DATA_KEY_BYTES + SEALED_OVERHEAD

_WRAP_DOMAIN = b"QANAT_RECOVERY_WRAP_V1"

Piece = bytes | bytearray | memoryview


def generate_data_key() -> bytes:
    """Return 32 bytes from the system's randomness."""
    return secrets.token_bytes(DATA_KEY_BYTES)


@dataclass(frozen=True)
class EncryptionHeader:
    """What a reader needs besides the data key.

    :param wrapped: the data key for the owner's recovery key (version 2); b"" where there is none (version 1).
    """

    chunk_bytes: int
    prefix: bytes
    salt: bytes
    key_commitment: bytes
    wrapped: bytes = b""

    def to_bytes(self) -> bytes:
        """Write 81 bytes, or 161 with a wrapped key."""
        version = 2 if self.wrapped else 1
        head = _LAYOUT.pack(_MAGIC, version, 1, self.chunk_bytes, self.prefix, self.salt, self.key_commitment)
        return head + self.wrapped

    @classmethod
    def from_bytes(cls, data: bytes) -> EncryptionHeader:
        """Read a header strictly; anything else raises ``FormatError``."""
        if len(data) not in (HEADER_BYTES, HEADER_BYTES + WRAPPED_KEY_BYTES):
            raise FormatError(f"An encryption header has 81 or 161 bytes, not {len(data)}.")
        head, wrapped = data[:HEADER_BYTES], bytes(data[HEADER_BYTES:])
        magic, version, cipher, chunk, prefix, salt, commitment = _LAYOUT.unpack(head)
        if magic != _MAGIC or version != (2 if wrapped else 1) or cipher != 1:
            raise FormatError("These bytes are no encryption header that this program knows.")
        if not 1 <= chunk <= MAX_CHUNK_BYTES:
            raise FormatError(f"A chunk of {chunk} bytes is out of range.", chunk=chunk)
        return cls(chunk, prefix, salt, commitment, wrapped)

    def wrapped_to(self, data_key: bytes, recovery_key: bytes) -> EncryptionHeader:
        """Return the header with its data key sealed to a recovery key's public half, 32 bytes."""
        return replace(self, wrapped=seal_bytes(data_key, recovery_key, self._bound_to_wrap()))

    def unwrap(self, recovery_key: SealingKey) -> bytes:
        """Return the data key with the owner's recovery key.

        Another's key, or a header without one, raises ``DecryptionFailed``.
        """
        if not self.wrapped:
            raise DecryptionFailed("This object's header holds no key for a recovery key.")
        data_key = recovery_key.open_bytes(self.wrapped, self._bound_to_wrap())
        _, commitment = _derive(data_key, self.chunk_bytes, self.prefix, self.salt)
        if not hmac.compare_digest(commitment, self.key_commitment):
            raise DecryptionFailed("The key in this object's header is not the one that it was encrypted with.")
        return data_key

    def _bound_to_wrap(self) -> bytes:
        return _WRAP_DOMAIN + replace(self, wrapped=b"").to_bytes()


class FileEncryption:
    """Encrypts one file, once: a ``Transform`` for ``qanat.objects.encode_file``.

    :param data_key: 32 bytes, from :func:`generate_data_key`; a salt of its own keeps two files under one key apart.
    :param recovery_key: public half of the owner's recovery key, to which the header then wraps the data key.
    """

    def __init__(self, data_key: bytes, *, chunk_bytes: int = CHUNK_BYTES, recovery_key: bytes | None = None) -> None:
        if not 1 <= chunk_bytes <= MAX_CHUNK_BYTES:
            raise BadParameters(f"A chunk of {chunk_bytes} bytes is out of range.")
        prefix, salt = secrets.token_bytes(7), secrets.token_bytes(32)
        file_key, commitment = _derive(data_key, chunk_bytes, prefix, salt)
        made = EncryptionHeader(chunk_bytes, prefix, salt, commitment)
        self._header = made if recovery_key is None else made.wrapped_to(data_key, recovery_key)
        self._cipher = AESGCM(file_key)
        self._used = False

    @classmethod
    def resumed(cls, data_key: bytes, header: bytes) -> FileEncryption:
        """Take up an encryption that was cut off, of *the same bytes*: they give the same ciphertext again.

        Other bytes under the same header would repeat nonces: the caller compares what it can with the first try and
        never lets out both. A malformed header raises ``FormatError``, another file's key ``DecryptionFailed``.
        """
        known = EncryptionHeader.from_bytes(header)
        file_key, commitment = _derive(data_key, known.chunk_bytes, known.prefix, known.salt)
        if not hmac.compare_digest(commitment, known.key_commitment):
            raise DecryptionFailed("This data key is not the one that the encryption was begun with.")
        encryption = cls(data_key, chunk_bytes=known.chunk_bytes)
        encryption._header, encryption._cipher = known, AESGCM(file_key)
        return encryption

    @property
    def header(self) -> bytes:
        """The header for the manifest."""
        return self._header.to_bytes()

    def stored_size(self, size: int) -> int:
        """Return the ciphertext's bytes for a file of this size: a tag of 16 bytes per chunk, at least one chunk."""
        return size + TAG_BYTES * max(1, -(-size // self._header.chunk_bytes))

    def apply(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the ciphertext; a second use raises ``BadParameters``, since nonces must not repeat."""
        if self._used:
            raise BadParameters("An encryption serves one file once: nonces must not repeat.")
        self._used = True
        return self._encrypted(chunks)

    def _encrypted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        bound, prefix, encrypt = self.header, self._header.prefix, self._cipher.encrypt
        for counter, chunk, last in _pieces(chunks, self._header.chunk_bytes):
            yield encrypt(_nonce(prefix, counter, last), chunk, bound)


class FileDecryption:
    """Decrypts a file: an ``Inverse`` for ``qanat.objects.restore_file``.

    :param header: a manifest's header; a malformed one raises ``FormatError``, another file's key ``DecryptionFailed``.
    """

    def __init__(self, data_key: bytes, header: bytes) -> None:
        self._header = EncryptionHeader.from_bytes(header)
        self._bound = header
        file_key, commitment = _derive(data_key, self._header.chunk_bytes, self._header.prefix, self._header.salt)
        if not hmac.compare_digest(commitment, self._header.key_commitment):
            raise DecryptionFailed("This data key is not the one that the object was encrypted with.")
        self._cipher = AESGCM(file_key)

    def plain_size(self, stored: int) -> int:
        """Return the file's bytes for a ciphertext of this size; an impossible size raises ``DecryptionFailed``."""
        step = self._header.chunk_bytes + TAG_BYTES
        chunks = max(1, -(-stored // step))
        size = stored - TAG_BYTES * chunks
        if size < 0 or (chunks > 1 and size <= (chunks - 1) * self._header.chunk_bytes):
            raise DecryptionFailed(f"No file has a ciphertext of {stored} bytes.")
        return size

    def apply(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the file's bytes; anything altered, cut, reordered or added raises ``DecryptionFailed``.

        Chunks that were yielded before are authentic, but only the end of the iterator says that none is missing.
        """
        for counter, chunk, last in _pieces(chunks, self._header.chunk_bytes + TAG_BYTES):
            plain = self._opened(counter, chunk, last=last)
            if last and counter and not plain:
                raise DecryptionFailed("The ciphertext ends in an empty chunk that no encryption makes.")
            yield plain

    def stored_range(self, start: int, end: int, stored: int) -> tuple[int, int]:
        """Return the ciphertext's bytes [first, last) whose chunks hold the file's bytes [start, end).

        :param stored: bytes of the whole ciphertext. A range outside of the file raises ``BadParameters``.
        """
        size = self.plain_size(stored)
        if not 0 <= start <= end <= size:
            raise BadParameters(f"Bytes {start} to {end} are not within a file of {size}.", size=size)
        if start == end:
            return 0, 0
        chunk, step = self._header.chunk_bytes, self._header.chunk_bytes + TAG_BYTES
        return start // chunk * step, min(stored, -(-end // chunk) * step)

    def apply_range(self, chunks: Iterable[bytes], start: int, end: int, stored: int) -> Iterator[bytes]:
        """Yield the file's bytes [start, end) from the ciphertext's bytes of :meth:`stored_range`.

        Every chunk is authentic, and stands where it says in a file of exactly this size; anything else raises
        ``DecryptionFailed``.
        """
        first, last = self.stored_range(start, end, stored)
        if first == last:
            return
        chunk, step = self._header.chunk_bytes, self._header.chunk_bytes + TAG_BYTES
        final = max(1, -(-stored // step)) - 1
        begin = first // step
        for number, piece, _ in _pieces(chunks, step):
            counter = begin + number
            plain = self._opened(counter, piece, last=counter == final)
            at = counter * chunk
            yield plain[max(0, start - at) : end - at]

    def _opened(self, counter: int, chunk: Piece, *, last: bool) -> bytes:
        try:
            return self._cipher.decrypt(_nonce(self._header.prefix, counter, last), chunk, self._bound)
        except (InvalidTag, ValueError) as error:
            raise DecryptionFailed(
                f"Chunk {counter} of the ciphertext was altered, cut or moved.",
                hint="Fetch the object again.",
                chunk=counter,
            ) from error


def _pieces(chunks: Iterable[bytes], step: int) -> Iterator[tuple[int, Piece, bool]]:
    """Yield (counter, piece of ``step`` bytes, is last); the last is shorter or full, and empty only when all is.

    A piece that lies within one chunk is not copied, unless the chunk's bytes could change before the piece is used.
    """
    held: Piece | None = None  # a whole piece: the last one, if nothing follows
    pending = bytearray()
    counter = 0
    for chunk in chunks:
        if len(chunk) == step and not pending:  # as most readers cut a file
            if held is not None:
                yield counter, held, False
                counter += 1
            held = bytes(chunk)
            continue
        for piece in _cut(chunk, step, pending):
            if held is not None:
                yield counter, held, False
                counter += 1
            held = piece
    last: Piece = pending
    if held is not None:
        if pending:
            yield counter, held, False
            counter += 1
        else:
            last = held
    yield counter, last, True


def _cut(chunk: bytes, step: int, pending: bytearray) -> list[Piece]:
    """Return the whole pieces that end in a chunk, of what is pending and it; what is left is pending then."""
    view = memoryview(bytes(chunk))
    pieces: list[Piece] = []
    at = 0
    if pending:
        at = min(step - len(pending), len(view))
        pending += view[:at]
        if len(pending) < step:
            return pieces
        pieces.append(bytes(pending))
        pending.clear()
    whole = (len(view) - at) // step * step
    pieces += [view[start : start + step] for start in range(at, at + whole, step)]
    pending += view[at + whole :]
    return pieces


def _nonce(prefix: bytes, counter: int, last: bool) -> bytes:
    try:
        return prefix + _PLACE(counter, last)
    except struct.error as error:
        raise BadParameters(f"A file has at most {MAX_CHUNKS} chunks.") from error


def _derive(data_key: bytes, chunk_bytes: int, prefix: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """Return (file key, commitment to the data key)."""
    if len(data_key) != DATA_KEY_BYTES:
        raise BadParameters(f"A data key has {DATA_KEY_BYTES} bytes, not {len(data_key)}.")
    info = b"QANAT_FILE_KEY_V1" + chunk_bytes.to_bytes(4, "big") + prefix
    derived = HKDF(algorithm=SHA256(), length=64, salt=salt, info=info).derive(data_key)
    return derived[:32], derived[32:]
