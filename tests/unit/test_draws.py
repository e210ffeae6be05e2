"""Draws and answers off chain, against enumerations and the formulas of IAudits written out again."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from qanat import kzg
from qanat.chain import draws
from qanat.chain.draws import Bucket, Draw, ListedObject, Place, Snapshot, Void
from qanat.errors import BadParameters, NonCanonicalElement, SliceMismatch
from qanat.kzg.folding import fold_commitments
from qanat.node.answer import Response, build_response, levels_to_show

OPERATOR = "0x" + "ab" * 20
AUDITS = "0x" + "cd" * 20
R = draws.SCALAR_MODULUS


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def make_listed(number: int, *, start: int, n: int, matrices: int, tickets: int, **overrides) -> ListedObject:
    values = {
        "index": 0,
        "object_id": keccak(text=f"object {number}"),
        "start": start,
        "end": start + n // tickets * matrices,
        "end_epoch": 10,
        "n": n,
        "matrices": matrices,
        "manifest_root": bytes(32),
        "non_signers_hash": draws.non_signers_hash(()),
        **overrides,
    }
    return ListedObject(**values)


def make_place(roster: int, tickets: int, first: int, own: int, shapes, *, held=None) -> Place:
    """Return a place whose buckets hold objects of the given (rows of a ticket in a matrix, matrices)."""
    buckets, number = [], 1000 * roster
    for bucket in shapes:
        objects, start = [], 0
        for index, (turns, matrices) in enumerate(bucket):
            number += 1
            listed = make_listed(
                number, start=start, n=turns * tickets, matrices=matrices, tickets=tickets, index=index
            )
            objects.append(listed)
            start = listed.end
        buckets.append(Bucket(start, objects))
    rows = own * sum(bucket.rows for bucket in buckets)
    return Place(roster, tickets, 0, first, own, rows if held is None else held, tuple(buckets))


def make_draw(snapshot: Snapshot, samples: int = 4, seed: int = 0) -> Draw:
    context = draws.draw_context(31337, AUDITS, 1, 5, keccak(text=f"seed {seed}"), OPERATOR)
    return Draw.of(context, snapshot, samples)


shapes_of = st.lists(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=3), min_size=1, max_size=3)


@st.composite
def snapshots(draw):
    places = []
    for roster in range(1, draw(st.integers(1, 3)) + 1):
        tickets = draw(st.integers(1, 7))
        own = draw(st.integers(1, tickets))
        first = draw(st.integers(0, tickets - own))
        places.append(make_place(roster, tickets, first, own, draw(shapes_of)))
    return Snapshot(tuple(places))


class TestContext:
    def test_is_the_hash_that_the_interface_names(self):
        seed = keccak(text="seed")
        address = [bytes(12) + bytes.fromhex(text[2:]) for text in (AUDITS, OPERATOR)]
        expected = keccak(
            keccak(text="qanat/v1/challenge") + word(31337) + address[0] + word(3) + word(9) + seed + address[1]
        )
        assert draws.draw_context(31337, AUDITS, 3, 9, seed, OPERATOR) == expected

    def test_every_part_changes_it(self):
        seed = keccak(text="seed")
        plain = (1, AUDITS, 3, 9, seed, OPERATOR)
        others = [
            (2, *plain[1:]),
            (1, OPERATOR, *plain[2:]),
            (1, AUDITS, 4, *plain[3:]),
            (1, AUDITS, 3, 8, *plain[4:]),
            (1, AUDITS, 3, 9, keccak(seed), OPERATOR),
            (1, AUDITS, 3, 9, seed, AUDITS),
        ]
        assert len({draws.draw_context(*values) for values in (plain, *others)}) == 7


class TestPositions:
    @given(st.integers(1, 500), st.integers(1, 64), st.integers())
    def test_first_ones_lie_one_in_each_stratum_and_later_ones_anywhere(self, rows, samples, seed):
        samples = min(samples, rows)
        context = keccak(text=str(seed))
        for number in range(samples):
            begin, end = number * rows // samples, (number + 1) * rows // samples
            position = draws.position_of(context, rows, samples, number)
            assert position == begin + int.from_bytes(keccak(context + word(0) + word(number)), "big") % (end - begin)
        for number in range(samples, 4 * samples):
            expected = int.from_bytes(keccak(context + word(3) + word(number - samples)), "big") % rows
            assert draws.position_of(context, rows, samples, number) == expected

    @pytest.mark.parametrize(("rows", "samples"), [(0, 0), (3, 4), (3, 0), (3, -1)])
    def test_nothing_is_drawn_from_nothing(self, rows, samples):
        with pytest.raises(BadParameters):
            draws.position_of(bytes(32), rows, samples, 0)

    def test_replacements_are_uniform_over_the_whole_snapshot(self):
        """Chi-square over 20 cells, 4,000 fixed draws: a uniform stream passes this bound but once in 10^6."""
        cells = Counter(draws.position_of(keccak(word(i)), 1000, 4, 4 + i % 12) // 50 for i in range(4000))
        chi_square = sum((cells[cell] - 200) ** 2 / 200 for cell in range(20))
        assert chi_square < 62  # 19 degrees of freedom: P(> 62) < 2·10^-6

    def test_ask_no_more_than_is_held(self):
        snapshot = Snapshot((make_place(1, 4, 0, 2, [[(1, 3)]], held=3),))
        assert (make_draw(snapshot, 8).samples, len(list(make_draw(snapshot, 8).positions()))) == (3, 12)
        assert list(make_draw(replace(snapshot, places=()), 8).positions()) == []


class TestLocate:
    @given(snapshots())
    def test_follows_roster_ticket_bucket_object_matrix_row(self, snapshot):
        """Every position, against the snapshot written out in order."""
        expected = []
        for place in snapshot.places:
            for ticket in range(place.first_ticket, place.first_ticket + place.tickets):
                for number, bucket in enumerate(place.buckets):
                    for listed in bucket.objects:
                        offset = int.from_bytes(keccak(listed.object_id), "big") % place.roster_tickets
                        rows = [row for row in range(listed.n) if (offset + row) % place.roster_tickets == ticket]
                        expected += [
                            (place.roster, ticket, number, listed.object_id, matrix * listed.n + row)
                            for matrix in range(listed.matrices)
                            for row in rows
                        ]
        found = []
        for position in range(snapshot.rows):
            spot = draws.locate(snapshot, position)
            listed = spot.place.buckets[spot.bucket].at(spot.offset)
            index = draws.slice_at(listed, spot.place.roster_tickets, spot.ticket, spot.offset)
            found.append((spot.place.roster, spot.ticket, spot.bucket, listed.object_id, index))
        assert found == expected

    def test_refuses_positions_outside(self):
        snapshot = Snapshot((make_place(1, 2, 0, 1, [[(1, 1)]]),))
        for position in (-1, 1):
            with pytest.raises(BadParameters):
                draws.locate(snapshot, position)

    def test_what_was_listed_later_is_not_found(self):
        """A bucket as of B_e has fewer rows than its list goes on to hold."""
        whole = make_place(1, 2, 0, 1, [[(1, 2), (1, 2)]]).buckets[0]
        frozen = replace(whole, rows=2)
        assert frozen.at(1) == whole.objects[0]
        with pytest.raises(BadParameters):
            frozen.at(2)

    def test_all_tickets_together_hold_every_slice_once(self):
        tickets, n, matrices = 5, 15, 3
        held = []
        for ticket in range(tickets):
            place = make_place(1, tickets, ticket, 1, [[(n // tickets, matrices)]])
            listed = place.buckets[0].objects[0]
            held += [draws.slice_at(listed, tickets, ticket, offset) for offset in range(listed.end)]
        assert sorted(held) == list(range(n * matrices))


class TestFollow:
    """Voids, replacements, and when reading ends."""

    @staticmethod
    def snapshot(*objects: ListedObject, held: int) -> Snapshot:
        rows = objects[-1].end
        return Snapshot((Place(1, 3, 2, 2, 1, held, (Bucket(rows, objects),)),))

    def two(self, **second):
        """An object of 10 rows a ticket, and a second one of 10 with other values."""
        first = make_listed(1, start=0, n=3, matrices=10, tickets=3)
        return first, make_listed(2, start=10, n=3, matrices=10, tickets=3, **{"index": 1, **second})

    def test_reads_the_first_ones_when_all_are_live(self):
        snapshot = self.snapshot(*self.two(), held=20)
        reads = draws.follow(make_draw(snapshot), 5, lambda _: ())
        assert [read.position for read in reads] == list(make_draw(snapshot).positions())[:4]
        assert {read.void for read in reads} == {None}

    def test_replaces_voids_until_enough_are_live(self):
        snapshot = self.snapshot(*self.two(end_epoch=5), held=10)
        draw = make_draw(snapshot)
        reads = draws.follow(draw, 5, lambda _: ())
        assert [read.position for read in reads] == list(draw.positions())[: len(reads)]
        assert sum(read.void is None for read in reads) == 4
        assert reads[-1].void is None
        assert [read.void for read in reads if read.object_id == reads[0].object_id].count(Void.EXPIRED) == 0
        assert {read.void for read in reads if read.listed.index == 1} == {Void.EXPIRED}

    def test_gives_up_after_four_times_as_many(self):
        large = make_listed(1, start=0, n=3, matrices=10_000, tickets=3, end_epoch=5)
        small = make_listed(2, start=10_000, n=3, matrices=1, tickets=3)
        reads = draws.follow(make_draw(self.snapshot(large, small, held=1)), 5, lambda _: ())
        assert (len(reads), {read.void for read in reads}) == (4, {Void.EXPIRED})

    def test_unsigned_rows_are_void_and_expiry_comes_first(self):
        absent = (0, 2)
        unsigned = {"non_signers_hash": draws.non_signers_hash(absent)}
        reads = draws.follow(make_draw(self.snapshot(*self.two(**unsigned), held=10)), 5, lambda _: absent)
        seconds = [read for read in reads if read.listed.index == 1]
        assert {(read.void, read.non_signers) for read in seconds} == {(Void.UNSIGNED, absent)}
        both = self.two(**unsigned, end_epoch=5)
        reads = draws.follow(make_draw(self.snapshot(*both, held=10)), 5, lambda _: absent)
        assert {(read.void, read.non_signers) for read in reads if read.listed.index == 1} == {(Void.EXPIRED, ())}

    def test_a_signer_of_an_incomplete_object_shows_its_list(self):
        absent = (0, 1)
        first, second = self.two(non_signers_hash=draws.non_signers_hash(absent))
        reads = draws.follow(make_draw(self.snapshot(first, second, held=20)), 5, lambda _: absent)
        assert {(read.listed.index, read.non_signers) for read in reads} == {(0, ()), (1, absent)}

    def test_refuses_a_list_that_does_not_fit_the_hash(self):
        objects = self.two(non_signers_hash=draws.non_signers_hash((0, 1)))
        with pytest.raises(BadParameters, match="does not fit its hash"):
            draws.follow(make_draw(self.snapshot(*objects, held=20)), 5, lambda _: (0,))

    @pytest.mark.parametrize(("indexes", "packed"), [((), b""), ((1, 258), b"\x00\x01\x01\x02")])
    def test_non_signers_are_hashed_two_bytes_each(self, indexes, packed):
        assert draws.non_signers_hash(indexes) == keccak(packed)


class TestFold:
    def test_transcript_point_and_weights_are_what_the_interface_says(self):
        entries = [(keccak(text="a"), 7, bytes(96)), (keccak(text="b"), 2**40, b"\x01" * 96)]
        bound = draws.transcript_hash(entries)
        assert bound == keccak(b"".join(name + index.to_bytes(8, "big") + point for name, index, point in entries))
        context = keccak(text="context")
        z = int.from_bytes(keccak(context + word(1) + bound), "big") % R
        assert draws.opening_point(context, bound) == z
        weights = [1] + [int.from_bytes(keccak(context + word(2) + bound + word(j)), "big") % R for j in (1, 2)]
        assert draws.fold_weights(context, bound, 3) == weights
        assert draws.fold_weights(context, bound, 0) == []


@dataclass(frozen=True)
class PlainManifest:
    """What an answer needs of a manifest; paths are not checked here."""

    commitments: tuple[bytes, ...]
    params_hash: bytes = keccak(b"parameters")

    def merkle_path(self, index: int) -> list[bytes]:
        return [word(index), keccak(word(index))]


class TestAnswer:
    """One object of width 64, one of width 128; three tickets, the operator holds one."""

    @pytest.fixture(scope="class")
    def stored(self):
        choose = random.Random(1)
        objects, slices, manifests = [], {}, {}
        for number, width in enumerate((64, 128)):
            listed = make_listed(number, start=3 * number, n=3, matrices=3, tickets=3, index=number)
            parts = [b"".join(b"\0" + choose.randbytes(31) for _ in range(width)) for _ in range(9)]
            objects.append(listed)
            slices |= {(listed.object_id, index): part for index, part in enumerate(parts)}
            manifests[listed.object_id] = PlainManifest(tuple(kzg.commit(part) for part in parts))
        snapshot = Snapshot((Place(1, 3, 0, 0, 1, 6, (Bucket(6, objects),)),))
        return snapshot, slices, manifests

    @staticmethod
    def respond(draw, stored, slices=None) -> Response:
        _, good, manifests = stored
        held = slices or good
        return build_response(
            1,
            5,
            OPERATOR,
            draws.follow(draw, 5, lambda _: ()),
            draw.context,
            manifest_of=manifests.__getitem__,
            slice_of=lambda object_id, index: held[object_id, index],
        )

    def test_opens_the_weighted_sum_at_the_drawn_point(self, stored):
        draw = make_draw(stored[0], 6)
        reads, response = draws.follow(draw, 5, lambda _: ()), self.respond(draw, stored)
        assert {read.listed.index for read in reads} == {0, 1}
        commitments = [stored[2][read.object_id].commitments[read.slice] for read in reads]
        points = [kzg.decompress(commitment) for commitment in commitments]
        bound = draws.transcript_hash(
            (read.object_id, read.slice, point) for read, point in zip(reads, points, strict=True)
        )
        weights = draws.fold_weights(draw.context, bound, len(reads))
        z = word(draws.opening_point(draw.context, bound))
        assert kzg.verify(fold_commitments(commitments, weights), z, word(response.y), response.proof)
        assert [witness.point for witness in response.reads] == points
        shown = {}
        for read, witness in zip(reads, response.reads, strict=True):
            path = tuple(stored[2][read.object_id].merkle_path(read.slice))
            before = shown.get(read.object_id)
            assert witness.path == (path if before is None else path[: (read.slice ^ before).bit_length() - 1])
            shown[read.object_id] = read.slice
        values = response.as_tuple()
        assert values[:5] == (1, 5, OPERATOR, response.y, response.proof)
        assert [object_id for object_id, _ in values[5]] == list(shown)
        assert values[6] == []
        order = [list(shown).index(read.object_id) for read in reads]
        assert values[7:9] == (b"".join(number.to_bytes(2, "big") for number in order), b"".join(points))
        assert values[9] == [node for witness in response.reads for node in witness.path]

    def test_the_same_slice_again_shows_nothing_of_its_path(self):
        path = [word(level) for level in range(3)]
        assert levels_to_show(5, None, path) == tuple(path)
        assert levels_to_show(5, 5, path) == ()
        assert levels_to_show(5, 4, path) == ()
        assert levels_to_show(5, 1, path) == tuple(path[:2])

    def test_names_the_damaged_slice_instead_of_answering(self, stored):
        draw = make_draw(stored[0], 6)
        read = draws.follow(draw, 5, lambda _: ())[3]
        damaged = dict(stored[1])
        key = (read.object_id, read.slice)
        damaged[key] = damaged[key][:-1] + bytes([damaged[key][-1] ^ 1])
        with pytest.raises(SliceMismatch) as caught:
            self.respond(draw, stored, damaged)
        assert set(caught.value.data["slices"]) == {f"0x{read.object_id.hex()}/{read.slice}"}

    def test_a_slice_that_is_no_slice_is_no_answer(self, stored):
        draw = make_draw(stored[0], 6)
        read = draws.follow(draw, 5, lambda _: ())[0]
        broken = {**stored[1], (read.object_id, read.slice): b"\xff" * 64 * 32}
        with pytest.raises((NonCanonicalElement, SliceMismatch)):
            self.respond(draw, stored, broken)

    def test_errors_of_the_store_pass_through(self, stored):
        class Gone(dict):
            def __bool__(self):
                return True

            def __missing__(self, key):
                raise LookupError(key)

        with pytest.raises(LookupError):
            self.respond(make_draw(stored[0], 6), stored, Gone())

    def test_opens_nothing_where_all_is_void(self, stored):
        snapshot, _, _ = stored
        (place,) = snapshot.places
        expired = tuple(replace(listed, end_epoch=5) for listed in place.buckets[0].objects)
        draw = make_draw(Snapshot((replace(place, buckets=(Bucket(6, expired),)),)), 2)
        response = self.respond(draw, stored)
        assert (response.y, response.proof, len(response.reads)) == (0, b"", 8)
        assert {(item.params_hash, item.point, item.path) for item in response.reads} == {(bytes(32), b"", ())}
        assert response.as_tuple()[8:] == (b"", [])
