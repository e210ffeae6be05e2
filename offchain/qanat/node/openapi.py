"""What the node's API looks like from outside: parameters, answers, errors, as ``/openapi.json`` serves them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Path
from pydantic import BaseModel, BeforeValidator, Field

from qanat.errors import MalformedHex
from qanat.node.permits import PERMIT_HEADER
from qanat.payments.vouchers import VOUCHER_HEADER

__all__ = [
    "Answer",
    "AssetId",
    "Authorization",
    "ErrorBody",
    "Health",
    "KeyEpoch",
    "ObjectId",
    "Permit",
    "Range",
    "Sealed",
    "Signature",
    "SliceIndex",
    "Status",
    "Voucher",
    "binary",
    "body_of",
    "errors",
    "hash_of",
    "number_of",
]

_HASH = "^0x[0-9a-fA-F]{64}$"
_INDEX_LIMIT = (1 << 64) - 1
_ADDRESS = "^0x[0-9a-fA-F]{40}$"


def _decimal(value: Any) -> Any:
    """Refuse what only looks like a number: signs, spaces, underscores."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("digits only")
    return value


ObjectId = Annotated[str, Path(pattern=_HASH, description="The object's id: 0x and 64 hexadecimal digits.")]
SliceIndex = Annotated[
    int,
    BeforeValidator(_decimal),
    Path(ge=0, le=_INDEX_LIMIT, description="matrix·n + row."),
]
AssetId = Annotated[str, Path(pattern="^[0-9]{1,78}$", description="The asset's number, below 2^256.")]
KeyEpoch = Annotated[
    int,
    BeforeValidator(_decimal),
    Path(ge=1, lt=1 << 32, description="The key epoch: counts the asset's keys from 1 on."),
]
Permit = Annotated[
    str | None,
    Header(
        alias=PERMIT_HEADER,
        description="`deadline=<unix seconds>, signature=0x…`: EIP-712, by the object's payer. Needed.",
    ),
]
Authorization = Annotated[
    str | None,
    Header(description="`Qanat address=0x…, time=<unix seconds>, signature=0x…`: a signed request. Needed."),
]
Voucher = Annotated[
    str | None,
    Header(
        alias=VOUCHER_HEADER,
        description="`cumulative=<units>, signature=0x…`: EIP-712, by who signed the request. Pays beyond the share.",
    ),
]
Range = Annotated[str | None, Header(alias="Range", description="One range, `bytes=first-last`; others are ignored.")]


class ErrorBody(BaseModel):
    """A refusal."""

    error: str = Field(description="Name of an error of docs/errors.md.")
    message: str = Field(description="What failed, and what to try.")
    data: dict[str, Any] = Field(description="Figures, by name.")


class Health(BaseModel):
    """Whether the node can do its work."""

    ok: bool
    problems: list[str]


class Place(BaseModel):
    """The operator's place in a roster: `tickets` of `of`, from `firstTicket` on."""

    roster: int
    firstTicket: int  # noqa: N815  (JSON's names)
    tickets: int
    of: int


class DutyBody(BaseModel):
    """One epoch at one Audits."""

    epoch: int
    audits: str = Field(description="Address of the Audits that the roster answers to.")
    state: str
    deadline: int = Field(description="Last block in which an answer counts; 0 before sealing.")
    note: str


class PaidReadsBody(BaseModel):
    """What reads beyond an asker's free share cost."""

    token: str = Field(pattern=_ADDRESS)
    unitsPerMiB: int = Field(gt=0)  # noqa: N815


class Status(BaseModel):
    """What the node says of itself."""

    operator: str = Field(pattern=_ADDRESS)
    shard: int
    chainId: int  # noqa: N815
    places: list[Place]
    objects: int
    signed: int
    slices: int
    bytes: int
    block: int
    safeBlock: int  # noqa: N815
    openEpochs: list[int]  # noqa: N815
    paidReads: PaidReadsBody | None = Field(description="None: nothing is sold.")  # noqa: N815
    duties: list[DutyBody]


class Signature(BaseModel):
    """The operator's signature over the certificate's digest."""

    operator: str = Field(pattern=_ADDRESS)
    signature: str = Field(pattern="^0x[0-9a-f]{256}$", description="EIP-2537 G1.")


class Sealed(BaseModel):
    """A data key, sealed to the licensee's recipient key."""

    sealed: str = Field(pattern="^0x[0-9a-f]+$")


class Answer(BaseModel):
    """A holder's answer to P with what its receipt signs besides the request: :class:`qanat.keys.holding.Receipt`."""

    operator: str = Field(pattern=_ADDRESS)
    place: int = Field(ge=0, lt=64)
    blockNumber: int = Field(description="Newest block in which the license was seen in force.")  # noqa: N815
    answer: str = Field(pattern="^0x[0-9a-f]{192}$", description="E = [s](R+P), raw.")
    signature: str = Field(pattern="^0x[0-9a-f]{256}$", description="Of the receipt, by the roster's key; EIP-2537 G1.")


_WHY = {
    400: "A malformed request: path, body cut short, wrong length.",
    401: "Not signed, or falsely, or too long ago.",
    402: "A voucher that names too little, or isn't covered by a deposit; `data` has price and what was spent.",
    403: "The operator's policy, or the chain, says no.",
    404: "Not here, or nobody opened it.",
    408: "The body came too slowly.",
    409: "Something else is held or signed, the rows are others', slices are missing, another shard or roster.",
    410: "Not certified in time: it will not be taken.",
    413: "The body is too large.",
    416: "The range lies outside the slice.",
    422: "Bytes that do not mean what they should; `data` names what is wrong.",
    425: "Opened too recently to be safe; come back.",
    429: "The asker had its share, or the response window's rows are used up.",
    500: "The node failed, or what it holds is damaged.",
    503: "No chain, no room, or no verdict now; come back.",
    507: "The node's capacity is used up.",
}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the refusals that a call may answer with, 400, 422, 429, 500 and 503 always among them."""
    return {
        status: {
            "model": ErrorBody,
            "description": _WHY[status],
            **({"headers": _RETRY} if status in (425, 429, 503) else {}),
        }
        for status in sorted({400, 422, 429, 500, 503, *statuses})
    }


def binary(status: int, description: str, **headers: str) -> dict[int | str, dict[str, Any]]:
    """Return an answer of bytes, with headers and what they say."""
    shown = {
        name.replace("_", "-"): {"description": said, "schema": {"type": "string"}} for name, said in headers.items()
    }
    content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {status: {"description": description, "content": content, **({"headers": shown} if shown else {})}}


def body_of(description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what is said of a body that is read as it streams: bytes, or JSON by a schema."""
    kind = "application/octet-stream" if schema is None else "application/json"
    found = {"type": "string", "format": "binary"} if schema is None else schema
    return {"requestBody": {"required": True, "description": description, "content": {kind: {"schema": found}}}}


def hash_of(text: str) -> bytes:
    """Return the bytes of an id whose form was checked."""
    return bytes.fromhex(text[2:])


def number_of(text: str) -> int:
    """Return a number below 2^256. Raises :class:`MalformedHex`."""
    value = int(text)
    if value >= 1 << 256:
        raise MalformedHex(f"{text} is no number below 2^256.")
    return value
