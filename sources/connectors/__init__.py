"""Connectors: they notice that something arrived and fetch its bytes, nothing else."""
