"""Requests made up from the node's own description, against a node that serves: what comes back is what it describes.

Half of them name an object that is there and carry its payer's permit or a reader's signature, so that they get past
the door. ``HYPOTHESIS_PROFILE=fuzz`` (``make explore``): many more, new ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from qanat.node.requests import authorization
from qanat.objects import encode
from tests.unit.node_doubles import CHAIN_ID, FakeNode, FakeViews, make_people, permit, serve_node

OBJECT = b"\x47" * 32
ID = "0x" + OBJECT.hex()
PEOPLE = make_people(3)
OPERATOR = PEOPLE[0].address
ENCODED = encode(bytes(range(256)) * 8, k=2, n=3, width=64)
CALLS = [
    "GET /health",
    "GET /status",
    "GET /metrics",
    "PUT /objects/{object_id}/manifest",
    "GET /objects/{object_id}/manifest",
    "PUT /objects/{object_id}/slices/{index}",
    "GET /objects/{object_id}/slices/{index}",
    "PUT /objects/{object_id}/slices",
    "POST /objects/{object_id}/signature",
    "POST /lists/signature",
    "PUT /keys/{asset_id}",
    "POST /keys/{asset_id}/release",
    "PUT /keys/{asset_id}/{key_epoch}/share",
    "GET /keys/{asset_id}/{key_epoch}/dealing",
    "POST /keys/{asset_id}/{key_epoch}/release",
]
schemathesis.checks.load_all_checks()
CHECKS = [
    schemathesis.checks.CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]
EXAMPLES = max(8, settings.default.max_examples // 10)


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A node with one signed object, and what it says of its calls."""
    views = FakeViews(PEOPLE)
    views.open_object(OBJECT, ENCODED)
    node = FakeNode(
        views,
        PEOPLE[0],
        tmp_path_factory.mktemp("node"),
        poll_seconds=600,
        requests_per_second=0.0,
        read_bytes_per_second=0.0,
    )
    node.take_all(OBJECT, ENCODED)
    node.intake.sign(OBJECT)
    served = serve_node(node)
    yield schemathesis.openapi.from_url(served.url + "/openapi.json")
    served.stop()
    node.stop()


def test_all_calls_are_here(description: Any) -> None:
    """A call that is added is added to the list."""
    assert {f"{found.ok().method.upper()} {found.ok().path}" for found in description.get_all_operations()} == set(
        CALLS
    )


@pytest.mark.parametrize("call", CALLS)
def test_answers_are_as_described(description: Any, call: str) -> None:
    """Right and wrong parameters, headers and bodies: no 5xx, no undescribed status, no other form."""
    method, path = call.split()
    operation = description[path][method]
    good = permit(OBJECT, ENCODED, OPERATOR)
    own = min(index for index in range(ENCODED.manifest.count) if index % 3 == _own_row())

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(operation.as_strategy(generation_mode=mode) for mode in GenerationMode), known=st.booleans())
    def ask(case: Any, known: bool) -> None:
        headers = {}
        if known and "object_id" in (case.path_parameters or {}):
            case.path_parameters["object_id"] = ID
            if "index" in case.path_parameters and case.body.__class__ is not bytes:
                case.path_parameters["index"] = own
            headers["Qanat-Put"] = good
            if method == "GET":
                target = path.format(**case.path_parameters)
                headers["Authorization"] = authorization(PEOPLE[2].signer, CHAIN_ID, OPERATOR, method, target)
        case.call_and_validate(checks=CHECKS, headers=headers, session=session, timeout=20)

    with requests.Session() as session:
        session.trust_env = False
        ask()


def _own_row() -> int:
    """The row of every matrix that is the first operator's, which has ticket 0."""
    from qanat.objects import slices_of_operator

    return slices_of_operator(OBJECT, 3, 0, 1, 3, 1)[0]
