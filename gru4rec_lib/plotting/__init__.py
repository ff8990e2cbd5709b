"""Every figure, drawn from its CSV file."""
