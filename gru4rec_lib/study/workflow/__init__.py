"""Run a study as a Snakemake graph."""
