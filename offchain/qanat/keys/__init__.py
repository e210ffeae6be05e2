"""Keys of data: encryption before encoding, sealing to a recipient, recovery."""
