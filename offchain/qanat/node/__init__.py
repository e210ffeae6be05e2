"""The node: a daemon that keeps an operator's slices, signs for them, answers challenges, and hands keys to licensees."""
