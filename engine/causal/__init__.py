"""Causal embeddings: environments that shift few latents."""
