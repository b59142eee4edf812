"""The pictures of a score run with what they show in words; those that cannot be drawn and why."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from epistax.distributed.report import outstanding
from epistax.distributed.report import pictures as drawing
from epistax.distributed.report.sections.blocks import Figure, percent, plural
from epistax.distributed.report.sections.pairs import Pairs

PATHWAYS = 25  # rows of a picture
SHARES = ("severity:min", "severity:max", "severity")
FEW = 3  # pairs below which there is nothing to see


def pictures(pairs: Pairs, folder: Path) -> tuple[tuple[Figure, ...], tuple[str, ...]]:
    """What can be drawn, and a line for each picture that cannot."""
    drawn, missing = [], []
    for title, needs, draw in PICTURES:
        lacking = [test for test in needs if test not in pairs.tests]
        if lacking:
            flags = " ".join(f"--test {test}" for test in lacking)
            missing.append(f"{title}: {flags} would add it")
            continue
        made = draw(pairs)
        if isinstance(made, str):
            missing.append(f"{title}: {made}")
            continue
        name, figure, caption = made
        svg, png = drawing.rendered(name, figure)
        drawn.append(Figure(name, f"{title}. {caption}", svg, png, folder))
    return tuple(drawn), tuple(missing)


Drawn = tuple[str, drawing.Figure, str] | str


def against(pairs: Pairs) -> Drawn:
    """R against squared cosine."""
    wide = pairs.wide(("additive", "cosine"))
    if wide.height < FEW:
        return f"only {plural(wide.height, 'pair')} with both figures"
    r, cosine = (wide[c].to_numpy() for c in ("additive", "cosine"))
    said = f"Over {plural(wide.height, 'pair')} the rank correlation is {ranks(r, cosine)}"
    for flag, words in pairs.known.words.items():
        if flag in wide.columns and (count := int(wide[flag].sum())):
            part = wide.filter(pl.col(flag))
            at = [np.median(part[c].to_numpy()) for c in ("additive", "cosine")]
            said += f"; {words} ({count:,}): median R {at[0]:.2g}, cos² {at[1]:.2g}"
    whole = [np.median(v) for v in (r, cosine)]
    said += f"; all: {whole[0]:.2g}, {whole[1]:.2g}. {drawn_of(wide)}"
    return "r-cosine", drawing.against(wide, pairs.known.words), said


def ranks(one: np.ndarray, two: np.ndarray) -> str:
    """Spearman's correlation."""
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return "not defined (all alike)"
    return f"{spearmanr(one, two).statistic:.2f} (Pearson {np.corrcoef(one, two)[0, 1]:.2f})"


def by_pathway(pairs: Pairs) -> Drawn:
    """R and squared cosine by pathway."""
    pathway = pairs.known.pathway
    if not pathway:
        return "no pathways are known; a simulated screen has them beside its data"
    wide = pairs.wide(("additive", "cosine"))
    there = set(wide["a"]) | set(wide["b"])
    size = {g: sum(pathway.get(n) == g for n in there) for g in pairs.known.pathways}
    order = sorted((g for g in size if size[g]), key=lambda g: -size[g])[:PATHWAYS]
    if wide.height < FEW or not order:
        return f"only {plural(wide.height, 'pair')} with both figures"
    middle = {g: np.median(wide.filter(member(pathway, g))["additive"].to_numpy()) for g in order}
    order.sort(key=lambda g: -middle[g])
    most = f" The {PATHWAYS} largest of {len(size):,} pathways." if len(size) > PATHWAYS else ""
    said = (
        "Boxes: pairs with at least one member in the pathway (quartiles; whiskers 5 to 95 %). "
        f"Dots: pairs within it. Ordered by median R.{most}"
    )
    return "by-pathway", drawing.by_pathway(wide, pathway, order), said


def member(pathway: dict[str, str], group: str) -> pl.Expr:
    """Whether one of a pair's members is in the pathway."""
    inside = [name for name, own in pathway.items() if own == group]
    return pl.col("a").is_in(inside) | pl.col("b").is_in(inside)


def severity(pairs: Pairs) -> Drawn:
    """Severity of the singles as shares of the double's."""
    wide = pairs.wide(SHARES)
    if wide.height < FEW:
        return f"only {plural(wide.height, 'pair')} with all three figures"
    parts = {"all pairs": wide}
    parts |= {w: wide.filter(pl.col(f)) for f, w in pairs.known.words.items() if f in wide.columns}
    middle = ", ".join(
        f"{words} {np.median(p['severity'].to_numpy()):.2f}" for words, p in parts.items() if len(p)
    )
    said = (
        "S(min), S(max) and S(sum) along the double's direction, as shares of the double's S; a "
        "sum above 1 is buffering, below 1 synergy. Boxes: quartiles, whiskers 5 to 95 %. Median "
        f"share of the sum: {middle}. Noise in the double lengthens it, so that shares of weak "
        "pairs lie below 1 without any synergy."
    )
    return "severity", drawing.severity(wide, pairs.known.words), said


def scale(pairs: Pairs) -> Drawn:
    """Doubles against the sum of their singles."""
    wide = pairs.wide(("severity", "severity:double"))
    if wide.height < FEW:
        return f"only {plural(wide.height, 'pair')} with both figures"
    y = wide["severity:double"].to_numpy()
    x = wide["severity"].to_numpy() * y
    slope = float(x @ y / (x @ x)) if np.any(x) else float("nan")
    weaker = float((y < x).mean())
    said = (
        f"Least-squares slope through 0: {slope:.2f}; {percent(weaker, 0)} of the doubles are "
        f"weaker than the sum of their singles. {drawn_of(wide)} Both along the direction of the "
        "measured double, whose noise counts in its favour."
    )
    if pairs.scale is not None:
        said += (
            f" Without noise doubles are {pairs.scale:.2f} times the sum of their singles (median "
            "over pairs); score --scale auto compares them with that."
        )
    return "scale", drawing.scale(wide, slope, pairs.known.words), said


def quantiles(pairs: Pairs) -> Drawn:
    """P-values of each test against a uniform's."""
    found = {test: p for test in pairs.tests if len(p := pairs.p_values(test))}
    if not found:
        return "the run has no p-values (--null none)"
    low = ", ".join(
        f"{test} {percent(float((p <= 0.05).mean()), 0)} (inflation at the median "
        f"{outstanding.inflation(p):.2f})"
        for test, p in found.items()
    )
    end = outstanding.END
    beyond = sum(int((p < 10**-end).sum()) for p in found.values())
    edge = f" {beyond:,} points beyond {end:g} stand at the edge." if beyond else ""
    said = (
        "Without any interaction the points follow the line, within the band if pairs were "
        f"independent. Share of pairs at p ≤ 0.05: {low}."
    )
    return "p-values", outstanding.quantiles(found), said + edge


def drawn_of(wide: pl.DataFrame) -> str:
    """How many of the pairs are dots."""
    if wide.height <= drawing.POINTS:
        return ""
    return f"Drawn: {drawing.POINTS:,} of the pairs at random, and the known ones."


PICTURES: Sequence[tuple[str, tuple[str, ...], Callable[[Pairs], Drawn]]] = (
    ("R against squared cosine", ("additive", "cosine"), against),
    ("R and squared cosine by pathway", ("additive", "cosine"), by_pathway),
    ("Severity of singles", SHARES, severity),
    (
        "Observed against expected: doubles against the sum of their singles",
        ("severity", "severity:double"),
        scale,
    ),
    ("P-values of all pairs", (), quantiles),
)
