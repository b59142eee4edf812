"""Kind `scm`: samples of environments, each of which shifts one latent of a causal model.

data.npz         x, environment (of each sample); environments (names), vectors, split: of each
                 environment; the truth: c, z (latents and their noises), edges, sd, noise, and
                 mixing (x = mixing c) or inner and outer (networks of ReLU units)
truth.parquet    environment, target (-1: none), offset, factor, split

The environment that nothing is done to is called control; its vector is 0.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir
from epistax.distributed.simulated import storing

MOST = 2**27  # values of x
LATENTS = 5
ENVIRONMENTS = {"growing": 10}  # 8 a latent of sparse
SAMPLES, FEWER = 1000, 200  # an environment; fewer of sparse, but for its control
OF_MANY = ("environments", "targets")
OF_SPARSE = ("mixing", "network", "spread")
ERROR = 0.1  # of sparse


def refuse(options: Simulate) -> None:
    """What cannot be made."""
    case, many = options.case, options.case in ("growing", "sparse")
    owned = dict.fromkeys(OF_MANY, "growing and sparse") if not many else {}
    owned |= dict.fromkeys(OF_SPARSE, "sparse") if case != "sparse" else {}
    owned |= {"offset_is_variance": "growing"} if case != "growing" else {}
    for name, of in owned.items():
        if getattr(options, name) != getattr(Simulate, name):
            shown = "--" + name.replace("_", "-")
            raise BadInput(f"{shown}: is of --case {of}, not of {case}; drop it")
    e, d, g, n = sizes(options)
    if g < d:
        raise BadInput(f"--genes: {g} features cannot show {d} latents; give at least {d}")
    least = 2 * d if case == "sparse" else 4
    if many and e < least:
        raise BadInput(
            f"--environments: {e} are too few to learn from and to hold out; give at least {least}"
        )
    if e * n * g > MOST:
        raise BadInput(
            f"--cells: {e:,} environments of {n:,} samples of {g:,} features are {e * n * g:,} "
            f"values; at most {MOST:,} fit"
        )


def sizes(options: Simulate) -> tuple[int, int, int, int]:
    """Environments beside the control, latents, features, samples an environment."""
    if options.case not in ("growing", "sparse"):
        return 1, 2, options.genes or 10, options.cells or SAMPLES
    d = options.targets or LATENTS
    e = options.environments or ENVIRONMENTS.get(options.case, 8 * d)
    n = options.cells or (FEWER if options.case == "sparse" else SAMPLES)
    return e, d, options.genes or 20, n


def make(options: Simulate, run: RunDir) -> dict[str, Any]:
    """Write the samples and what is true of them."""
    made = simulated(options)
    target, held = np.asarray(made.target), np.asarray(made.held_out)
    width = len(str(len(target)))
    numbers = np.cumsum(target >= 0)
    names = np.array(
        ["control" if t < 0 else f"E{k:0{width}d}" for t, k in zip(target, numbers, strict=True)]
    )
    split = np.where(held, "validation", "train")
    world = made.world
    seen = {"mixing": world.mixing} if world.nets is None else world.nets._asdict()
    known = {"edges": world.edges, "sd": world.sd, "noise": world.noise} | seen
    arrays = {
        "x": made.x,
        "environment": names[np.asarray(made.environment)],
        "environments": names,
        "vectors": made.vectors,
        "split": split,
        "c": made.c,
        "z": made.z,
    }
    truth = pl.DataFrame(
        {
            "environment": names,
            "target": target,
            "offset": np.asarray(made.offset, np.float64),
            "factor": np.asarray(made.factor, np.float64),
            "split": split,
        }
    )
    every = {name: np.asarray(array) for name, array in (arrays | known).items()}
    return {
        "case": options.case,
        "data": storing.write_npz(run, "data.npz", every),
        "truth": str(run.write_table("truth", truth)),
        "samples": len(made.x),
        "features": made.x.shape[1],
        "latents": made.c.shape[1],
        "environments": len(names),
        "held_out": int(held.sum()),
    }


def simulated(options: Simulate) -> Any:
    """The samples of the case asked for."""
    import jax

    from epistax.engine.simulate import scm

    key, (e, d, g, n) = jax.random.key(options.seed), sizes(options)
    noise = options.error
    if options.case == "growing":
        return scm.growing(
            key,
            n,
            environments=e,
            latents=d,
            features=g,
            offset_is_variance=options.offset_is_variance,
            noise=noise or 0.0,
        )
    if options.case == "sparse":
        return scm.sparse(
            key,
            n,
            reference=max(n, SAMPLES),
            environments=e,
            latents=d,
            features=g,
            mixing=options.mixing,
            network=options.network,
            noise=ERROR if noise is None else noise,
            spread=options.spread,
        )
    return scm.two(key, options.case, n, features=g, noise=noise or 0.0)


def describe(summary: Mapping[str, Any]) -> str:
    """What was made, where it is, and what can be done with it."""
    count, held = summary["environments"], summary["held_out"]
    kept = f", {held} of them held out" if held else ""
    return (
        f"{summary['samples']:,} samples of {summary['features']} features of "
        f"{summary['latents']} latents in {count} environment{'s' * (count > 1)}{kept}\n"
        f"data:  {summary['data']}\n"
        f"truth: {summary['truth']}\n"
        f"next:  epistax causal benchmark {summary['data']} --out DIR"
    )
