"""Helpers that know nothing of sessions or models: atomic writes, the Keras backend, checked settings."""
