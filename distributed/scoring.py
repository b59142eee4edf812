"""The kernel of `score`: one chunk of work is one test on a range of pairs.

Each test prepares what its pairs share on its first chunk; rows do not depend on how the pairs
were cut into chunks. What was prepared stays behind when a scorer is sent to a worker.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import polars as pl

from epistax.distributed import accelerators, latents
from epistax.distributed.critics import Critics
from epistax.distributed.options import Score
from epistax.distributed.options.score import CRITIC
from epistax.distributed.plan import Chunk
from epistax.distributed.prepare import Prepared
from epistax.distributed.status import TESTED, WORD
from epistax.engine.causal import disentanglement
from epistax.engine.interaction import (
    additivity,
    disjointness,
    drawnnulls,
    nearest,
    paired,
    resampling,
)

KERNELS = {"mmd": "rbf", "mmd:matern": "matern52"}
FEW = 2  # observations below which an arm says nothing
WORK = 2**27  # kernel values of one chunk: about a second
SCORES = {
    "a": pl.String,
    "b": pl.String,
    "test": pl.String,
    "statistic": pl.Float64,
    "score": pl.Float64,
    "se": pl.Float64,
    "p_value": pl.Float64,
    "n_a": pl.Int64,
    "n_b": pl.Int64,
    "n_ab": pl.Int64,
    "n_control": pl.Int64,
    "status": pl.String,
}


def tests(options: Score) -> tuple[str, ...]:
    """The tests asked for, each once, by the names their rows carry."""
    kernel = {"rbf": "mmd:rbf", "matern52": "mmd:matern"}.get(options.kernel or "", "mmd")
    plain = {"mmd:rbf": "mmd", "severity:sum": "severity", "kl:bridge": "kl"}
    asked = options.test or ("additive", "mmd")
    names = [kernel if name == "mmd" else name for name in asked]
    return tuple(dict.fromkeys(plain.get(name, name) for name in names))


@dataclass(eq=False)
class Scorer:
    """Scores ranges of pairs of one screen."""

    options: Score
    data: Prepared
    critics: Critics | None = None  # where a test asks for one

    def __getstate__(self) -> dict[str, Any]:
        """What a worker is sent: arrays of the host, which a machine's workers hold in common."""
        near, critics = self.data.near, self.critics
        if near is not None:
            near = near._replace(screen=near.screen._replace(x=np.asarray(near.screen.x)))
        if critics is not None:
            critics = replace(critics, read=jax.tree.map(np.asarray, critics.read))
        return {
            "options": self.options,
            "data": replace(self.data, near=near),
            "critics": critics,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In a worker: the device uses the host's copy, where it can."""
        self.__dict__.update(state)
        screen, critics = self.data.screen, self.critics
        self.data = replace(self.data, screen=screen._replace(x=jax.device_put(screen.x)))
        if critics is not None:
            self.critics = replace(critics, read=jax.tree.map(jax.device_put, critics.read))

    def work(self) -> Iterator[dict[str, Any]]:
        """Every test on every range of pairs."""
        q = len(self.data.screen.pairs.i)
        for name in tests(self.options):
            size = self.chunk(name)
            for first in range(0, q, size):
                yield {"test": name, "first": first, "last": min(q, first + size)}

    def chunk(self, name: str) -> int:
        """Pairs of one chunk: about a second of work, whatever runs it."""
        screen = self.data.screen
        p, count = screen.singles, screen.count
        if name.partition(":")[0] in CRITIC:  # its errors are judged by all pairs together
            return max(1, len(screen.pairs.i))
        if name.partition(":")[0] != "mmd":
            return 8192
        both, alone = float(np.mean(count[1 + p :])), float(np.mean(count[1 : 1 + p]))
        cost = both * (both + count[0] + 2 * alone) + alone**2
        return int(min(8192, max(64, 2 ** round(np.log2(WORK / max(cost, 1))))))

    def __call__(self, chunk: Chunk) -> pl.DataFrame:
        """The rows of one chunk."""
        name, work = chunk.work["test"], chunk.work
        pairs = np.arange(work["first"], work["last"])
        status = self.status(name, pairs)
        good = pairs[status == "ok"]
        columns = {key: np.full(len(pairs), np.nan) for key in ("statistic", "score", "se", "p")}
        if len(good):
            found = self.test(name, good)
            said = found.pop("status", np.full(len(good), "ok"))
            for key, values in found.items():
                columns[key][status == "ok"] = values
            status[status == "ok"] = said
        bad = np.isin(status, TESTED) & ~np.isfinite(columns["statistic"])
        status = np.where(bad, self.why(name), status)
        return self.frame(name, pairs, columns, status)

    def halves(self, work: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        """A range in two; none of a single pair."""
        first, last = work["first"], work["last"]
        if last - first < 2:
            return ()
        middle = (first + last) // 2
        return {**work, "last": middle}, {**work, "first": middle}

    def failed(self, work: Mapping[str, Any]) -> pl.DataFrame:
        """Rows that say no more than that there are none."""
        pairs = np.arange(work["first"], work["last"])
        nothing = np.full(len(pairs), np.nan)
        columns = {key: nothing for key in ("statistic", "score", "se", "p")}
        return self.frame(work["test"], pairs, columns, np.full(len(pairs), "failed"))

    def status(self, name: str, pairs: np.ndarray) -> np.ndarray:
        """`ok`, `no_single` (a member was not measured alone), `few` or `too_few` observations."""
        if name.partition(":")[0] in CRITIC:
            assert self.critics is not None
            return self.critics.status()[pairs].astype(WORD)
        a, b, ab, control = self.counts(pairs)
        needed = [a, b, control] if name == "latent" else [a, b, ab]
        if self.data.residual and name == "additive":
            needed = [ab]
        least = FEW
        if name.partition(":")[0] == "knn":
            least, needed = nearest.LEAST, [*needed, control]
        lowest = np.min(needed, axis=0)
        alone = np.minimum(a, b)
        missing = (alone == 0) & (len(needed) > 1)
        status = np.where(missing, "no_single", np.where(lowest < least, "few", "ok"))
        return status.astype(WORD)

    def counts(self, pairs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Observations of both singles, of the pairs and of the control."""
        screen = self.data.screen
        i, j = screen.pairs.i[pairs], screen.pairs.j[pairs]
        ab = screen.count[1 + screen.singles + pairs]
        return screen.count[1 + i], screen.count[1 + j], ab, np.full(len(pairs), screen.count[0])

    def why(self, name: str) -> str:
        """What a figure that is no number means: an effect of length 0, else a failure."""
        return "undefined" if name.startswith(("cosine", "severity")) else "failed"

    def test(self, name: str, pairs: np.ndarray) -> dict[str, np.ndarray]:
        """Statistic, score and, where the test has them, error and p-value."""
        family, _, form = name.partition(":")
        if family in ("cosine", "severity"):
            statistic = self.shape(family, form or "sum", pairs)
            return {"statistic": statistic, "score": np.maximum(statistic, 0)}
        if family in CRITIC:
            assert self.critics is not None
            return self.critics.test(name, pairs)
        if family == "latent":
            i, j = (x[pairs] for x in self.data.screen.pairs)
            statistic = np.asarray(disentanglement.shared(self.latents[i], self.latents[j]))
            return {"statistic": statistic, "score": statistic}
        if family == "knn":
            statistic = self.neighbours(form or "fixed")(pairs)
            return {"statistic": statistic, "score": np.abs(statistic)}
        run = self.additivity.test if family == "additive" else self.disjointness(KERNELS[name])
        found = run(pairs)
        p = self.resampled(name)(pairs) if self.options.null in resampling.METHODS else found.p
        if self.options.null == "none":
            p = np.full(len(pairs), np.nan)
        score = np.maximum(found.statistic, 0)
        return {"statistic": found.statistic, "score": score, "se": found.se, "p": p}

    def shape(self, family: str, form: str, pairs: np.ndarray) -> np.ndarray:
        """Cosine and severity, from mean effects."""
        screen, effects = self.data.screen, self.additivity.singles
        h_i, h_j = effects[screen.pairs.i[pairs]], effects[screen.pairs.j[pairs]]
        if family == "cosine":
            return np.asarray(additivity.cosine(h_i, h_j))
        return np.asarray(additivity.severity(h_i, h_j, self.additivity.doubles(pairs))[form])

    @functools.cached_property
    def additivity(self) -> paired.Additivity:
        """Means and spreads of all classes but the doubles'."""
        return paired.additive(
            self.data.screen,
            residual=self.data.residual,
            seed=self.options.seed,
            scale=None if self.options.scale == "auto" else self.options.scale,
            mesh=accelerators.mesh(),
        )

    @functools.cached_property
    def latents(self) -> np.ndarray:
        """How far each perturbation shifts each latent."""
        return latents.shifts(self.data.screen, seed=self.options.seed)

    @functools.cached_property
    def bandwidth(self) -> float:
        """Of every kernel."""
        return self.options.bandwidth or paired.bandwidth(self.data.screen, seed=self.options.seed)

    @functools.cache  # noqa: B019  (a scorer lives as long as its process)
    def disjointness(self, kernel: str) -> paired.Test:
        """MMD with one kernel."""
        return paired.disjoint(
            self.data.screen,
            kernel=kernel,
            length_scale=self.bandwidth,
            seed=self.options.seed,
            inference=self.options.null != "none",
            mesh=accelerators.mesh(),
        )

    @functools.cache  # noqa: B019
    def neighbours(self, method: nearest.Method) -> nearest.PerPair:
        """Scores by nearest neighbours, the singles' share of them done."""
        assert self.data.near is not None
        return nearest.separable(self.data.near, method=method, mesh=accelerators.mesh())

    @functools.cache  # noqa: B019
    def resampled(self, name: str) -> Any:
        """P-values of one test by --null."""
        plain = name == "additive"
        return drawnnulls.resampled(
            self.data.screen,
            self.additivity.contrast if plain else disjointness.CONTRAST,
            kernel="linear" if plain else KERNELS[name],
            length_scale=1.0 if plain else self.bandwidth,
            method=self.options.null,
            draws=self.options.draws,
            seed=self.options.seed,
            mesh=accelerators.mesh(),
        )

    def frame(
        self, name: str, pairs: np.ndarray, columns: dict[str, np.ndarray], status: np.ndarray
    ) -> pl.DataFrame:
        """Rows as they are written."""
        screen, names = self.data.screen, np.array(self.data.names)
        n_a, n_b, n_ab, n_control = self.counts(pairs)
        values = {
            "a": names[screen.pairs.i[pairs]],
            "b": names[screen.pairs.j[pairs]],
            "test": [name] * len(pairs),
            "statistic": columns["statistic"],
            "score": columns["score"],
            "se": columns["se"],
            "p_value": columns["p"],
            "n_a": n_a,
            "n_b": n_b,
            "n_ab": n_ab,
            "n_control": n_control,
            "status": status,
        }
        return pl.DataFrame(values, schema=SCORES).fill_nan(None)
