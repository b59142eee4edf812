"""The belief of a campaign as a picture: mean and sd of pairs beside each other."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from epistax.distributed.report.matrices import short
from epistax.distributed.report.pictures import canvas

NAMED = 50  # names that fit beside a map


def maps(names: Sequence[str], mean: ndarray, sd: ndarray) -> Figure:
    """Perturbations in the order of an average linkage of their means; no value on the diagonal."""
    order = clustered(mean)
    figure, axes = canvas(2, height=3.2)
    for panel, values, title in zip(axes, (mean, sd), ("expected", "sd"), strict=True):
        panel.spines[:].set_visible(False)
        image = panel.imshow(values[np.ix_(order, order)], cmap="viridis", interpolation="nearest")
        panel.set_title(title)
        panel.set_xticks([])
        panel.set_yticks([])
        bar = figure.colorbar(image, ax=panel, orientation="horizontal", shrink=0.8, pad=0.03)
        bar.ax.tick_params(labelsize=7)
    if len(names) <= NAMED:
        shown = [short(names[k]) for k in order]
        axes[0].set_yticks(range(len(names)), shown, fontsize=min(7.0, 170 / max(len(names), 1)))
    return figure


def clustered(mean: ndarray) -> ndarray:
    """Near are those of alike rows, the diagonal aside."""
    if len(mean) < 3:
        return np.arange(len(mean))
    filled = np.where(np.isnan(mean), np.nanmean(mean), mean)
    apart = np.abs(filled[:, None, :] - filled[None, :, :]).mean(axis=2)
    return leaves_list(linkage(squareform(apart, checks=False), "average"))
