"""Edges among regulators: who moves when a regulator is driven.

The mean activity of regulator h under every arm that does not act on h itself is a sum of those of
the regulators above it, D_ah = sum_r B_hr D_ar + noise, D the shift from the control. Weights have
a slab and a spike, as in `sparsefactors`; a regulator that no arm drives keeps what the prior says.
Cells of one arm say little here: programs of a cell move regulators together without any edge.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

SWEEPS = 30
SLAB, SPIKE = 0.1, 0.005  # variances of a weight with an edge, without
LEAST, START = 0.05, 0.2  # of the share of a shift that is noise; the share begun with


def cascade(
    activity: Float[Array, "a r"],
    cells: Float[Array, "a"],
    hits: Bool[Array, "a r"],
    prior: Bool[Array, "r r"],
    odds: Float[Array, "2"],
) -> tuple[Float[Array, "r r"], Float[Array, "r r"]]:
    """Log odds and weight of every edge, target by source; arm 0 is the control.

    prior is source by target; odds are log odds of an edge outside of it and within.
    """
    shift = activity - activity[:1]
    # an arm is one observation, less where it has fewer cells than others
    usual = cells[1:].sum() / max(len(cells) - 1, 1)
    seen = jnp.where(hits.T, 0.0, jnp.minimum(cells / jnp.maximum(usual, 1), 1.0)[None, :])
    total = jnp.maximum(seen.sum(axis=1), 1)
    before = jnp.where(prior.T, odds[1], odds[0])
    r = shift.shape[1]
    power = (seen * shift.T**2).sum(axis=1)

    def sweep(carry: tuple, _: None) -> tuple:
        weight, psi = carry

        def one(carry: tuple, q: Int[Array, ""]) -> tuple:
            weight, rest, score = carry
            rest += weight[:, q][:, None] * shift[:, q][None, :]
            num = (seen * rest) @ shift[:, q] / psi
            den = seen @ shift[:, q] ** 2 / psi
            slab, spike = den + 1 / SLAB, den + 1 / SPIKE
            evidence = jnp.log(SPIKE * spike / (SLAB * slab)) + num**2 / slab - num**2 / spike
            log_odds = before[:, q] + 0.5 * evidence
            chance = jax.nn.sigmoid(log_odds)
            new = jnp.where(
                jnp.arange(r) == q, 0.0, chance * num / slab + (1 - chance) * num / spike
            )
            rest -= new[:, None] * shift[:, q][None, :]
            return (weight.at[:, q].set(new), rest, score.at[:, q].set(log_odds)), None

        rest = shift.T - weight @ shift.T
        (weight, rest, score), _ = jax.lax.scan(one, (weight, rest, before), jnp.arange(r))
        psi = jnp.maximum((seen * rest**2).sum(axis=1), LEAST * power) / total
        return (weight, jnp.maximum(psi, 1e-6)), score

    start = jnp.zeros((r, r)), jnp.maximum(START * power / total, 1e-6)
    (weight, _), score = jax.lax.scan(sweep, start, None, length=SWEEPS)
    return score[-1], weight
