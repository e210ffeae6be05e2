"""The node: a daemon that keeps an operator's slices, signs for them, answers challenges, releases keys."""
