"""The PyTorch part of the networks: no asyncio, no network."""
