"""What a benchmark of causal embeddings found: models beside what knows of no environment."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from epistax.distributed.report import causalcurves
from epistax.distributed.report.causal import held, places, read, rise
from epistax.distributed.report.sections.blocks import (
    Block,
    Figures,
    Heading,
    Section,
    Table,
    Text,
    fixed,
    spread,
)
from epistax.distributed.report.sections.drawn import figure
from epistax.distributed.report.sections.response_rows import lacking
from epistax.distributed.report.sections.runs import Run

CURVE = {"model": pl.String, "seed": pl.Int64, "epoch": pl.Int64, "validation": pl.Float64}
SHIFTS = {
    "model": pl.String,
    "seed": pl.Int64,
    "environment": pl.String,
    "split": pl.String,
    "latent": pl.Int64,
    "shift": pl.Float64,
}
OOD = {
    "model": pl.String,
    **dict.fromkeys(("direction", "seed"), pl.Int64),
    **dict.fromkeys(("offset", "error", "anchor", "anchor_vae"), pl.Float64),
}
TURNED = {
    "model": pl.String,
    "seed": pl.Int64,
    "flip": pl.Boolean,
    "feature": pl.String,
    "angle": pl.Float64,
    "distance": pl.Float64,
}
ROTATION = {
    "model": pl.String,
    "flip": pl.Boolean,
    **dict.fromkeys(("angle", "mean_distance", "spread", "residual", "entangled"), pl.Float64),
}
MOST, FEWER = 6, 3  # models that are drawn; whose decoders are
HEAD = ("model", "latents", "error", "ratio", "worst rise", "profile error")
TRUE = {
    "mcc": "MCC",
    "f1": "F1 of targets",
    "target_accuracy": "targets named",
    "disentanglement": "sparseness",
}
NOTE = (
    "Error: mean square per scaled feature of samples reconstructed from their posterior means; "
    "ratio: to the better of mean profile and principal components of the same width; worst rise: "
    "the largest of the error over its least before, over epochs once the divergence has its full "
    "weight, of the worst seed (1: it only falls); profile error: of predicted mean profiles. "
)
KNOWN = (
    "MCC: correlation of latents with the true ones on samples of the reference; targets: the "
    "latent that an environment shifts most, against the true one. "
)
SPARSE = "Sparseness: 1 where every environment moves one latent, 0 where it moves all alike. "


def section(run: Run) -> Section:
    """All of it."""
    summary = run.summary
    text = f"{read(summary['input'])}. {summary['told']}."
    blocks: list[Block] = [Text(text), *lacking(summary["input"]), table(summary)]
    if (run.path / "rotation.parquet").exists():
        blocks.append(angles(run.table("rotation", ROTATION).collect()))
    blocks += [Heading("Pictures"), Figures(tuple(drawn(run)))]
    return Section("Causal embeddings compared", tuple(blocks))


def chosen(summary: Mapping[str, Any]) -> list[str]:
    """Models to draw: of each its first temperature, without those whose vectors are shuffled."""
    own = [name for name, of in summary["models"].items() if "ratio" in of]
    plain = [name for name in own if " shuffled" not in name]
    return plain if len(plain) <= MOST else list({name.split()[0]: name for name in plain[::-1]}
                                                 .values())[::-1]  # fmt: skip


def drawn(run: Run) -> list[Any]:
    """Curves and maps."""
    summary, names = run.summary, chosen(run.summary)
    several = pl.col("model").is_in(names)
    bare = {name: of["reconstruction"]["mean"] for name, of in summary["models"].items()
            if "ratio" not in of and of["reconstruction"] is not None}  # fmt: skip
    curve = run.table("curve", CURVE).filter(several, pl.col("validation").is_finite()).collect()
    found = []
    if curve.height:
        caption = f"Error of samples of {held(summary)} while training; bands: one sd over seeds."
        found.append(figure(run, "validation", caption, causalcurves.validation(curve, bare)))
    if (run.path / "ood.parquet").exists():
        caption = ("Error where an offset is added to the noise of a latent; bands hold all seeds. "
                   "Exact: of the best linear models of the same width.")  # fmt: skip
        ood = run.table("ood", OOD).filter(several).collect()
        found.append(figure(run, "outside", caption, causalcurves.outside(ood)))
    if (run.path / "turned.parquet").exists():
        caption = ("Rows of the true mixing, turned, beside those of the decoder: where all meet "
                   "at a multiple of π/2 the latents are the true ones.")  # fmt: skip
        turned = run.table("turned", TURNED).filter(pl.col("model").is_in(names[:FEWER]))
        found.append(figure(run, "turned", caption, causalcurves.turned(turned.collect())))
    every = run.table("shifts", SHIFTS).filter(pl.col("seed") == pl.col("seed").min())
    split = "validation" if summary["held_out"] else "train"
    shifts = every.filter(pl.col("split") == split, pl.col("shift").is_finite()).collect()
    moved = [name for name in names if name in set(shifts["model"])]
    if moved:
        caption = (f"How far {held(summary)} move each latent from the reference, in its sds, of "
                   "the first seed; environments by the latent that they move most.")  # fmt: skip
        found.append(figure(run, "shifts", caption, causalcurves.moved(shifts, moved)))
    return found


def table(summary: Mapping[str, Any]) -> Table:
    """All models."""
    models, digits = summary["models"], places(summary)
    figures = [name for name in TRUE if any(of.get(name) for of in models.values())]
    rows = tuple(
        (
            name,
            str(of.get("latents", "")),
            spread(of["reconstruction"], digits),
            fixed(of.get("ratio")),
            rise(of),
            spread(of["profile_error"]),
            *(spread(of.get(figure)) for figure in figures),
            fixed((of.get("seconds") or {}).get("mean"), 1),
        )
        for name, of in models.items()
    )
    note = ("Mean ± sd over seeds. " if summary["seeds"] > 1 else "") + NOTE
    note += (KNOWN if "mcc" in figures else "") + (SPARSE if "disentanglement" in figures else "")
    note += "Seconds: of a fit, many side by side."
    head = (*HEAD, *(TRUE[name] for name in figures), "seconds")
    caption = held(summary)
    return Table(caption[0].upper() + caption[1:], head, rows, note=note)


def angles(rotation: pl.DataFrame) -> Table:
    """The common angle of the rows, the better of both signs, over seeds."""
    best = rotation.sort("mean_distance").group_by("model", maintain_order=True)
    rows = tuple(
        (
            str(name[0]),
            f"{part['angle'][0] / 3.141592653589793:.3f} π",
            "yes" if part["flip"][0] else "no",
            fixed(part["mean_distance"][0]),
            fixed(part["spread"][0], 1),
            fixed(part["residual"][0]),
            fixed(part["entangled"][0]),
        )
        for name, part in best
    )
    head = ("model", "angle", "flipped", "1 − cosine", "spread", "residual", "entangled")
    note = (
        "The seed and sign that match best. Spread: of the angles at which single rows match, in "
        "steps of half a degree; residual: share left by least squares with free scales; "
        "entangled: 0 where every latent is a true one."
    )
    return Table("The decoder beside the true mixing, turned", head, rows, note=note)
