"""What a defence can do at most; here, so that a scenario is checked without PyTorch."""

MAX_ROWS = 8192
"""Rows of a batch with NoPeek: a matrix of distances then takes half a gigabyte."""
