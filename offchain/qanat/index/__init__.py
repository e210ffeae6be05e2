"""Events of the contracts in one SQLite file, kept in step with the chain, reorganisations included."""

from qanat.index.catalog import Catalog, Wanted
from qanat.index.database import Index

__all__ = ["Catalog", "Index", "Wanted"]
