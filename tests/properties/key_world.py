"""Threshold keys against an adversary: a chain that may be reorganised, honest holders, what can be computed.

The adversary's knowledge is followed in the generic group model: every point that it has is a polynomial in what it
doesn't know (each key's s, the logarithm of each R, each honest licensee's x), and from points it gets all their linear
combinations, no more. It has a key iff [s]R is one of those. Beside each polynomial stands the point itself, as the
library made it: what the polynomials say is computed with the points, too, and must open the data key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from eth_hash.auto import keccak

from qanat.errors import QanatError
from qanat.field import MODULUS
from qanat.keys import holding
from qanat.keys.context import KeyContext
from qanat.keys.curve import curve_kernel, lagrange_at, multiply_g1
from qanat.keys.holding import HeldShare, Receipt
from qanat.keys.seal import SealingKey
from qanat.keys.sealed_share import seal_share
from qanat.keys.shares import Dealing, deal_polynomial, digest_of, unwrap

THRESHOLD, PLACES = 3, 6
CORRUPT, HONEST = (0, 4), (1, 2, 3, 5)
FINALITY = 3
HOLDERS = tuple(bytes([0xA0 + place]) * 20 for place in range(PLACES))
SEALING = tuple(SealingKey.from_bytes(keccak(b"sealing %d" % place)) for place in range(PLACES))
ADVERSARY, ALICE, BOB = (bytes([number]) * 20 for number in (0xEE, 0x11, 0x22))
KEYS, OTHER_KEYS = b"\x0a" * 20, b"\x0b" * 20

#: Keys: another key epoch, asset, chain, contract. The owners of the second three were careless: they dealt the
#: polynomial of the first again, which no chain notices that isn't the same. With proofs that helps nobody.
CONTEXTS = (
    KeyContext(1, KEYS, 7, 1, HOLDERS),
    KeyContext(1, KEYS, 7, 2, HOLDERS),
    KeyContext(1, KEYS, 8, 1, HOLDERS),
    KeyContext(2, KEYS, 7, 1, HOLDERS),
    KeyContext(1, OTHER_KEYS, 7, 1, HOLDERS),
)
POLYNOMIAL = (0, 1, 0, 0, 0)
#: An asset of the adversary's own: it is its owner and its licensee.
OWN = KeyContext(1, KEYS, 66, 1, HOLDERS)

CURVE = curve_kernel()


def data_key(number: int) -> bytes:
    """Return what a key opens."""
    return keccak(b"data key %d" % number)


@cache
def dealings() -> tuple[Dealing, ...]:
    """Deal all keys, with coefficients that nobody else knows."""
    secrets = [
        [int.from_bytes(keccak(b"f %d %d" % (which, power)), "big") % MODULUS for power in range(THRESHOLD)]
        for which in range(2)
    ]
    return tuple(
        deal_polynomial(context, secrets[POLYNOMIAL[number]], data_key(number))
        for number, context in enumerate(CONTEXTS)
    )


# ---- the chain


@dataclass(frozen=True)
class License:
    """As LicenseRecord on chain, what holders ask of it. ``contract``: the Keys whose Licenses sold it."""

    number: int
    contract: bytes
    asset: int
    licensee: bytes
    start: int
    end: int
    revoked: int = 0

    def in_force(self, time: int) -> bool:
        """Say whether it is, as Licenses does."""
        return not (self.revoked and self.revoked <= time) and self.start <= time < self.end


Transaction = Callable[[dict[int, License], int], None]


class Ledger:
    """A chain of licenses: one block a second. Blocks up to ``final`` stay; those above may be replaced."""

    def __init__(self) -> None:
        self.blocks: list[dict[int, License]] = [{} for _ in range(FINALITY + 1)]
        self._contents: list[list[Transaction]] = [[] for _ in self.blocks]

    @property
    def latest(self) -> int:
        return len(self.blocks) - 1

    @property
    def final(self) -> int:
        return self.latest - FINALITY

    def mine(self, *transactions: Transaction) -> None:
        """Add a block."""
        state = dict(self.blocks[-1])
        for transaction in transactions:
            transaction(state, len(self.blocks))
        self.blocks.append(state)
        self._contents.append(list(transactions))

    def reorganise(self, depth: int, *, keep: bool, empty: int) -> None:
        """Replace the newest blocks, none of them final, by as many and more: with what was in them, or without."""
        depth = min(depth, FINALITY)
        dropped = [item for block in self._contents[len(self._contents) - depth :] for item in block]
        del self.blocks[len(self.blocks) - depth :]
        del self._contents[len(self._contents) - depth :]
        self.mine(*(dropped if keep else []))
        for _ in range(depth - 1 + empty):
            self.mine()

    def buy(self, contract: bytes, asset: int, licensee: bytes, length: int) -> Transaction:
        """Return a purchase; the license gets its number where it stands in the chain."""

        def transaction(state: dict[int, License], time: int) -> None:
            number = len(state) + 1
            state[number] = License(number, contract, asset, licensee, time, time + length)

        return transaction

    def revoke(self, number: int) -> Transaction:
        """Return a revocation."""

        def transaction(state: dict[int, License], time: int) -> None:
            if number in state and not state[number].revoked:
                state[number] = replace(state[number], revoked=time)

        return transaction

    def licensed(self, context: KeyContext, number: int, licensee: bytes, block: int) -> bool:
        """Say whether a license is this licensee's, of this asset, and in force in a block."""
        found = self.blocks[block].get(number)
        named = (context.contract, context.asset_id, licensee)
        return found is not None and (found.contract, found.asset, found.licensee) == named and found.in_force(block)

    def blames(self, receipt: Receipt, contract: bytes) -> bool:
        """Say whether ``Keys.reportUnlicensed`` would slash for a receipt, by what the chain says now."""
        found = self.blocks[-1].get(receipt.license_id)
        if found is None or (found.contract, found.asset) != (contract, receipt.asset_id):
            return True
        stop = min(found.revoked or found.end, found.end)
        was_in_force = found.start <= receipt.block_number and receipt.block_number - FINALITY <= stop
        return not was_in_force and found.licensee == receipt.licensee


# ---- holders and requests


@dataclass(frozen=True)
class Request:
    """A licensee's request for one key, signed by its account: nobody else can make one in its name."""

    signer: bytes
    context: KeyContext
    license: int
    point: bytes
    possession: bytes


@dataclass
class Holder:
    """An honest holder: takes what the library takes, looks at the chain, answers what the library answers."""

    place: int
    held: dict[bytes, HeldShare] = field(default_factory=dict)
    receipts: list[tuple[KeyContext, Receipt]] = field(default_factory=list)
    live: bool = True

    def accept(self, context: KeyContext, dealing: Dealing, sealed: bytes) -> HeldShare:
        """Take a share, or raise what the library raises."""
        place, key = self.place, SEALING[self.place]
        share = holding.accept_share(
            context, dealing.commitments, dealing.proof, place, sealed, key, holder=HOLDERS[place]
        )
        self.held[context.identity] = share
        return share

    def answer(self, ledgers: Mapping[int, Ledger], request: Request) -> bytes | None:
        """Return E, or None where the library refuses."""
        if not self.live or request.context.identity not in self.held:
            return None
        context, ledger = request.context, ledgers[request.context.chain_id]
        seen = [
            ledger.licensed(context, request.license, request.signer, block) for block in (ledger.final, ledger.latest)
        ]
        try:
            receipt = holding.answer_request(
                self.held[context.identity],
                request.license,
                request.signer,
                request.point,
                request.possession,
                licensed_final=seen[0],
                licensed_now=seen[1],
                block_number=ledger.latest,
            )
        except QanatError:
            return None
        assert all(seen), "a holder answered what was not licensed in the final and in the newest block"
        self.receipts.append((context, receipt))
        return receipt.answer


@cache
def sealed_shares(number: int) -> tuple[bytes, ...]:
    """Return a key's shares as they travel: everybody may read these bytes."""
    dealing = dealings()[number]
    digest = digest_of(CONTEXTS[number], dealing.commitments)
    return tuple(
        seal_share(share, digest, place, HOLDERS[place], SEALING[place].public)
        for place, share in enumerate(dealing.shares)
    )


@cache
def _accepted(place: int) -> dict[bytes, HeldShare]:
    holder = Holder(place)
    for number, context in enumerate(CONTEXTS):
        holder.accept(context, dealings()[number], sealed_shares(number)[place])
    return holder.held


def honest_holder(place: int) -> Holder:
    """Return a holder that took its shares of all keys."""
    return Holder(place, dict(_accepted(place)))


# ---- what an adversary can compute

Monomial = tuple[str, ...]
Form = dict[Monomial, int]
ONE: Form = {(): 1}


def scaled(form: Form, factor: int) -> Form:
    """Return factor times a polynomial."""
    return {key: value * factor % MODULUS for key, value in form.items() if value * factor % MODULUS}


def added(*forms: Form) -> Form:
    """Return a sum of polynomials."""
    total: Form = {}
    for form in forms:
        for key, value in form.items():
            total[key] = (total.get(key, 0) + value) % MODULUS
    return {key: value for key, value in total.items() if value}


def multiplied(a: Form, b: Form) -> Form:
    """Return a product of polynomials."""
    return added(*({tuple(sorted(m + n)): x * y % MODULUS} for m, x in a.items() for n, y in b.items()))


@cache
def weights_of(place: int) -> tuple[int, int]:
    """Return (what s counts in a place's share, 1) by the shares that the adversary has: the rest is a number."""
    indexes = [0, *(corrupt + 1 for corrupt in CORRUPT)]
    return tuple(lagrange_at(indexes, place + 1))  # type: ignore[return-value]


def share_form(number: int, place: int) -> Form:
    """Return a share as the adversary knows it: t-1 shares leave s alone unknown."""
    weights = weights_of(place)
    known = sum(w * dealings()[number].shares[corrupt] for w, corrupt in zip(weights[1:], CORRUPT, strict=True))
    return added({(f"s{POLYNOMIAL[number]}",): weights[0]}, {(): known % MODULUS})


def base_form(number: int) -> Form:
    """Return R's logarithm, which nobody knows; keys with one R have one."""
    return {(f"r{CONTEXTS[number].base(CURVE).hex()}",): 1}


class Knowledge:
    """Points that the adversary has, and all that follows: a basis in row echelon form, with how each row was made."""

    def __init__(self) -> None:
        self._points: list[bytes] = []
        self._rows: dict[Monomial, tuple[Form, dict[int, int]]] = {}
        self.learn(ONE, CURVE.g1)
        for number, context in enumerate(CONTEXTS):
            self.learn(base_form(number), context.base(CURVE))
            for place in HONEST:
                self.learn(share_form(number, place), dealings()[number].commitments.matches[place])

    def learn(self, form: Form, point: bytes) -> None:
        """Add a point."""
        self._points.append(point)
        left, made = self._reduced(form)
        if left:
            lead = max(left)
            made[len(self._points) - 1] = 1
            inverse = pow(left[lead], -1, MODULUS)
            self._rows[lead] = scaled(left, inverse), {at: v * inverse % MODULUS for at, v in made.items()}

    def _reduced(self, form: Form) -> tuple[Form, dict[int, int]]:
        """Return (form less a combination of what is known, that combination, negated)."""
        left, made = dict(form), {}
        for lead in sorted(self._rows, reverse=True):
            factor = left.get(lead, 0)
            if factor:
                row, how = self._rows[lead]
                left = added(left, scaled(row, -factor))
                for at, value in how.items():
                    made[at] = (made.get(at, 0) - factor * value) % MODULUS
        return left, made

    def secret(self, number: int) -> bytes | None:
        """Return [s]R of a key, computed, if it follows from what is known."""
        left, made = self._reduced(multiplied({(f"s{POLYNOMIAL[number]}",): 1}, base_form(number)))
        if left:
            return None
        return CURVE.combine_g1([self._points[at] for at in made], [-value for value in made.values()])

    def opened(self, number: int) -> bytes | None:
        """Return a key's data key if it follows from what is known."""
        point = self.secret(number)
        if point is None:
            return None
        commitments = dealings()[number].commitments
        return unwrap(CONTEXTS[number], point, commitments.secret_point, commitments.wrapped)


def point_of(scalar: int) -> bytes:
    """Return [scalar]G1."""
    return multiply_g1(CURVE, CURVE.g1, scalar % MODULUS)
