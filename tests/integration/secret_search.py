"""Every secret that is made while tests run, and the search for it in all that was written.

A secret is looked for as bytes in either order, as hexadecimal and decimal text, as Python shows bytes, and in base64
wherever it begins.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_utils import keccak

from qanat import bls
from qanat.bls import SecretKey
from qanat.chain.journal import state_folder
from qanat.chain.signer import KeySigner
from qanat.client import dealing, store
from qanat.devnet.network import Network
from qanat.keys import account_signature, encryption, kept, keyfile, recovery, recovery_key, shares
from qanat.keys.curve import curve_kernel, multiply_g1
from qanat.keys.recovery_key import RecoveryKeyFile
from qanat.keys.release import LicenseeKey
from qanat.keys.seal import SealingKey
from qanat.node.sealing import load_sealing_key

FEWEST_BYTES = 32


class Secrets:
    """What must stand nowhere, by what it is."""

    def __init__(self) -> None:
        self.made: dict[str, set[bytes]] = {}

    def add(self, kind: str, *secrets: bytes | int) -> None:
        """Note secrets: numbers of 32 bytes, or bytes that are long enough not to stand somewhere by chance."""
        for secret in secrets:
            raw = secret.to_bytes(32, "big") if isinstance(secret, int) else bytes(secret)
            assert len(raw) >= FEWEST_BYTES
            self.made.setdefault(kind, set()).add(raw)

    def add_point(self, kind: str, point: bytes) -> None:
        """Note a point of G1 by its coordinates: they stand in every form of it, one without its three flag bits."""
        self.add(kind, point[:48], point[1:48], point[48:])

    def add_all_of(self, network: Network, passphrase: str) -> None:
        """Note the keys of a network's people and machines, some of which other processes made."""
        people = [network.actor(role) for role in ("owner", "licensee", "stranger")]
        self.add("Ethereum key", *(person.session.signer._account.key for person in people))
        for host in network.hosts:
            keys = host.folder / "keys"
            responder = KeySigner.from_keyfile(keys / "responder.json", passphrase)
            self.add("Ethereum key", host.actor.session.signer._account.key, responder._account.key)
            self.add("BLS key", bls.load_key(keys / "bls.json", passphrase).to_bytes())
            self.add("sealing key", load_sealing_key(keys / "sealing.json", passphrase).to_bytes())
        owner = network.actor("owner")
        home = state_folder() / "keys" / f"{owner.address.lower()}.json"
        self.add("recovery key", RecoveryKeyFile.load(home).open(owner.session.signer).to_bytes())

    def found_in(self, *places: Path) -> list[str]:
        """Return ``kind in file`` for each secret that stands in a file, or in the name of one."""
        wanted = {form: kind for kind, secrets in self.made.items() for secret in secrets for form in forms(secret)}
        files = sorted({path for place in places for path in ([place] if place.is_file() else place.rglob("*"))})
        found = []
        for path in files:
            text = _without_holes(path.read_bytes()) if path.is_file() else b""
            text += b"\n" + str(path).encode()
            found += [f"{kind} in {path}" for form, kind in wanted.items() if form in text]
        return list(dict.fromkeys(found))


def _without_holes(data: bytes) -> bytes:
    """Return what a file holds without long runs of zeros: much of a database is nothing else."""
    return re.sub(rb"\0{512,}", bytes(512), data)


def forms(secret: bytes) -> set[bytes]:
    """Return the ways in which a secret may have been written."""
    made = {secret, secret[::-1]}
    texts = {secret.hex(), secret[::-1].hex(), secret.hex().upper()}
    # leading zeros are left out of numbers
    texts |= {str(int.from_bytes(secret, "big")), f"{int.from_bytes(secret, 'big'):x}"}
    texts |= {repr(secret)[2:-1], str(list(secret))[1:-1]}
    for skipped in range(3):
        part = secret[skipped : skipped + (len(secret) - skipped) // 3 * 3]
        texts |= {base64.b64encode(part).decode(), base64.urlsafe_b64encode(part).decode()}
    return made | {text.encode() for text in texts}


@contextmanager
def secrets_noted() -> Iterator[Secrets]:
    """Note what this process makes while the body runs.

    Keys; data keys, the files' keys made of them; dealings with their polynomials, all that opens them; what encrypts
    key files, and what is kept for one account.
    """
    secrets = Secrets()
    with pytest.MonkeyPatch.context() as patch:

        def note(owner: Any, name: str, seen: Callable[..., None], *, is_class_method: bool = False) -> None:
            """Have ``seen`` told the result of each call, and its arguments."""
            real = getattr(owner, name)

            @wraps(real)
            def made(*arguments: Any, **options: Any) -> Any:
                result = real(*arguments, **options)
                seen(result, *arguments)
                return result

            patch.setattr(owner, name, staticmethod(made) if is_class_method else made)

        def generated(owner: Any, kind: str, of: Callable[[Any], bytes | int]) -> None:
            note(owner, "generate", lambda key: secrets.add(kind, of(key)), is_class_method=True)

        def dealt(made: shares.Dealing, context: Any, coefficients: Any, *_: Any) -> None:
            secrets.add("polynomial", *coefficients)  # its first is s
            curve = curve_kernel()
            base = context.base(curve)
            for share in made.shares:
                secrets.add_point("part of a threshold key", multiply_g1(curve, base, share))

        def wrapped(_: Any, context: Any, point: bytes, secret_point: bytes) -> None:
            secrets.add_point("threshold key", point)
            info = shares._WRAP_TAG + keccak(context.identity + secret_point)
            secrets.add("wrapping key", HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(point))

        note(store, "generate_data_key", lambda key: secrets.add("data key", key))
        note(encryption, "_derive", lambda derived, *_: secrets.add("file key", derived[0]))
        note(dealing, "deal", lambda made, *_: secrets.add("share", *made.shares))
        note(shares, "deal_polynomial", dealt)
        note(shares, "_cipher", wrapped)
        note(keyfile, "_derive", lambda key, *_: secrets.add("key of a key file", key))
        for module in (recovery, recovery_key, kept):
            note(module, "_key", lambda key, *_: secrets.add("key of a kept secret", key))
        for module in (recovery, recovery_key, kept, account_signature):
            note(module, "sign_for_secret", lambda signed, *_: secrets.add("unlocking signature", signed, signed[:32]))
        generated(LicenseeKey, "licensee's key", lambda key: key.scalar)
        generated(SealingKey, "X25519 key", lambda key: key.to_bytes())
        generated(SecretKey, "BLS key", lambda key: key.to_bytes())
        yield secrets
