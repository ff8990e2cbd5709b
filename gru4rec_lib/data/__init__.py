"""Sessions, item features and session-parallel mini-batches as NumPy arrays."""
