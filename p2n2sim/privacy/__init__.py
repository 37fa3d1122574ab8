"""Differential privacy: mechanisms, sensitivities, accounting. Pure functions; no time, no network."""
