"""Sections of the report: each a pure function of what a run left on disk."""
