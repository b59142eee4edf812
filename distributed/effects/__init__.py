"""The verbs `effects ...`: what combinations of perturbations do, predicted."""
