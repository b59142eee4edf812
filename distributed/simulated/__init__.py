"""What `epistax simulate` makes, one file a kind: its refusals, its files, what it says."""
