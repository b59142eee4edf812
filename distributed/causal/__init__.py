"""Runs on causal embeddings: reading environments, splits, benchmarks, fits, predictions."""
