"""Neural networks as records of functions; nothing outside sees a module."""
