"""The defects of the course paper's code, each reproduced by itself."""
