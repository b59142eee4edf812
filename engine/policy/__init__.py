"""Which pairs to measure next."""
