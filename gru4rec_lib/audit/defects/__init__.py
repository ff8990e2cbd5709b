"""The defects of the course paper's code, each reproduced separately and switched by `switches.Defects`."""
