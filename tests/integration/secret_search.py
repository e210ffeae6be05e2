"""Every secret that is made while tests run, and the search for it in all that was written.

A secret is looked for as bytes in either order, as hexadecimal and decimal text, and in base64 wherever it begins.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from qanat.bls import SecretKey
from qanat.client import dealing, store
from qanat.keys.release import LicenseeKey
from qanat.keys.seal import SealingKey


class Secrets:
    """What must stand nowhere, by what it is."""

    def __init__(self) -> None:
        self.made: dict[str, set[bytes]] = {}

    def add(self, kind: str, *secrets: bytes | int) -> None:
        """Note secrets of 32 bytes."""
        for secret in secrets:
            raw = secret.to_bytes(32, "big") if isinstance(secret, int) else bytes(secret)
            assert len(raw) == 32
            self.made.setdefault(kind, set()).add(raw)

    def found_in(self, *places: Path) -> list[str]:
        """Return ``kind in file`` for each secret that stands in a file, or in the name of one."""
        wanted = {form: kind for kind, secrets in self.made.items() for secret in secrets for form in forms(secret)}
        files = sorted({path for place in places for path in ([place] if place.is_file() else place.rglob("*"))})
        found = []
        for path in files:
            text = path.read_bytes() if path.is_file() else b""
            text += b"\n" + str(path).encode()
            found += [f"{kind} in {path}" for form, kind in wanted.items() if form in text]
        return list(dict.fromkeys(found))


def forms(secret: bytes) -> set[bytes]:
    """Return the ways in which a secret may have been written."""
    made = {secret, secret[::-1]}
    texts = {secret.hex(), secret[::-1].hex(), secret.hex().upper()}
    # leading zeros are left out of numbers
    texts |= {str(int.from_bytes(secret, "big")), f"{int.from_bytes(secret, 'big'):x}"}
    for skipped in range(3):
        part = secret[skipped : skipped + (32 - skipped) // 3 * 3]
        texts |= {base64.b64encode(part).decode(), base64.urlsafe_b64encode(part).decode()}
    return made | {text.encode() for text in texts}


@contextmanager
def secrets_noted() -> Iterator[Secrets]:
    """Note what this process makes while the body runs: keys, data keys, dealings."""
    secrets = Secrets()
    with pytest.MonkeyPatch.context() as patch:

        def note(owner: Any, name: str, kind: str, of: Any, *, is_class_method: bool = False) -> None:
            real = getattr(owner, name)

            @wraps(real)
            def made(*arguments: Any, **options: Any) -> Any:
                result = real(*arguments, **options)
                secrets.add(kind, *of(result))
                return result

            patch.setattr(owner, name, staticmethod(made) if is_class_method else made)

        note(store, "generate_data_key", "data key", lambda key: [key])
        note(dealing, "deal", "share", lambda made: made.shares)
        note(LicenseeKey, "generate", "licensee's key", lambda key: [key.scalar], is_class_method=True)
        note(SealingKey, "generate", "X25519 key", lambda key: [key.to_bytes()], is_class_method=True)
        note(SecretKey, "generate", "BLS key", lambda key: [key.to_bytes()], is_class_method=True)
        yield secrets
