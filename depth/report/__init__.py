"""A day as a picture: one HTML page that needs nothing but a browser."""
