"""Models that are not trained by gradients of ours, in one registry."""
