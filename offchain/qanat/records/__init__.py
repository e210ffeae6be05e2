"""Records: small, signed by their senders, packed by the thousand into one object under one certificate.

``sign_record`` makes one, ``make_bundle`` packs them, ``RecordProof`` shows anybody who has the object's root from the
chain that a record is in it.
"""

from __future__ import annotations

from qanat.records.bundle import Bundle, BundleHead, BundleReader, head_of_file, make_bundle, split_header
from qanat.records.proof import ObjectFrame, RecordProof
from qanat.records.record import Record, SigningDomain, sign_record, split_records, verify_record
from qanat.records.tree import RecordTree

__all__ = [
    "Bundle",
    "BundleHead",
    "BundleReader",
    "ObjectFrame",
    "Record",
    "RecordProof",
    "RecordTree",
    "SigningDomain",
    "head_of_file",
    "make_bundle",
    "sign_record",
    "split_header",
    "split_records",
    "verify_record",
]
