"""Read raw files, split the sessions and prepare the arrays."""
