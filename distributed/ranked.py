"""All pairs of a screen's single perturbations by one measure: the best, their audit, their tests.

The engine compares all pairs approximately (mmd; the other measures are exact as they stand); what
it keeps is computed exactly, and so is a sample of all pairs, which says what was missed.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import polars as pl

from epistax.distributed import accelerators
from epistax.distributed.options import Rank
from epistax.distributed.prepare import Prepared
from epistax.distributed.progress import Progress
from epistax.distributed.rankable import LEAST
from epistax.engine import pairs as pairs_
from epistax.engine import stream
from epistax.engine.interaction import alone, audit, paired
from epistax.engine.interaction.alone import Alone
from epistax.engine.interaction.ranking import MEASURES, Measure, Singles, of_pairs
from epistax.engine.pairs import Pairs
from epistax.engine.screen import Screen
from epistax.engine.stats.fdr import ADJUSTMENTS

TILE = 1024
SHARE = 0.01  # the exact top whose recall is stated
AUDIT, GENES = 200_000, 200  # pairs, and genes whose every pair, where it costs no more than
VALUES = 8e9  # kernel values of the random pairs: about half a minute of two cores
BEFORE = 1024  # pairs computed exactly between two words about it


@dataclass(frozen=True)
class Found:
    """What one measure gives."""

    frame: pl.DataFrame  # measure, rank, a, b, score, exact
    audited: pl.DataFrame | None  # measure, sample, a, b, score, exact
    facts: dict[str, Any]


class Ranking:
    """Ranks one screen by any of the measures; effects are computed once a kernel."""

    def __init__(self, options: Rank, data: Prepared, progress: Progress) -> None:
        """Nothing is computed yet."""
        self.options, self.data, self.progress = options, data, progress

    def __call__(self, name: str) -> Found:
        """The best pairs by one measure."""
        kernel = self.options.kernel if name == "mmd" else "linear"
        which, measure = self.measure(name)
        kept, found = self.singles(kernel), self.alone(kernel)
        q = ADJUSTMENTS["bh"](np.asarray(found.p, np.float64))
        inert = np.zeros(len(kept), bool) if self.all_rank(which) else q > self.options.active
        ranked = np.flatnonzero(~inert)
        pairs, score = self.best(found, ranked, measure)
        facts: dict[str, Any] = {
            "order": which.partition(":")[2],
            "perturbations": len(kept),
            "inactive": int(inert.sum()),
            "tested": bool(np.isfinite(found.p).any()),
            "pairs": pairs_.count(len(ranked)),
            "kept": len(score),
        }
        exact, audited = score, None
        if kernel != "linear":
            facts |= {"kernel": kernel, "frequencies": self.options.frequencies}
            exact = self.exact(kernel, found, pairs, measure, "kept pairs exactly")
            if len(score) == facts["pairs"]:
                audited, facts["audit"] = self.whole(name, kernel, pairs, score, exact, measure)
            else:
                audited, facts["audit"] = self.audit(name, kernel, found, ranked, measure)
        order = np.argsort(-measure.sign * exact, kind="stable")
        names = np.array(self.data.names)[kept]
        frame = pl.DataFrame(
            {
                "measure": [name] * len(order),
                "rank": np.arange(1, len(order) + 1),
                "a": names[pairs.i[order]],
                "b": names[pairs.j[order]],
                "score": score[order].astype(np.float64),
                "exact": exact[order].astype(np.float64),
            },
            schema_overrides={"a": pl.String, "b": pl.String, "measure": pl.String},
        )
        return Found(frame, audited, facts)

    def measure(self, name: str) -> tuple[str, Measure]:
        """The engine's name of a measure in the order asked for, and itself."""
        which = name if name in MEASURES else f"{name}:{self.options.order}"
        return which, MEASURES[which]

    def all_rank(self, which: str) -> bool:
        """Whether perturbations that do nothing are ranked too."""
        return which in ("mmd:far", "additive") or self.options.active == 1

    @functools.cached_property
    def bandwidth(self) -> float:
        """Of the kernel; from singles and control."""
        given = self.options.bandwidth
        return given or paired.bandwidth(alone.unpaired(self.data.screen), seed=self.options.seed)

    def singles(self, kernel: str) -> np.ndarray:
        """Perturbations with enough observations alone."""
        count = self.data.screen.count[1 : 1 + self.data.screen.singles]
        return np.flatnonzero(count >= LEAST["additive" if kernel == "linear" else "mmd"])

    @functools.cache  # noqa: B019  (a ranking lives as long as its run)
    def screen(self, kernel: str) -> Screen:
        """Control and those perturbations."""
        return alone.unpaired(self.data.screen, self.singles(kernel))

    @functools.cache  # noqa: B019
    def alone(self, kernel: str) -> Alone:
        """Their effects."""
        screen = self.screen(kernel)
        self.progress.start(len(screen.count))
        return alone.embed(
            screen,
            count=self.options.frequencies,
            seed=self.options.seed,
            watch=lambda done: self.progress.advance(done, note="effects of singles"),
            **self.how(kernel),
        )

    def how(self, kernel: str) -> dict[str, Any]:
        """The kernel, its scale and the devices."""
        scale = 1.0 if kernel == "linear" else self.bandwidth
        return {"kernel": kernel, "length_scale": scale, "mesh": accelerators.mesh()}

    def best(self, found: Alone, ranked: np.ndarray, measure: Measure) -> tuple[Pairs, np.ndarray]:
        """The first pairs among the perturbations that are ranked, and their values."""
        p = len(ranked)
        number = min(self.options.keep, pairs_.count(p))
        if not number:
            none = np.zeros(0, np.int32)
            return Pairs(none, none), np.zeros(0)
        self.progress.note(f"{pairs_.count(p):,} pairs")
        chosen = Singles(*(np.asarray(v)[ranked] for v in found.singles[:3]),
                         np.float32(found.singles.origin))  # fmt: skip
        none = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))
        size = min(TILE, 8 * -(-p // 8))
        top = stream.ranked(
            measure.score,
            stream.space(p, none, size=size),
            jax.tree.map(np.asarray, chosen),
            p=p,
            size=size,
            batch=number,
            mesh=accelerators.mesh(),
        )
        i, j = ranked[np.asarray(top.pairs.i)], ranked[np.asarray(top.pairs.j)]
        value = measure.sign * np.asarray(top.value)
        return Pairs(i.astype(np.int32), j.astype(np.int32)), value.astype(np.float64)

    def exact(
        self, kernel: str, found: Alone, pairs: Pairs, measure: Measure, what: str
    ) -> np.ndarray:
        """The measure of some pairs by the kernel itself."""
        if not len(pairs.i):
            return np.zeros(0)
        self.progress.start(len(pairs.i))
        return alone.exact(
            self.screen(kernel),
            found,
            pairs,
            measure.formula,
            watch=lambda done: self.progress.advance(done, note=what),
            **self.how(kernel),
        )

    def whole(
        self,
        name: str,
        kernel: str,
        pairs: Pairs,
        score: np.ndarray,
        exact: np.ndarray,
        measure: Measure,
    ) -> tuple[pl.DataFrame | None, dict[str, Any] | None]:
        """The same where every pair is kept, and computed exactly anyway."""
        if not len(score) or self.options.audit == 0:
            return None, None
        recall = audit.of_pairs(measure.sign * exact, measure.sign * score, SHARE)
        frame = self.table(name, kernel, "all", pairs, score, exact)
        return frame, {"share": SHARE, "all": figures(len(exact), recall)}

    def audit(
        self, name: str, kernel: str, found: Alone, ranked: np.ndarray, measure: Measure
    ) -> tuple[pl.DataFrame | None, dict[str, Any] | None]:
        """Both values of random pairs and of all pairs of some perturbations; what was missed."""
        p, seed = len(ranked), self.options.seed
        total = pairs_.count(p)
        number, genes = self.sizes(kernel, total)
        samples = {}
        if number:
            samples["all" if number == total else "random"] = audit.drawn(p, number, seed=seed)
        if number < total and genes > 1:
            samples["genes"] = audit.among(p, min(genes, p), seed=seed + 1)
        parts, facts = [], {}
        for sample, drawn in samples.items():
            pairs = Pairs(ranked[drawn.i].astype(np.int32), ranked[drawn.j].astype(np.int32))
            score = of_pairs(found.singles, pairs, measure.formula).astype(np.float64)
            exact = self.exact(kernel, found, pairs, measure, f"audit, {sample} pairs")
            held = (measure.sign * exact, measure.sign * score)
            if sample == "genes":
                recall = audit.of_genes(*held, pairs, SHARE, seed=seed)
            else:
                recall = audit.of_pairs(*held, SHARE)
            facts[sample] = figures(len(exact), recall)
            parts.append(self.table(name, kernel, sample, pairs, score, exact))
        return (pl.concat(parts), {"share": SHARE} | facts) if parts else (None, None)

    def table(
        self,
        name: str,
        kernel: str,
        sample: str,
        pairs: Pairs,
        score: np.ndarray,
        exact: np.ndarray,
    ) -> pl.DataFrame:
        """Rows of audit.parquet."""
        names = np.array(self.data.names)[self.singles(kernel)]
        words = {"measure": [name] * len(exact), "sample": [sample] * len(exact)}
        members = {"a": names[pairs.i], "b": names[pairs.j]}
        return pl.DataFrame(words | members | {"score": score, "exact": exact})

    def sizes(self, kernel: str, total: int) -> tuple[int, int]:
        """Pairs to audit at random, and perturbations whose every pair."""
        count = self.screen(kernel).count[1:].astype(float)
        fit = VALUES / np.mean(count) ** 2
        number, genes = self.options.audit, self.options.audit_genes
        if number is None:
            number = int(min(AUDIT, max(fit, BEFORE)))
        if genes is None:
            genes = int(min(GENES, max(np.sqrt(fit / 5), 2)))
        return min(number, total), genes


def figures(pairs: int, recall: audit.Recall) -> dict[str, Any]:
    """An audit's entry; None for what is no number."""
    entry = {"pairs": pairs, **recall._asdict()}
    return {name: None if value != value else value for name, value in entry.items()}
