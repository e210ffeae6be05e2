"""The file that the demo stores when it is given none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qanat.errors import FileUnreadable

__all__ = ["DEFAULT", "Dataset", "default_file"]


@dataclass(frozen=True)
class Dataset:
    """A data set from a registry package: its file under the checkout, who made it, on which terms."""

    path: str
    title: str
    license: str


#: A year of earthquakes as the US Geological Survey publishes them, 1.2 MB of GeoJSON.
DEFAULT = Dataset(
    path="node_modules/vega-datasets/data/earthquakes.json",
    title="Earthquakes, US Geological Survey (npm package vega-datasets)",
    license="public domain (work of the US government)",
)


def default_file(root: Path) -> Path:
    """Return the default file of a checkout. Raises :class:`FileUnreadable` when set-up has not brought it."""
    path = root / DEFAULT.path
    if not path.is_file():
        raise FileUnreadable(f"{path} is missing.", hint="Run `make setup`, or name a file with FILE=path.")
    return path
