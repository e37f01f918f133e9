"""The benchmark of overhead: one federation in float32, as integers, and encrypted."""
