"""The weighted sum of a network and baselines as one model, and its weights, chosen on validation."""
