"""Scalar effects of combinations of perturbations: models that predict the unmeasured ones."""
