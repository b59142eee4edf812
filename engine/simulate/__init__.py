"""Generative processes that return data and truth."""
