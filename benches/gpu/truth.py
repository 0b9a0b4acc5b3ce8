"""The same results in float64, by the formulas, with the whole matrix written out."""

import torch


def soft(kind, mask, queries, gallery, reference, upstream):
    """Results, gradients of queries and of gallery, and what the references get; `upstream` is a number per row."""
    q, g, up = queries.double(), gallery.double(), upstream.double()
    s, takes = q @ g.T, mask.matrix(len(q), len(g), q.device)
    diagonal = isinstance(reference, str)
    above = (q * g).sum(1) if diagonal else torch.zeros(len(q), dtype=q.dtype, device=q.device) if reference is None else reference.double()
    z = torch.where(takes, s - above[:, None], -torch.inf)
    if kind == "log_sum_exp":
        results = torch.logsumexp(z, 1)
        weights = torch.where(takes, torch.exp(z - torch.where(results.isfinite(), results, 0.0)[:, None]), 0.0)
    elif kind == "log1p_sum_exp":
        results = torch.logaddexp(torch.logsumexp(z, 1), torch.zeros_like(above))
        weights = torch.exp(z - results[:, None])
    else:
        results = torch.logaddexp(z, torch.zeros_like(z)).sum(1)
        weights = torch.sigmoid(z)
    weights = weights * up[:, None]
    below = -weights.sum(1)
    of_queries, of_gallery = weights @ g, weights.T @ q
    if diagonal:
        of_queries, of_gallery = of_queries + below[:, None] * g, of_gallery + below[:, None] * q
    return results, of_queries, of_gallery, below


def closeness(queries, gallery, mask, terms):
    """The matrix that searches look at; minus infinity where an entry takes no part."""
    q, g = queries.double(), gallery.double()
    near = terms.scale * (q @ g.T)
    if terms.rows is not None:
        near = near + (terms.rows[:, None] + terms.columns[None, :]).double()
    return torch.where(mask.matrix(len(q), len(g), q.device), near, -torch.inf)


def sorted_by_place(near, k):
    """The k nearest of every row, equally near ones by place; missing ones as the kernels mark them."""
    values, places = torch.sort(near, dim=1, descending=True, stable=True)
    if values.shape[1] < k:
        values = torch.nn.functional.pad(values, (0, k - values.shape[1]), value=-torch.inf)
        places = torch.nn.functional.pad(places, (0, k - places.shape[1]), value=-1)
    values, places = values[:, :k], places[:, :k]
    return values, torch.where(values == -torch.inf, -1, places)
