"""What owners and licensees run: storing a file with a roster's nodes, and getting it back."""
