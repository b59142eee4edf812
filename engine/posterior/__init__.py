"""Beliefs over the matrix of pair scores."""
