"""One study: its folders, runs, tables and report."""
