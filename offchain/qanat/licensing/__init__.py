"""Offers, licenses, and what they earn."""
