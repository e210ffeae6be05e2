"""Official vectors: KZG verification (consensus-specs) and RFC 9380, on the fast path and on the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from qanat import kzg
from qanat.bls import signature_kernel
from qanat.errors import QanatError
from qanat.kzg.points import to_padded

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors"

needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="no ../shared/vectors beside the project")


def kzg_cases() -> dict[str, Any]:
    """Return all cases by name."""
    paths = sorted((VECTORS / "kzg").glob("*.yaml")) if VECTORS.is_dir() else []
    return {path.stem.removeprefix("verify_kzg_proof_case_"): yaml.safe_load(path.read_text()) for path in paths}


def hash_cases() -> Any:
    """Return RFC 9380's suite for G1."""
    return json.loads((VECTORS / "hash_to_curve" / "BLS12381G1_XMD_SHA-256_SSWU_RO.json").read_text())


def outcome(case: dict[str, Any], kernel: str) -> bool | None:
    """Return what verify says, None where it raises one of our errors; any other exception escapes."""
    fields = [bytes.fromhex(case["input"][name][2:]) for name in ("commitment", "z", "y", "proof")]
    try:
        return kzg.verify(*fields, kernel=kernel)
    except QanatError:
        return None


@needs_vectors
def test_all_official_kzg_cases_on_the_fast_path() -> None:
    """122 cases: true, false, and malformed ones, which must raise."""
    cases = kzg_cases()
    assert len(cases) == 122
    wrong = {name for name, case in cases.items() if outcome(case, "fast") is not case["output"]}
    assert wrong == set()
    assert {case["output"] for case in cases.values()} == {True, False, None}


@needs_vectors
def test_official_kzg_cases_on_the_reference() -> None:
    """Every malformed case, and every ninth of the rest: a pairing of the reference takes half a second."""
    cases = kzg_cases()
    malformed = [name for name, case in cases.items() if case["output"] is None]
    well_formed = [name for name, case in cases.items() if case["output"] is not None]
    chosen = malformed + well_formed[::9]
    assert {cases[name]["output"] for name in chosen} == {True, False, None}
    wrong = {name for name in chosen if outcome(cases[name], "reference") is not cases[name]["output"]}
    assert wrong == set()


@needs_vectors
@pytest.mark.parametrize("kernel", ["reference", "fast"])
def test_official_hash_to_curve_cases(kernel: str) -> None:
    """RFC 9380, BLS12381G1_XMD:SHA-256_SSWU_RO_, all cases on both paths."""
    suite = hash_cases()
    tag = suite["dst"].encode()
    assert len(suite["vectors"]) == 5
    for case in suite["vectors"]:
        expected = bytes.fromhex(case["P"]["x"][2:]) + bytes.fromhex(case["P"]["y"][2:])
        assert signature_kernel(kernel).hash_to_g1(case["msg"].encode(), tag) == to_padded(expected)


@needs_vectors
def test_official_expand_message_cases_on_the_reference() -> None:
    """RFC 9380's expand_message_xmd.

    Which the reference's hash rests on (arkworks shows its own only through the hash).
    """
    import hashlib

    from py_ecc.bls.hash import expand_message_xmd

    suite = json.loads((VECTORS / "hash_to_curve" / "expand_message_xmd_SHA256_38.json").read_text())
    for case in suite["tests"]:
        made = expand_message_xmd(
            case["msg"].encode(), suite["DST"].encode(), int(case["len_in_bytes"], 16), hashlib.sha256
        )
        assert made.hex() == case["uniform_bytes"]
