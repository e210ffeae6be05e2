"""Events of the contracts in one SQLite file, kept in step with the chain, reorganisations included."""

from qanat.index.database import Index

__all__ = ["Index"]
