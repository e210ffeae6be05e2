"""The `qanat` command line: one file per command."""
