"""Prefect tasks: thin wrappers around `depth`."""
