"""Descriptions of assets: what is no valid Croissant is found before it is stored; nothing named is fetched."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from qanat.errors import BadParameters
from qanat.licensing.croissant import MAX_BYTES, read_description

VECTOR = Path(__file__).with_name("soil.croissant.json")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Fail for whoever opens a connection."""

    def refuse(*arguments, **words):
        raise AssertionError(f"something is fetched: {arguments}")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def document():
    return json.loads(VECTOR.read_text())


def read(document):
    return read_description(json.dumps(document).encode())


def test_tells_what_the_document_says(document):
    """Name, schema, license, digests; nothing is missing."""
    found = read(document)
    assert (found.name, found.text) == ("soil", "Samples of a farm's soil")
    assert found.schema == "samples: depth Integer, ph Float"
    assert found.license == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert found.conforms_to == "http://mlcommons.org/croissant/1.0"
    assert found.digests == (bytes.fromhex("ab" * 32),)
    assert found.warnings == ()


def test_warns_of_what_is_recommended(document):
    del document["citeAs"]
    (warning,) = read(document).warnings
    assert "citeAs" in warning


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it: it.pop("name"), "name"),
        (lambda it: it["recordSet"][0]["field"][0].pop("dataType"), "dataType"),
        (lambda it: it["recordSet"][0]["field"][0]["source"]["fileObject"].update({"@id": "none"}), "none"),
        (lambda it: it["distribution"][0].pop("sha256"), "sha256"),
        (lambda it: it.update({"@type": "sc:Person"}), "Dataset"),
    ],
    ids=["no name", "no type", "no such file", "no digest", "no dataset"],
)
def test_refuses_what_is_not_valid(document, change, words):
    """And says what is wrong."""
    change(document)
    with pytest.raises(BadParameters, match=words):
        read(document)


@pytest.mark.parametrize("context", ["https://schema.org/", ["https://schema.org/"], {"@import": "https://x.org/"}])
@pytest.mark.parametrize("inside", [False, True])
def test_refuses_contexts_that_would_be_fetched(document, context, inside):
    """At the top and anywhere within."""
    (document["recordSet"][0] if inside else document)["@context"] = context
    with pytest.raises(BadParameters, match="fetched"):
        read(document)


@pytest.mark.parametrize(
    "data", [b"", b"soil", b"[]", b"1", b"[" * 100, b"{}", b'{"@type": []}', b" " * (MAX_BYTES + 1)]
)
def test_refuses_what_is_no_description(data):
    with pytest.raises(BadParameters):
        read_description(data)


def test_fits_the_metadata_whatever_it_says(document):
    """A name of pages, a thousand fields: cut, and well below 4,096 bytes with the rest."""
    document["name"] = "n" * 5_000
    document["description"] = "d" * 50_000
    field = document["recordSet"][0]["field"][0]
    document["recordSet"][0]["field"] = [
        {**field, "@id": f"samples/f{number}", "name": f"field_{number}"} for number in range(300)
    ]
    told = read(document).to_metadata()
    assert len(json.dumps(told)) < 3_000
    assert told["schema"].startswith("samples: field_0 Integer, field_1 Integer")
