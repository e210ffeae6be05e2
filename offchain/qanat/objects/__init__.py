"""Objects: a sequence of bytes as matrices of slices, described by a manifest.

``encode`` and ``restore`` work in memory, ``encode_file`` and ``restore_file`` stream. ``plan`` chooses the shape;
``slices_of_operator`` says who holds what.
"""

from __future__ import annotations

from qanat.objects.assignment import (
    rows_of_operator,
    rows_of_ticket,
    slices_of_operator,
    ticket_of_row,
    ticket_offset,
)
from qanat.objects.decoder import (
    folder_fetch,
    rebuild_slices,
    restore,
    restore_file,
    restore_stream,
    verify_slices,
    wrong_slices,
)
from qanat.objects.durability import Failures, annual_loss, nines
from qanat.objects.encoder import Encoded, Memory, encode, encode_file, encode_stream, slice_name
from qanat.objects.manifest import Manifest
from qanat.objects.planner import Plan, needed_tickets, plan
from qanat.objects.shape import Shape
from qanat.objects.tree import SliceTree, leaf_hash, node_hash, root_hash, verify_path

__all__ = [
    "Encoded",
    "Failures",
    "Manifest",
    "Memory",
    "Plan",
    "Shape",
    "SliceTree",
    "annual_loss",
    "encode",
    "encode_file",
    "encode_stream",
    "folder_fetch",
    "leaf_hash",
    "needed_tickets",
    "nines",
    "node_hash",
    "plan",
    "rebuild_slices",
    "restore",
    "restore_file",
    "restore_stream",
    "root_hash",
    "rows_of_operator",
    "rows_of_ticket",
    "slice_name",
    "slices_of_operator",
    "ticket_of_row",
    "ticket_offset",
    "verify_path",
    "verify_slices",
    "wrong_slices",
]
