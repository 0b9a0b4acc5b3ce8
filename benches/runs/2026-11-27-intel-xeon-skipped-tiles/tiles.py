"""How many tiles of N-pair-mc's gradient could be left out: the embeddings of a trained run, a pair of each class.

usage: tiles.py EMBEDDINGS.npy LABELS.npy
"""
import sys

import numpy as np

ROWS, COLUMNS = 12, 48  # the register tile of AVX-512, f32
BOUNDS = {"half an ulp of f32": 2.0**-24, "1e-5": 1e-5, "1e-3": 1e-3}


def pairs(rows, labels, rng):
    """The first and the second picture of every class that has two."""
    picked = [rng.permutation(np.flatnonzero(labels == c))[:2] for c in rng.permutation(np.unique(labels))]
    picked = np.array([p for p in picked if len(p) == 2])
    return rows[picked[:, 0]], rows[picked[:, 1]]


def halved(x, places):
    """Neighbours beside each other: halves along the first direction, again and again."""
    if len(places) <= ROWS:
        return [places]
    centred = x[places] - x[places].mean(0)
    first = np.linalg.svd(centred, full_matrices=False)[2][0]
    ordered = places[np.argsort(centred @ first)]
    half = len(ordered) // 2
    return halved(x, ordered[:half]) + halved(x, ordered[half:])


def shares_of_tiles(share):
    """Of every tile, its largest entry, and the largest sum of one of its rows."""
    n = len(share) // (ROWS * COLUMNS) * (ROWS * COLUMNS) or len(share) // COLUMNS * COLUMNS // ROWS * ROWS
    tiles = share[:n, :n].reshape(n // ROWS, ROWS, n // COLUMNS, COLUMNS)
    return tiles.max((1, 3)), tiles.sum(3).max(1)


def report(name, share):
    n = len(share)
    largest, sums = shares_of_tiles(share)
    for bound, eps in BOUNDS.items():
        one = (largest <= eps / n).mean()
        # The least tiles of a row of tiles, as many as stay below the bound together: no rule leaves out more.
        best = (np.cumsum(np.sort(sums, 1), 1) <= eps).mean()
        print(f"{name:34} {bound:20} tiles by their largest entry {one:7.4f}  at best {best:7.4f}  entries {(share <= eps / n).mean():7.4f}")


def weights_of(q, g):
    """exp(s_ij - s_ii), nothing on the diagonal."""
    logits = q @ g.T
    positive = np.diag(logits).copy()
    np.fill_diagonal(logits, -np.inf)
    return np.exp(logits - positive[:, None])


def main():
    rows, labels = np.load(sys.argv[1]).astype(np.float64), np.load(sys.argv[2])
    q, g = pairs(rows, labels, np.random.default_rng(0))
    for squared in [1, 2, 4, 8]:
        weights = weights_of(squared * q, g)
        total = weights.sum(1)
        length = squared * (q**2).sum(1).mean()
        print(f"N = {len(q)}, D = {q.shape[1]}, mean squared length {length:.1f}, loss {np.log1p(total).mean():.3f}")
        share = weights / total[:, None]
        report("of the row's gradient", share)
        report("of the row with its positive", weights / (1 + total[:, None]))
        order = np.concatenate(halved(q, np.arange(len(q))))
        report("of the row's gradient, neighbours", share[np.ix_(order, order)])


main()
