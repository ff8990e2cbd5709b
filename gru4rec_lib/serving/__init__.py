"""A trained model in use: fit, save, load, update and recommend."""
