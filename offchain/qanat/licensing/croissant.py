"""What an asset is, in Croissant JSON-LD: checked by MLCommons' own library before it is stored.

Croissant: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html. A description is small, of strangers, and
names web addresses: nothing that it names is ever fetched here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from qanat import strict_json
from qanat.errors import BadParameters

__all__ = ["MAX_BYTES", "Description", "read_description"]

MAX_BYTES = 1 << 20
#: Of what a description says, so much goes into the asset's metadata on chain, where 4,096 bytes fit.
MAX_TEXT, MAX_SCHEMA = 400, 1_200


@dataclass(frozen=True)
class Description:
    """What a description says. ``schema``: record sets with their fields and types; ``digests``: SHA-256 of its files.

    ``warnings``: what the standard recommends and the description lacks.
    """

    name: str
    text: str
    license: str
    conforms_to: str
    schema: str
    digests: tuple[bytes, ...]
    warnings: tuple[str, ...]

    def to_metadata(self) -> dict[str, str]:
        """Return what the asset's metadata tells of it, for who browses without fetching anything."""
        told = {
            "name": self.name[:MAX_TEXT],
            "description": self.text[:MAX_TEXT],
            "license": self.license[:MAX_TEXT],
            "conformsTo": self.conforms_to,
            "schema": self.schema[:MAX_SCHEMA],
        }
        return {key: value for key, value in told.items() if value}


def read_description(data: bytes) -> Description:
    """Check a description against the standard. Raises :class:`BadParameters` with all that is wrong with it.

    Needs the extra ``croissant``.
    """
    if len(data) > MAX_BYTES:
        raise BadParameters(f"The description has {len(data)} bytes, more than {MAX_BYTES}.", size=len(data))
    try:
        document = strict_json.parse(data)
    except ValueError as error:
        raise BadParameters(f"The description is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadParameters("The description is no JSON object.")
    _check_contexts(document)
    dataset = _checked(document)
    metadata = dataset.metadata
    if not metadata.name or "name" not in document:
        # the library makes one up; who browses the market reads it
        raise BadParameters("The description has no name.")
    sets = [_record_set(item) for item in metadata.record_sets or ()]
    digests = [str(item.sha256) for item in metadata.distribution or () if getattr(item, "sha256", None)]
    return Description(
        name=str(metadata.name or ""),
        text=str(metadata.description or ""),
        license=_first(metadata.license),
        conforms_to=_first(metadata.conforms_to),
        schema="; ".join(sets),
        digests=tuple(bytes.fromhex(item) for item in digests if _is_digest(item)),
        warnings=tuple(sorted(map(str, metadata.issues.warnings))),
    )


def _checked(document: dict[str, Any]) -> Any:
    try:
        import mlcroissant
    except ImportError as error:
        raise BadParameters(
            "Descriptions are checked by mlcroissant, which is not installed.",
            hint="Install the extra: pip install 'ape-qanat[croissant]'.",
        ) from error
    # warnings come back as values; absl writes them to stderr besides
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return mlcroissant.Dataset(jsonld=document)
    except mlcroissant.ValidationError as error:
        raise BadParameters(f"The description is no valid Croissant. {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError, AssertionError) as error:
        # it assumes shapes that strangers' JSON needn't have
        raise BadParameters(f"The description can't be read as Croissant: {error!r}") from error
    finally:
        logger.setLevel(level)


def _check_contexts(node: Any) -> None:
    """Refuse contexts that a JSON-LD processor would fetch: Croissant writes its own into each document."""
    if isinstance(node, list):
        for item in node:
            _check_contexts(item)
        return
    if not isinstance(node, dict):
        return
    contexts = node.get("@context")
    for context in contexts if isinstance(contexts, list) else [contexts]:
        if isinstance(context, str) or (isinstance(context, dict) and "@import" in context):
            raise BadParameters(
                f"The description's context {context!r} would have to be fetched.",
                hint="Write Croissant's context into the document, as the standard's examples do.",
            )
    for item in node.values():
        _check_contexts(item)


def _record_set(item: Any) -> str:
    fields = []
    for field in item.fields or ():
        kinds = [str(kind).rsplit("/", 1)[-1].rsplit("#", 1)[-1] for kind in field.data_types or ()]
        fields.append(f"{field.name} {'/'.join(kinds)}".strip())
    return f"{item.name}: {', '.join(fields)}"


def _first(value: Any) -> str:
    if isinstance(value, list | tuple):
        value = value[0] if value else ""
    return str(value or "")


def _is_digest(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == 32
    except ValueError:
        return False
