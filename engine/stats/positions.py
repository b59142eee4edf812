"""Positions of perturbations in a graph, for models that want numbers of each.

With adjacency A and degrees d the columns are the leading eigenvectors of

    (D + tau)^(-1/2) A (D + tau)^(-1/2),   tau the mean degree of those that have a neighbour,

each times its eigenvalue: neighbours come to lie close together, and so do the members of a
complex. The constant tau keeps small components from taking all directions ("Understanding
Regularized Spectral Clustering via Graph Conductance", Zhang and Rohe 2018; "Regularized spectral
clustering under the degree-corrected stochastic blockmodel", Qin and Rohe 2013).
"""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse import coo_array, dia_array
from scipy.sparse.linalg import eigsh

LARGE = 1000  # perturbations from which only the eigenvectors asked for are computed


def positions(
    p: int, i: Int[ndarray, "m"], j: Int[ndarray, "m"], number: int
) -> Float[ndarray, "p d"]:
    """At most `number` coordinates, fewer in a small graph; 0 for who has no neighbour.

    (i, j) are distinct edges without direction, i != j. The sign of a column is that of its
    greatest entry.
    """
    weight = np.ones(2 * len(i))
    graph = coo_array((weight, (np.r_[i, j], np.r_[j, i])), shape=(p, p)).tocsr()
    degree = np.asarray(graph.sum(axis=1), np.float64)
    root = dia_array(((degree + degree[degree > 0].mean()) ** -0.5, 0), shape=(p, p))
    scaled = root @ graph @ root
    number = min(number, p - 2)
    if p < LARGE:
        value, vector = np.linalg.eigh(scaled.toarray())
    else:  # from a start of its own choosing it would give other signs and rounding every time
        value, vector = eigsh(scaled, k=number, which="LA", v0=degree + 1)
    order = np.argsort(-value)[:number]
    found = vector[:, order] * np.maximum(value[order], 0)[None, :]
    top = np.abs(found).argmax(axis=0)
    return (found * np.sign(found[top, np.arange(number)])[None, :]).astype(np.float32)
