"""Search settings on validation data."""
