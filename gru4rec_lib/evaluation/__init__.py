"""Evaluation protocols, confidence intervals, paired tests and groups of targets."""
