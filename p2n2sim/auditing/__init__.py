"""The audit of a scenario's claims: canaries, what every adversary saw of them, and what it makes of that."""
