"""Qanat: store data that you own, prove on an EVM chain that it is still stored, license it, and be paid when it is used."""

__version__ = "0.1.0"
