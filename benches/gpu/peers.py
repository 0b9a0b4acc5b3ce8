"""The same work by others: PyTorch eager and compiled, our Triton kernels, and libraries that are there or not."""

import importlib
import pathlib
import sys

import torch
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))

# Bytes that a matrix, its logarithms and their gradients may have together, and of one chunk of it where they have more.
ROOM, CHUNK = 60e9, 2.5e9


def n_pair_mc(anchors, positives, own):
    """The part of the mean over all positives that `anchors` have, whose own ones are at `own`."""
    return F.cross_entropy(anchors @ positives.T, own, reduction="sum") / len(positives)


def tensor_cores(precision):
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def n_pair_mc_step(loss, sides, precision):
    """Value and gradients, rows in chunks where the matrix does not fit."""
    n = len(sides[0][0])
    size = sides[0][0].element_size()
    chunk = n if 4 * n * n * size <= ROOM else max(1, int(CHUNK / n / size))

    def step(i):
        tensor_cores(precision)
        anchors, positives = (side.detach().requires_grad_() for side in sides[i % len(sides)])
        # Places as a tensor: a number would have every chunk compiled anew.
        places = torch.arange(n, device=anchors.device)
        for part, own in zip(anchors.split(chunk), places.split(chunk)):
            loss(part, positives, own).backward()
        return anchors.grad, positives.grad

    return step


def compiled():
    torch._dynamo.reset()
    return torch.compile(n_pair_mc, dynamic=False)


# Rows, columns, warps and stages that are tried: the whole list of gpu_kernels.py takes minutes to compile.
TRITON = [(64, 32, 4, 1), (64, 64, 8, 1), (128, 32, 8, 1), (64, 32, 4, 2), (128, 64, 8, 1)]


def triton_loss(sides):
    kernels = importlib.import_module("gpu_kernels")
    kernels.CHOICES = TRITON
    choice = kernels.tune(*(side.detach().requires_grad_() for side in sides))
    return kernels.n_pair_mc, choice


def triton_step(loss, sides):
    def step(i):
        anchors, positives = (side.detach().requires_grad_() for side in sides[i % len(sides)])
        loss(anchors, positives).backward()
        return anchors.grad, positives.grad

    return step


def reduction_step(kind, mask, sides, precision):
    """The mean of a masked reduction and its gradients, all in PyTorch."""
    rows, columns = len(sides[0][0]), len(sides[0][1])
    takes = mask.matrix(rows, columns, sides[0][0].device)

    def step(i):
        tensor_cores(precision)
        queries, gallery = (side.detach().requires_grad_() for side in sides[i % len(sides)])
        s = (queries @ gallery.T).float()
        if kind == "softplus_sum":
            rows_sums = torch.where(takes, F.softplus(s), 0.0).sum(1)
        else:
            rows_sums = torch.logsumexp(torch.where(takes, s, -torch.inf), 1)
        rows_sums.mean().backward()
        return queries.grad, gallery.grad

    return step


def search_step(queries, gallery, k, precision):
    """top-k in chunks of queries whose products take 4 GiB."""
    chunk = max(1, (1 << 30) // len(gallery))

    def step(i):
        tensor_cores(precision)
        return [(part @ gallery.T).topk(k) for part in queries.split(chunk)]

    return step


def extremes_step(sides, row_classes, column_classes, precision):
    """Hardest negatives and positives, in chunks of queries."""
    chunk = max(1, (1 << 30) // len(sides[0][1]))

    def step(i):
        tensor_cores(precision)
        queries, gallery = sides[i % len(sides)]
        found = []
        for first in range(0, len(queries), chunk):
            s = queries[first : first + chunk] @ gallery.T
            same = row_classes[first : first + chunk, None] == column_classes[None, :]
            found += [s.masked_fill(same, -torch.inf).max(1), s.masked_fill(~same, torch.inf).min(1)]
        return found

    return step


def library(name):
    """A library, or why there is none."""
    try:
        return importlib.import_module(name), None
    except Exception as why:  # also a library that is there and does not load
        return None, f"{name}: {type(why).__name__}"


def faiss_step(faiss, queries, gallery, k):
    resources = faiss.StandardGpuResources()
    index = faiss.GpuIndexFlatIP(resources, gallery.shape[1])
    index.add(gallery.float().cpu().numpy())
    held = queries.float().cpu().numpy()
    return lambda i: index.search(held, k)


def cuvs_step(cuvs, queries, gallery, k):
    brute_force = importlib.import_module("cuvs.neighbors.brute_force")
    index = brute_force.build(gallery, metric="inner_product")
    return lambda i: brute_force.search(index, queries, k)
