"""Lets `ape` find the pinned compiler and Anvil without shell variables."""
