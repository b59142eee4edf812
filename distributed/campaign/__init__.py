"""Rounds of a screen as plain files: what is proposed, what came back, what is next."""
