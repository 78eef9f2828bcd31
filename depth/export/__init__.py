"""Stored rows as files: one a UTC day, whole or not there, the same bytes however often they are made."""
