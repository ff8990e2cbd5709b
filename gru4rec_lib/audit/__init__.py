"""The course paper: its tables, the defects of its code, and an audit that fixes them one by one."""
