"""Threshold keys on a chain: a licensed asset whose holders are drawn, dealt to, and asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ape import chain
from eth_utils import to_bytes

from qanat.keys.context import KeyContext
from qanat.keys.curve import curve_kernel
from qanat.keys.drawing import Seat, drawn_ticket, follow_draw
from qanat.keys.release import LicenseeKey, blinded_base, release
from qanat.keys.shares import Dealing, deal, digest_of
from qanat.kzg.points import from_padded
from tests.contracts import curve_points as cp
from tests.contracts import licensing
from tests.contracts.system import System, fund, make_data

DATA_KEY = bytes(range(32))


@dataclass
class KeyWorld:
    """A system, an asset with a license of thirty days, and the key of one epoch."""

    system: System
    market: licensing.Market
    owner: Any
    licensee: Any
    asset: int
    offer: int
    license: int
    epoch: int = 0
    dealing: Any = None
    context: Any = None
    licensee_key: LicenseeKey = field(default_factory=lambda: LicenseeKey(987654321))

    @property
    def keys(self) -> Any:
        return self.system.keys

    @property
    def contract(self) -> bytes:
        return to_bytes(hexstr=self.keys.address)

    # -- holders

    def request(self, places: int, *, shard: int | None = None) -> int:
        """Ask for holders, and go past the seed block; return the key epoch."""
        self.keys.request(self.asset, shard or self.system.shard, places, sender=self.owner)
        self.epoch = self.keys.epochsOf(self.asset).newest
        self.system.go_to_block(self.record.seedBlock + 1)
        return self.epoch

    @property
    def record(self) -> Any:
        return self.keys.keyOf(self.asset, self.epoch)

    def seats(self) -> list[Seat]:
        found = self.system.shards.rosterEntries(self.system.shard, self.record.roster, 0, 2**16)
        return [Seat(i, e.operator, e.firstTicket, e.tickets) for i, e in enumerate(found)]

    def ticket_of(self, step: int) -> int:
        """Return a step's ticket, from the seed that the beacon gives."""
        record = self.record
        seed = self.system.block_value(record.seedBlock)
        total = self.system.head(record.roster).tickets
        return drawn_ticket(chain.chain_id, self.keys.address, self.asset, self.epoch, seed, step, total)

    def eligible(self, operator: str) -> bool:
        return self.system.restaking.accepted(operator, self.keys)

    def follow(self, places: list, *, former=(), first_step: int = 0):
        return follow_draw(
            self.seats(),
            self.ticket_of,
            places=places,
            former=former,
            eligible=self.eligible,
            first_step=first_step,
        )

    def draw(self, sender: Any = None) -> Any:
        """Draw the holders, as anybody may."""
        drawn = self.follow([None] * self.record.places)
        header = self.system.header(self.record.seedBlock)
        return self.keys.draw(self.asset, self.epoch, header, list(drawn.steps), sender=sender or self.owner)

    def holders(self) -> list[str]:
        return list(self.keys.holdersOf(self.asset, self.epoch))

    # -- dealing

    def make_context(self, **changes: Any) -> KeyContext:
        holders = tuple(to_bytes(hexstr=holder) for holder in self.holders())
        made = KeyContext(chain.chain_id, self.contract, self.asset, self.epoch, holders)
        return replace(made, **changes)

    def make_dealing(self, threshold: int) -> Dealing:
        self.context = self.make_context()
        self.dealing = deal(self.context, threshold, DATA_KEY)
        return self.dealing

    def signature(self, digest: bytes, holders: list[str] | None = None) -> bytes:
        """Return the aggregate of what the holders sign."""
        secrets = {item.address: item.secret for item in self.system.enrolled}
        chosen = self.holders() if holders is None else holders
        return cp.g1(cp.sum_of([cp.sign(secrets[holder], digest) for holder in chosen]))

    def deal_arguments(self, dealing: Dealing | None = None) -> list[Any]:
        c = (dealing or self.dealing).commitments
        return [self.asset, self.epoch, c.threshold, c.root, c.published]

    def deal(self, threshold: int = 2, sender: Any = None) -> Any:
        """Deal a fresh key to the holders drawn."""
        dealing = self.make_dealing(threshold)
        signature = self.signature(digest_of(self.context, dealing.commitments))
        return self.keys.deal(*self.deal_arguments(), signature, sender=sender or self.owner)

    def put_in_force(self, places: int, threshold: int) -> None:
        """All of it."""
        self.request(places)
        self.draw()
        self.deal(threshold)

    # -- releases

    def force_arguments(self, key: LicenseeKey | None = None, licensee: Any = None) -> list[Any]:
        key = key or self.licensee_key
        account = to_bytes(hexstr=(licensee or self.licensee).address)
        proof = key.prove(chain.chain_id, self.contract, account)
        c, z = int.from_bytes(proof[:32], "big"), int.from_bytes(proof[32:], "big")
        return [self.asset, self.epoch, self.license, key.point, c, z]

    def pay_for(self, licensee: Any = None) -> None:
        fund(self.system.payment_token, licensee or self.licensee, 64 * self.keys.answerFee(), self.system.payments)

    def force(self, key: LicenseeKey | None = None) -> Any:
        self.pay_for()
        return self.keys.force(*self.force_arguments(key), sender=self.licensee)

    def names(self, key: LicenseeKey | None = None) -> list[Any]:
        """Return what names a forced release: asset, epoch, license, hash of P."""
        from eth_utils import keccak

        return [self.asset, self.epoch, self.license, keccak((key or self.licensee_key).point)]

    def release_id(self, key: LicenseeKey | None = None) -> bytes:
        return bytes(self.keys.releaseId(*self.names(key)))

    def commitment_witness(self, place: int) -> bytes:
        return self.dealing.commitments.points[place] + b"".join(self.dealing.commitments.path(place))

    def witness(self, place: int, key: LicenseeKey | None = None) -> bytes:
        """Return an honest holder's answer."""
        point = (key or self.licensee_key).point
        answer = release(self.context, self.dealing.shares[place], point)
        return blinded_base(self.context, point) + answer + self.commitment_witness(place)

    def answer(self, place: int, key: LicenseeKey | None = None, sender: Any = None) -> Any:
        return self.keys.answer(*self.names(key), place, self.witness(place, key), sender=sender or self.owner)

    def operator_at(self, place: int) -> str:
        return self.holders()[place]

    def receipt(self, place: int = 0, **changes: Any) -> dict[str, Any]:
        """Return a holder's receipt of a release."""
        made = {
            "assetId": self.asset,
            "epoch": self.epoch,
            "place": place,
            "licenseId": self.license,
            "licensee": self.licensee.address,
            "blockNumber": chain.blocks.height,
            "point": self.licensee_key.point,
            "answer": release(self.context, self.dealing.shares[place], self.licensee_key.point),
        }
        return made | changes

    def sign_receipt(self, receipt: dict[str, Any], signer: str | None = None) -> bytes:
        holder = signer or self.operator_at(receipt["place"])
        return self.signature(bytes(self.keys.receiptDigest(receipt)), [holder])


def base_on_chain(keys: Any, harness: Any, digest: bytes, tag: bytes) -> bytes:
    """Return R as the chain hashes it."""
    return from_padded(bytes(harness.hashToG1(digest, tag)))


def make_key_world(project: Any, system: System, owner: Any, licensee: Any, operators: list[Any]) -> KeyWorld:
    """Store an object, mint an asset of it, license it; all operators accept Keys as a slasher."""
    for operator in operators:
        system.restaking.acceptSlasher(system.keys, sender=operator)
    head = system.head(1)
    data = make_data(n=head.tickets, k=2, zeros=True, seed=99)
    object_id = system.store(owner, data, epochs=3)
    system.assets.mint([object_id], bytes(32), "ipfs://x", sender=owner)
    asset = system.assets.count()
    parts = (system.directory, system.objects, system.operators, system.payments, system.assets, system.licenses)
    market = licensing.Market(*parts, token=system.payment_token, deployer=system.governor)
    offer = market.offer(owner, asset, earnedAtReleaseBps=0)
    made = KeyWorld(system, market, owner, licensee, asset, offer, market.buy(offer, licensee))
    assert curve_kernel().name == "fast"
    return made
