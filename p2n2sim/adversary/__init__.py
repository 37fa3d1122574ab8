"""The attacks on a finished run: what an adversary of it knows, which attacks that allows, what is shown."""
