"""Trials of densefn under faults, counted (README.md)."""
