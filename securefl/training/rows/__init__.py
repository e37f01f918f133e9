"""A client's rows: data files, splits, and tokens."""
