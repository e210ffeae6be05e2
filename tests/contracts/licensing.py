"""Builders of what tests of assets and licenses stand on: doubles of Objects, Operators, Directory; all else real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_abi import encode
from eth_utils import keccak

TRAIN, FINE_TUNE, EVALUATE, INFER, REDISTRIBUTE, COMMERCIAL = (1 << bit for bit in range(6))
ALL_PURPOSES = 63
DAY = 86_400
TERMS_TYPE = "(uint256,address,uint256,uint32,uint64,uint32,uint16,bytes32,uint32,bool,bool,address)"
TERMS_FIELDS = (
    *("assetId", "token", "price", "purposes", "duration", "uses", "earnedAtReleaseBps", "textHash"),
    *("seats", "exclusive", "transferable", "arbiter"),
)
NO_PERMIT = (0, 0, bytes(32), bytes(32))


def name(text: str) -> bytes:
    """Return a Directory name as ModuleNames writes it."""
    return text.encode().ljust(32, b"\0")


def object_id(number: int) -> bytes:
    """Return some object's id."""
    return keccak(number.to_bytes(32, "big"))


@dataclass
class Market:
    """A licensing market on a chain, with what acts on it."""

    directory: Any
    objects: Any
    operators: Any
    payments: Any
    assets: Any
    licenses: Any
    token: Any
    deployer: Any
    objects_made: int = 0

    def mint(self, owner: Any, *, objects: int = 1, metadata: str = "ipfs://description") -> int:
        """Mint an asset of new certified objects for an owner, and return its id."""
        ids = []
        for _ in range(objects):
            self.objects_made += 1
            ids.append(object_id(self.objects_made))
            self.objects.put(ids[-1], owner, 9, sender=self.deployer)
        self.assets.mint(ids, keccak(text="content"), metadata, sender=owner)
        return int(self.assets.count())

    def terms(self, asset_id: int, **overrides: Any) -> dict[str, Any]:
        """Return terms of an ordinary offer: thirty days of training, a quarter earned at the release."""
        values = {
            "assetId": asset_id,
            "token": self.token.address,
            "price": 1_000_003,
            "purposes": TRAIN,
            "duration": 30 * DAY,
            "uses": 0,
            "earnedAtReleaseBps": 2_500,
            "textHash": keccak(text="license text"),
            "seats": 0,
            "exclusive": False,
            "transferable": False,
            "arbiter": "0x" + "00" * 20,
        }
        unknown = set(overrides) - set(values)
        if unknown:
            message = f"no such term: {unknown}"
            raise TypeError(message)
        return values | overrides

    def offer(self, owner: Any, asset_id: int, **overrides: Any) -> int:
        """Publish an offer and return its id."""
        self.licenses.publishOffer(self.terms(asset_id, **overrides), sender=owner)
        return int(self.licenses.offerCount())

    def buy(self, offer_id: int, buyer: Any, *, seat: int | None = None, **kwargs: Any) -> int:
        """Give the buyer the price, let it buy, and return the license's id."""
        terms, _ = self.licenses.offer(offer_id)
        price = terms[TERMS_FIELDS.index("price")]
        self.fund(buyer, price)
        if seat is None:
            self.licenses.buy(offer_id, terms_hash(terms), price, sender=buyer, **kwargs)
        else:
            self.licenses.buyWith(offer_id, terms_hash(terms), price, seat, NO_PERMIT, sender=buyer, **kwargs)
        return int(self.licenses.licenseCount())

    def fund(self, buyer: Any, price: int) -> None:
        """Give a buyer a price, approved."""
        self.token.mint(buyer, price, sender=self.deployer)
        self.token.approve(self.payments, price, sender=buyer)

    def book(self, asset_id: int, token: Any = None) -> int:
        """Return what Payments holds for all licenses of an asset."""
        account = self.payments.moduleAccount(self.licenses, asset_id.to_bytes(32, "big"))
        return int(self.payments.bookOf(token or self.token, account)[0])

    def settle(self, asset_id: int, token: Any = None, *, sender: Any, days: int = 400) -> int:
        """Have an asset's book paid to its owner, and return what that gave."""
        receipt = self.licenses.settle(asset_id, token or self.token, days, sender=sender)
        amount, is_done = receipt.return_value
        assert is_done
        return int(amount)


def terms_hash(terms: Any) -> bytes:
    """Return keccak256(abi.encode(terms)), of a mapping, a struct, or the plain tuple as which Ape returns one."""
    values = tuple(terms[field] for field in TERMS_FIELDS) if isinstance(terms, Mapping) else tuple(terms)
    return keccak(encode([TERMS_TYPE], [values]))


def make_market(project: Any, deployer: Any) -> Market:
    """Deploy a market."""
    directory = deployer.deploy(project.DirectoryDouble)
    objects = deployer.deploy(project.ObjectsDouble)
    operators = deployer.deploy(project.OperatorsDouble)
    payments = deployer.deploy(project.Payments, directory)
    assets = deployer.deploy(project.Assets, directory)
    licenses = deployer.deploy(project.Licenses, directory, assets, payments)
    token = deployer.deploy(project.MintableToken)
    entries = {"objects": objects, "operators": operators, "payments": payments, "assets": assets, "licenses": licenses}
    for entry, contract in entries.items():
        directory.set(name(entry), contract, sender=deployer)
    return Market(directory, objects, operators, payments, assets, licenses, token, deployer)
