"""Simulated sessions in MSSD's layout (the twin), and their calibration to published statistics."""
