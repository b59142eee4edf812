"""The figures of a screen: who was measured how often, and with which controls."""

from collections.abc import Callable

import numpy as np

from epistax.distributed.formats.census import Fact, examples
from epistax.distributed.formats.experiment import NOBODY, Experiment


def tell(
    names: tuple[str, ...],
    codes: np.ndarray,
    controls: tuple[str, ...],
    experiment: Experiment,
    *,
    sep: str,
) -> tuple[Fact, ...]:
    """Facts of kept observations; codes as in ScreenTable."""
    p = len(names)
    one = codes[(codes[:, 0] < 0) & (codes[:, 1] >= 0), 1]
    two = codes[codes[:, 0] >= 0].astype(np.int64)
    control = codes[:, 1] < 0
    each_single = np.bincount(one, minlength=p)
    key, each_pair = np.unique(two[:, 0] * p + two[:, 1], return_counts=True)
    low, high = key // p, key % p
    bare = np.flatnonzero(each_single == 0)
    short = (each_single[low] == 0) | (each_single[high] == 0)
    possible = p * (p - 1) // 2

    def single(index: np.ndarray) -> tuple[str, ...]:
        return examples([names[k] for k in index[:6]])

    def pair(index: np.ndarray) -> tuple[str, ...]:
        return examples([f"{names[low[k]]}{sep}{names[high[k]]}" for k in index[:6]])

    alone = np.flatnonzero(each_pair < 2)
    have = p - len(bare)
    share = f"of {possible:,} possible ({len(key) / possible:.1%})" if possible else ""
    remedy = "" if controls else "no label is a control; name one with --control"
    return (
        Fact("perturbations", "perturbations", p),
        Fact("controls", "control names", len(controls), remedy, controls),
        Fact("control_observations", "control alone", int(control.sum()), "observations"),
        Fact(
            "singles",
            "singles measured",
            have,
            f"{len(bare):,} missing" if have and len(bare) else "",
            single(bare if have else bare[:0]),
        ),
        *spread("per_single", "observations each", each_single[each_single > 0]),
        Fact("pairs", "pairs measured", len(key), share),
        *spread("per_pair", "observations each", each_pair),
        *count("without_single", "without a single", np.flatnonzero(short), pair),
        *count("measured_once", "measured once", alone, pair),
        *around(experiment, control),
    )


def spread(key: str, label: str, each: np.ndarray) -> tuple[Fact, ...]:
    """Median, smallest and largest number of observations, where there are any."""
    if not len(each):
        return ()
    low, high, middle = int(each.min()), int(each.max()), float(np.median(each))
    note = f"median; {low:,} .. {high:,}" if low < high else ""
    return (
        Fact(key, label, middle, note),
        Fact(f"{key}_min", "", low),
        Fact(f"{key}_max", "", high),
    )


def count(
    key: str, label: str, index: np.ndarray, shown: Callable[[np.ndarray], tuple[str, ...]]
) -> tuple[Fact, ...]:
    """Pairs of a sort, where there are any."""
    return (Fact(key, label, len(index), "pairs", shown(index)),) if len(index) else ()


def around(experiment: Experiment, control: np.ndarray) -> tuple[Fact, ...]:
    """Batches, plates, wells and guides, as far as columns tell."""
    facts = []
    if experiment.batch is not None:
        batches = experiment.batches
        held = np.bincount(experiment.batch[control], minlength=len(batches))
        bare = [batches[k] for k in np.flatnonzero(held == 0)]
        facts.append(Fact("batches", "batches", len(batches)))
        facts.append(
            Fact(
                "batches_without_control",
                "of them without control" if bare else "",
                len(bare),
                "",
                examples(bare),
            )
        )
        if NOBODY in batches:
            rows = int((experiment.batch == batches.index(NOBODY)).sum())
            facts.append(Fact("batch_unknown", "batch unknown", rows, "observations: one batch"))
    if experiment.plates is not None:
        facts.append(Fact("plates", "plates", experiment.plates))
    if experiment.well is not None:
        facts.append(Fact("wells", "wells", int(experiment.well.max()) + 1))
    if experiment.wells_unknown:
        note = "observations: each counts as a well of its own"
        facts.append(Fact("well_unknown", "well unknown", experiment.wells_unknown, note))
    if experiment.guides is not None:
        facts.append(Fact("guides", "guides", experiment.guides))
    return tuple(facts)
