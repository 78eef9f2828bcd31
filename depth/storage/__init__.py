"""Where the rows go: the spool first, then a store."""
