"""What is stored, as columns of Arrow: pure, records in, batches and tables out."""
