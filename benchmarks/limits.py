"""What this machine can do at most, and how much of it the kernels reach.

`limit.matmul`, `limit.bandwidth`, `limit.exp` and `limit.sqrt` are rates measured here, in the run:
the best of several sizes of one matrix product, of a sum of two long vectors written to a third,
and of exponentials and roots of a matrix that a processor holds beside itself, by one core times
their number. A row of a kernel says how many operations it cannot do without, the seconds that they
take at those rates, one after another (`limit_seconds`), and their share of the seconds it took.
On an accelerator products are measured as `highest` (float32) and as `default` precision (tf32
where there is such), and in bfloat16; shares are those of float32.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from epistax.benchmarks import harness, knn, mmd, moments, rankparts
from epistax.benchmarks.harness import Maker, Record, Timed
from epistax.engine.pairs import count

MATMUL, VECTOR = (1024, 2048, 4096), 1 << 26
TABLE, TIMES = 256, 256
PRECISIONS = {"float32": "highest", "tensorfloat32": "default", "bfloat16": "default"}


class Work(NamedTuple):
    """What a kernel cannot do without: flops of products, bytes of memory, exponentials, roots."""

    flops: float = 0.0
    bytes: float = 0.0
    exps: float = 0.0
    roots: float = 0.0


class Rates(NamedTuple):
    """The same a second, as measured."""

    flops: float
    bytes: float
    exps: float
    roots: float


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """The machine's rates, then the kernels; with a size, products and kernels of that size."""
    best: dict[str, float] = {}
    precisions = list(PRECISIONS) if jax.default_backend() != "cpu" else ["float32"]
    for precision in precisions:
        for n in (size,) if size else MATMUL:
            how = {"n": n, "precision": precision}
            record = harness.measure(
                "limit.matmul", how, product, numpy_product, "numpy", repeats=repeats
            )
            rate = 2 * n**3 / min(record["ours_seconds"], record["reference_seconds"])
            best[precision] = max(best.get(precision, 0.0), rate)
            yield record | {"flops_per_second": rate}
    moved = harness.measure(
        "limit.bandwidth", {"n": size**2 if size else VECTOR}, triad, repeats=repeats
    )
    moved["bytes_per_second"] = 3 * 4 * moved["size"]["n"] / moved["ours_seconds"]
    yield moved
    found = []
    for name in ("exp", "sqrt"):
        how = {"n": size or TABLE, "times": TIMES, "function": name}
        record = harness.measure(f"limit.{name}", how, pointwise, repeats=repeats)
        many = os.cpu_count() or 1 if jax.default_backend() == "cpu" else 1
        found.append(many * TIMES * how["n"] ** 2 / record["ours_seconds"])
        yield record | {"values_per_second": found[-1]}
    rates = Rates(best["float32"], moved["bytes_per_second"], *found)
    for name, maker, scale, work in kernels(size, seed):
        record = harness.measure(f"limit.{name}", scale, maker, repeats=repeats)
        seconds = sum(a / b for a, b in zip(work, rates, strict=True))
        share = {"limit_seconds": seconds, "share": seconds / record["ours_seconds"]}
        yield record | share | {"work": work._asdict()}


def kernels(size: int | None, seed: int) -> Iterator[tuple[str, Maker, dict[str, int], Work]]:
    """Kernels bound by products, and what each needs."""
    genes = size or 20_000
    scale = moments.sizes(genes, seed)
    # mean and second moments: three products of inner size r, one way only; a root for the sd
    need = Work(flops=2 * 3 * moments.RANK * count(genes), roots=count(genes))
    yield "moments.all_pairs", moments.closed, scale, need
    genes, wells, d = 50 if size is None else min(size, 20), 200, 128
    scale = {"genes": genes, "pairs": count(genes), "wells": wells, "features": d, "seed": seed}
    # a double's own block (half of it, for symmetry), those with control and both singles, and that
    # of the singles; own blocks of singles and those with the control are made once for all pairs
    blocks = 4.5 * count(genes) + genes + 0.5 * (genes + 1)
    need = Work(flops=2 * d * wells**2 * blocks, exps=wells**2 * blocks)
    yield "mmd.estimate", mmd.estimate, scale, need
    # and five blocks of every pair times the draws
    drawn = need._replace(flops=need.flops + 10 * wells**2 * mmd.DRAWS * count(genes))
    yield "mmd.pvalue", mmd.multiplier, scale | {"draws": mmd.DRAWS}, drawn
    n, d = (size or 20_000), 64
    need = Work(flops=4 * d * n * n)  # of x to y, and to x
    yield "knn.kl", knn.ours, {"n": n, "m": n, "features": d, "seed": seed}, need
    genes, d = (size or 10_000), 64
    need = Work(flops=2 * d * count(genes))
    yield "rank.cosine", rankparts.cosines, {"genes": genes, "features": d, "seed": seed}, need


def product(n: int, precision: str) -> Timed:
    """A square product of jax."""
    kind = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    x = jnp.asarray(square(n), kind)
    multiply = jax.jit(lambda x: jnp.matmul(x, x, precision=PRECISIONS[precision]))
    return lambda: multiply(x)


def numpy_product(n: int, precision: str) -> Timed:
    """The same of numpy, in float32."""
    x = square(n)
    return lambda: x @ x


def triad(n: int) -> Timed:
    """Two vectors read, one written."""
    x, y = jnp.ones(n), jnp.full(n, 2.0)
    add = jax.jit(lambda x, y: x + 0.5 * y)
    return lambda: add(x, y)


def pointwise(n: int, times: int, function: str) -> Timed:
    """Values of a matrix, again and again, summed so that nothing is written."""
    x, of = jnp.abs(jnp.asarray(square(n))), getattr(jnp, function)

    @jax.jit
    def repeated(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, times, lambda k, s: s + jnp.sum(of(x - s * 1e-30)), 0.0)

    return lambda: repeated(x)


def square(n: int) -> np.ndarray:
    """A matrix of normal numbers."""
    return np.random.default_rng(0).normal(size=(n, n)).astype(np.float32)


if __name__ == "__main__":
    harness.main(suite)
