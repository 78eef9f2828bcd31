"""What is collected, as it comes, on a terminal."""
