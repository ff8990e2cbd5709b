"""From raw files to checked tables, splits and prepared arrays."""
