"""Arithmetic on secrets: pure functions on arrays of ring elements, without time, network or parties."""
