"""Qanat: store data you own, prove on an EVM chain that it is still stored, license it, be paid when it is used."""

__version__ = "0.1.0"
