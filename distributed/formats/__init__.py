"""Files to arrays and back, one file a format."""
