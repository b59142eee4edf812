"""Runs on the response of cells: reading, splits, benchmarks, fits, refined graphs."""
