"""Exact ranks and top-k lists over the whole catalogue, and the metrics computed from ranks."""
