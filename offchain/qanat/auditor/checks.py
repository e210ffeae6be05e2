"""The checks: each takes one thing that the chain accepted and says why it should not have, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from qanat import bls, kzg
from qanat.auditor.evidence import Evidence
from qanat.auditor.population import CertifiedObject, Population
from qanat.chain.draws import Draw, Read, draw_context, fold_weights, follow, opening_point, transcript_hash
from qanat.chain.views import Roster
from qanat.coding.dual import dual_check
from qanat.errors import FormatError
from qanat.index.records import Adoption, Answer, SealedEpoch, SlashRecord
from qanat.node.certificate import certificate_list_digest
from qanat.objects import Manifest

__all__ = [
    "Shown",
    "check_answer",
    "check_certificate",
    "check_openings",
    "check_roster",
    "check_seed",
    "check_slash",
    "read_answer",
]

#: Bytes of a raw commitment.
_POINT_BYTES = 96

CERTIFICATE_TAG = bytes(keccak(text="qanat/v1/certificate"))


def check_roster(roster: Roster, keys: dict[bytes, bytes]) -> Iterator[str]:
    """Check ticket ranges, key hashes and the aggregate key. ``keys``: registered keys by their hash, from events."""
    yield from _check_tickets(roster)
    missing = [entry.operator for entry in roster.entries if entry.key_hash not in keys]
    registered = [entry for entry in roster.entries if entry.key_hash in keys]
    others = [entry.operator for entry in registered if keccak(keys[entry.key_hash]) != entry.key_hash]
    if others:
        yield f"keys of {', '.join(others)} do not hash to their hashes"
    if missing:
        yield f"keys of {', '.join(missing)} were never registered"
    elif bls.aggregate_keys([keys[entry.key_hash] for entry in roster.entries]) != roster.aggregate_key:
        yield "the aggregate key is not the sum of the operators' keys"


def _check_tickets(roster: Roster) -> Iterator[str]:
    first = 0
    for entry in roster.entries:
        if entry.tickets == 0:
            yield f"{entry.operator} holds no tickets"
        if entry.first_ticket != first:
            yield f"tickets of {entry.operator} begin at {entry.first_ticket}, not {first}"
        first = entry.first_ticket + entry.tickets
    for name in sorted({name for name in roster.operators if roster.operators.count(name) > 1}):
        yield f"{name} sits in more than one seat"
    if first != roster.tickets:
        yield f"holds {first} tickets, says {roster.tickets}"
    capped = len(roster.entries) >= 3
    for entry in roster.entries:
        if capped and 3 * entry.tickets > roster.tickets:
            yield f"{entry.operator} holds more than a third of the tickets"


def certificate_digest(chain_id: int, objects: str, item: CertifiedObject) -> bytes:
    """Return what the operators signed (docs/protocol.md)."""
    opened = item.opened
    kinds = ["bytes32", "uint256", "address", "bytes32", "uint32", "uint32", "bytes32", *(["uint32"] * 5)]
    return bytes(
        keccak(
            encode(
                kinds,
                [
                    CERTIFICATE_TAG,
                    chain_id,
                    objects,
                    opened.object_id,
                    opened.shard,
                    opened.roster,
                    opened.manifest_root,
                    opened.width,
                    opened.k,
                    opened.n,
                    opened.matrices,
                    opened.epochs,
                ],
            )
        )
    )


def manifest_root(item: CertifiedObject) -> bytes:
    """Return the root that the opening's own parameters give."""
    opened = item.opened
    numbers = b"".join(value.to_bytes(4, "big") for value in (opened.width, opened.k, opened.n, opened.matrices))
    parameters = keccak(numbers + opened.size.to_bytes(8, "big") + opened.content_hash + opened.header_hash)
    return bytes(keccak(b"\x02" + opened.tree_root + parameters))


def check_certificate(
    item: CertifiedObject, population: Population, evidence: Evidence, keys: dict[bytes, bytes]
) -> Iterator[str]:
    """Check one certificate: who signed, what, in time, enough; and that what was certified is an encoding."""
    opened, certificate = item.opened, item.certificate
    roster = population.rosters[opened.roster]
    if manifest_root(item) != opened.manifest_root:
        yield "the manifest root is not that of the opening's parameters"
    if certificate.block > opened.block + population.parameters.epoch_length:
        yield f"certified in block {certificate.block}, more than an epoch after the opening in {opened.block}"
    first = population.first_epoch_after(certificate.block)
    if (certificate.first_epoch, certificate.certified_end) != (first, first + opened.epochs):
        yield f"lives in epochs {certificate.first_epoch} to {certificate.certified_end}, should begin with {first}"

    strangers = [str(seat) for seat in certificate.non_signers if roster.at(seat) is None]
    if strangers:
        yield f"leaves out seat {', '.join(strangers)}, where the roster has nobody"
        return
    yield from _check_quorum(item, roster)

    call = evidence.call_of(certificate.transaction, "Objects", "certify", "certifyMany")
    named = call.get("objectIds", [call.get("objectId")])
    if tuple(call["nonSigners"]) != certificate.non_signers or opened.object_id not in named:
        yield "the transaction's data is not what the event says"
        return
    digest = _signed_digest(item, call, population, evidence)
    absent = [entry for entry in roster.entries if entry.seat in certificate.non_signers]
    excluded = [keys[entry.key_hash] for entry in absent]
    if not bls.verify_aggregate(roster.aggregate_key, excluded, digest, bytes(call["signature"])):
        yield "the aggregate signature does not hold"

    signers = [entry.operator for entry in roster.entries if entry not in absent]
    yield from _check_vacancies(signers, roster, certificate.block, population)
    for adoption in certificate.adoptions:
        yield from check_adoption(item, adoption, population, evidence, keys)
    manifest = evidence.manifest(opened.object_id, opened.manifest_root, signers)
    try:
        dual_check(manifest.commitments, opened.k, opened.n)
    except FormatError as error:
        yield f"the commitments are no encoding: {error}"


def _signed_digest(item: CertifiedObject, call: dict[str, Any], population: Population, evidence: Evidence) -> bytes:
    """Return what the certificate's signers signed: the object's digest, or that of the list that it is in."""
    chain_id, objects = evidence.chain.chain_id, evidence.chain.contract("Objects").address
    if "objectIds" not in call:
        return certificate_digest(chain_id, objects, item)
    digests = [certificate_digest(chain_id, objects, population.by_id[bytes(name)]) for name in call["objectIds"]]
    return certificate_list_digest(chain_id, objects, item.opened.shard, item.opened.roster, digests)


def check_adoption(
    item: CertifiedObject, adoption: Adoption, population: Population, evidence: Evidence, keys: dict[bytes, bytes]
) -> Iterator[str]:
    """Check one adoption: by who was left out, under its own signature, in time, not of a vacant place."""
    roster, certificate = population.rosters[item.opened.roster], item.certificate
    entry = roster.at(adoption.seat)
    if entry is None or entry.operator != adoption.operator or adoption.seat not in certificate.non_signers:
        yield f"{adoption.operator} adopts rows that it was not left out of"
        return
    first = population.first_epoch_after(adoption.block)
    if adoption.from_epoch != first or first > certificate.first_epoch + 1 or first >= certificate.certified_end:
        yield f"{adoption.operator} counts from epoch {adoption.from_epoch}, adopted in block {adoption.block}"
    yield from _check_vacancies([adoption.operator], roster, adoption.block, population)
    call = evidence.call_of(adoption.transaction, "Objects", "adopt")
    digest = certificate_digest(evidence.chain.chain_id, evidence.chain.contract("Objects").address, item)
    if not bls.verify(keys[entry.key_hash], digest, bytes(call["signature"])):
        yield f"the signature of {adoption.operator} does not hold"


def _check_quorum(item: CertifiedObject, roster: Roster) -> Iterator[str]:
    opened, tickets = item.opened, roster.tickets
    if not tickets or not opened.n or opened.n % tickets:
        yield f"{opened.n} rows of a matrix cannot be dealt evenly to {tickets} tickets"
        return
    signed = sum(entry.tickets for entry in roster.entries if entry.seat not in item.certificate.non_signers)
    each = opened.n // tickets
    needed = max(-(-2 * tickets // 3), -(-(opened.k + tickets // 3 * each) // each))
    if signed < needed:
        yield f"signed by {signed} of {tickets} tickets, needs {needed}"


def _check_vacancies(
    signers: Sequence[str], roster: Roster, certified_block: int, population: Population
) -> Iterator[str]:
    for operator in signers:
        # within one block the log says nothing of the order
        if any(
            roster.head.snapshot_block <= block < certified_block for block in population.vacancies.get(operator, ())
        ):
            yield f"counts {operator} as a signer, whose place was vacant"


def check_seed(sealed: SealedEpoch, population: Population, evidence: Evidence) -> Iterator[str]:
    """Check that an epoch's seed is its block's randomness, and that it was sealed in time."""
    seed_block = population.seed_block(sealed.epoch)
    if evidence.randomness(seed_block, sealed.sealed_block) != sealed.seed:
        yield f"the seed is not the randomness of block {seed_block}"
    if not seed_block < sealed.sealed_block <= seed_block + population.parameters.sealing_limit:
        yield f"sealed in block {sealed.sealed_block}, too early or too late for {seed_block}"
    if sealed.deadline != sealed.sealed_block + population.parameters.window:
        yield f"the deadline {sealed.deadline} is not sealing + window"


def draw_of(population: Population, evidence: Evidence, sealed: SealedEpoch, operator: str) -> Draw:
    """Return the draw that an operator had to answer, derived anew."""
    chain_id, audits = evidence.chain.chain_id, sealed.audits
    context = draw_context(chain_id, audits, population.shard, sealed.epoch, sealed.seed, operator)
    return Draw.of(context, population.snapshot(sealed.epoch, operator, audits), population.parameters.samples)


@dataclass(frozen=True)
class Shown:
    """An answer to the right draw, of which the commitments and the opening are still to be checked.

    ``live``: (number of the read, object id, slice, its commitment in the manifest); ``points``: those that it showed.
    """

    context: bytes
    live: Sequence[tuple[int, bytes, int, bytes]]
    points: bytes
    y: int
    proof: bytes


def check_answer(answer: Answer, sealed: SealedEpoch, population: Population, evidence: Evidence) -> Iterator[str]:
    """Check one response: in time, for a duty and its own draw, every commitment the manifest's, the opening true."""
    shown: list[Shown] = []
    yield from read_answer(answer, sealed, population, evidence, shown)
    for found in check_openings(shown):
        if isinstance(found, FormatError):
            raise found
        yield from found


def read_answer(
    answer: Answer, sealed: SealedEpoch, population: Population, evidence: Evidence, shown: list[Shown]
) -> Iterator[str]:
    """Check one response but for what it opens, which is appended to ``shown``, for :func:`check_openings`."""
    # the chain takes an answer that follows the sealing in the same block
    if not sealed.sealed_block <= answer.block <= sealed.deadline:
        yield f"answered in block {answer.block}, outside {sealed.sealed_block} to {sealed.deadline}"
    given = evidence.call_of(answer.transaction, "Audits", "respond", "respondMany", address=answer.audits)
    duty = (answer.shard, answer.epoch, answer.operator)
    sent = given["responses"] if "responses" in given else [given["response"]]
    # of several for one duty the first counted
    call = next((item for item in sent if (item["shard"], item["epoch"], item["operator"]) == duty), None)
    if call is None:
        yield "the transaction's data is for another duty"
        return
    draw = draw_of(population, evidence, sealed, answer.operator)
    if draw.snapshot.held == 0:
        yield "answered although it held nothing"
        return
    certified = population.by_id
    reads = follow(draw, answer.epoch, lambda listed: certified[listed.object_id].certificate.absent_in(answer.epoch))
    live = [read for read in reads if read.void is None]
    if (len(live), len(reads)) != (answer.live, answer.read) or len(call["reads"]) != 2 * len(reads):
        yield f"shows {answer.live} live of {answer.read} positions; the draw has {len(live)} of {len(reads)}"
        return
    opened = []
    for read in live:
        commitment = _manifest_of(read, population, evidence).commitments[read.slice]
        opened.append((read.number, read.object_id, read.slice, commitment))
    if opened:
        shown.append(Shown(draw.context, opened, bytes(call["points"]), int(call["y"]), bytes(call["proof"])))
    elif call["y"] != 0 or call["proof"]:
        yield "opens something although nothing was live"


def check_openings(shown: Sequence[Shown]) -> list[list[str] | FormatError]:
    """Return what is wrong with each answer's commitments and opening, or why that can't be told.

    All of them take two pairings, one read of each commitment and one sum of points, unless some do not hold.
    """
    raw = _raw_points(list(dict.fromkeys(commitment for item in shown for *_, commitment in item.live)))
    found: list[list[str] | FormatError] = [[] for _ in shown]
    openings: dict[int, kzg.Opening] = {}
    for number, item in enumerate(shown):
        try:
            found[number] = _other_commitments(item, raw)
            if not found[number]:
                openings[number] = _opening_of(item, raw)
        except FormatError as error:
            found[number] = error
    for position in kzg.bad_openings(list(openings.values())):
        found[list(openings)[position]] = ["the folded opening does not hold"]
    return found


def _raw_points(commitments: Sequence[bytes]) -> dict[bytes, bytes]:
    """Read many points; those that are none are left out, at the cost of reading each by itself."""
    try:
        return dict(zip(commitments, kzg.decompress_all(commitments), strict=True))
    except FormatError:
        raw = {}
        for commitment in commitments:
            with suppress(FormatError):
                raw[commitment] = kzg.decompress(commitment)
        return raw


def _other_commitments(item: Shown, raw: dict[bytes, bytes]) -> list[str]:
    for place, (number, _, index, commitment) in enumerate(item.live):
        # what is left out there is no point, and says so
        point = raw.get(commitment) or kzg.decompress(commitment)
        if item.points[_POINT_BYTES * place : _POINT_BYTES * (place + 1)] != point:
            return [f"read {number} shows another commitment than the manifest's for slice {index}"]
    return []


def _opening_of(item: Shown, raw: dict[bytes, bytes]) -> kzg.Opening:
    live = [(object_id, index, raw[commitment]) for _, object_id, index, commitment in item.live]
    bound = transcript_hash(live)
    weights = fold_weights(item.context, bound, len(live))
    point = opening_point(item.context, bound)
    return kzg.Opening([shown for *_, shown in live], weights, point, item.y, kzg.decompress(item.proof))


def _manifest_of(read: Read, population: Population, evidence: Evidence) -> Manifest:
    roster = population.rosters[read.spot.place.roster]
    return evidence.manifest(read.object_id, read.listed.manifest_root, roster.operators)


def _check_stake_taken(slash: SlashRecord, population: Population, evidence: Evidence) -> Iterator[str]:
    """A roster fixes tickets, and so a weight; which collaterals it came from was up to what stood there then.

    A unit of a collateral that the stake source values at more than one weighs more than is counted here: that bound
    is then wider than the contract's.
    """
    weights = {item.token: item.weight_wad for item in evidence.views.collaterals(slash.shard)}
    for token in sorted(slash.stake_taken.keys() - weights.keys()):
        yield f"took {slash.stake_taken[token]} of {token}, which the shard does not count"
    roster = population.rosters.get(slash.roster)
    entry = roster.entry_of(slash.operator) if roster else None
    if entry is None:
        return
    limit = entry.tickets * population.parameters.stake_slash_per_ticket
    taken = sum(amount * weights.get(token, 0) for token, amount in slash.stake_taken.items())
    if taken > limit * 10**18:
        yield f"took stake of weight {taken // 10**18}, the roster fixed {limit}"


def check_slash(slash: SlashRecord, population: Population, evidence: Evidence, audits: str) -> Iterator[str]:
    """Check that a carried-out slash was due, took no more than its roster fixed, and paid the reporter its part.

    The roster is the one with most of the operator's tickets among those of the Audits that was told of the miss in
    which it held live rows, the lowest of equals.
    """
    bond, fee, _ = evidence.views.slash_terms(slash.shard, slash.roster, slash.operator)
    if slash.bond_taken > bond:
        yield f"took {slash.bond_taken} of the bond, the roster fixed {bond}"
    if slash.reporter_reward != min(fee, slash.bond_taken // 2):
        yield f"paid the reporter {slash.reporter_reward}, not {min(fee, slash.bond_taken // 2)}"
    yield from _check_stake_taken(slash, population, evidence)
    if slash.executed_block is not None and slash.executed_block < slash.ready_block:
        yield f"carried out in block {slash.executed_block}, before {slash.ready_block}"
    places = population.snapshot(slash.epoch, slash.operator, audits).places
    held = [place for place in places if place.held]
    if not held:
        yield "slashed although it held nothing"
        return
    roster = max(held, key=lambda place: place.tickets).roster
    if slash.roster != roster:
        yield f"slashed by roster {slash.roster}, its duty was in {roster}"
