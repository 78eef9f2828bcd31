"""What an update, a sample and a new anchor cost, measured on recorded traffic beside the libraries others use."""
