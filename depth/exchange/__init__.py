"""Where the book comes from."""
