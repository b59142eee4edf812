"""Statistics and metrics shared by the families."""
