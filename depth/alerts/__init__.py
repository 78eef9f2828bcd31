"""Telling people: what is to be said, by whom once, and the ways to them."""
