"""N-pair-mc in Triton without the matrix, the way flash attention is written: what npair's own kernels are held against.

The value needs one product of a pair of blocks; each gradient computes it again, and needs another: 10 N^2 D operations, where
keeping a block's weights for both sides takes 6. Half precision goes to the tensor cores as it is, float32 as tf32.

TRITON_INTERPRET=1 runs them on a CPU, in float32 and float16; its products of bfloat16 are wrong.
"""

import time

import torch
import triton
import triton.language as tl


@triton.jit
def rows(base, first, n, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """A block of rows, zero below the last."""
    row = first + tl.arange(0, BLOCK)
    column = tl.arange(0, WIDTH)
    return tl.load(base + row[:, None].to(tl.int64) * WIDTH + column[None, :], mask=row[:, None] < n, other=0.0)


@triton.jit
def value_kernel(anchors, positives, sums, own, n, WIDTH: tl.constexpr, BLOCK: tl.constexpr, ACROSS: tl.constexpr):
    """For every anchor the log of the sum of exp over all positives, and the logit of its own."""
    first = tl.program_id(0) * BLOCK
    row = first + tl.arange(0, BLOCK)
    a = rows(anchors, first, n, WIDTH, BLOCK)
    most = tl.full([BLOCK], float("-inf"), tl.float32)
    sum = tl.zeros([BLOCK], tl.float32)
    mine = tl.zeros([BLOCK], tl.float32)
    for at in range(0, n, ACROSS):
        column = at + tl.arange(0, ACROSS)
        s = tl.dot(a, tl.trans(rows(positives, at, n, WIDTH, ACROSS)), input_precision="tf32")
        s = tl.where(column[None, :] < n, s, float("-inf"))
        mine += tl.sum(tl.where(row[:, None] == column[None, :], s, 0.0), 1)
        now = tl.maximum(most, tl.max(s, 1))
        sum = sum * tl.exp(most - now) + tl.sum(tl.exp(s - now[:, None]), 1)
        most = now
    tl.store(sums + row, most + tl.log(sum), mask=row < n)
    tl.store(own + row, mine, mask=row < n)


@triton.jit
def gradient_kernel(
    mine, others, sums, out, upstream, n,
    OF_ANCHORS: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, ACROSS: tl.constexpr,
):
    """Of a block of anchors, or of positives: (soft-max - identity) times the other side, over N."""
    first = tl.program_id(0) * BLOCK
    row = first + tl.arange(0, BLOCK)
    m = rows(mine, first, n, WIDTH, BLOCK)
    own = tl.load(sums + row, mask=row < n, other=float("inf"))
    gradient = tl.zeros([BLOCK, WIDTH], tl.float32)
    for at in range(0, n, ACROSS):
        column = at + tl.arange(0, ACROSS)
        o = rows(others, at, n, WIDTH, ACROSS)
        s = tl.dot(m, tl.trans(o), input_precision="tf32")
        if OF_ANCHORS:
            p = tl.exp(s - own[:, None])
        else:
            its = tl.load(sums + column, mask=column < n, other=float("inf"))
            p = tl.exp(s - its[None, :])
        p = tl.where(column[None, :] < n, p, 0.0) - tl.where(row[:, None] == column[None, :], 1.0, 0.0)
        gradient += tl.dot(p.to(o.dtype), o, input_precision="tf32")
    gradient = gradient * (tl.load(upstream) / n)
    place = out + row[:, None].to(tl.int64) * WIDTH + tl.arange(0, WIDTH)[None, :]
    tl.store(place, gradient.to(out.dtype.element_ty), mask=row[:, None] < n)


# Rows and columns of a block, warps, stages of the pipeline; those that do not fit a GPU's shared memory drop out.
CHOICES = [(m, n, warps, stages) for m in (32, 64, 128) for n in (32, 64) for warps in (4, 8) for stages in (1, 2)]
UNTUNED = (32, 32, 4, 1)
_tuned = {}


class NPairMc(torch.autograd.Function):
    @staticmethod
    def forward(ctx, anchors, positives):
        n, width = anchors.shape
        (block, across, warps, stages), _ = _tuned.get(anchors.dtype, (UNTUNED, UNTUNED))
        sums = torch.empty(n, device=anchors.device)
        own = torch.empty_like(sums)
        value_kernel[(triton.cdiv(n, block),)](
            anchors, positives, sums, own, n, WIDTH=width, BLOCK=block, ACROSS=across, num_warps=warps, num_stages=stages
        )
        ctx.save_for_backward(anchors, positives, sums)
        return (sums - own).mean()

    @staticmethod
    def backward(ctx, upstream):
        anchors, positives, sums = ctx.saved_tensors
        n, width = anchors.shape
        _, (block, across, warps, stages) = _tuned.get(anchors.dtype, (UNTUNED, UNTUNED))
        out = torch.empty_like(anchors), torch.empty_like(positives)
        for mine, others, gradient, of_anchors in [(anchors, positives, out[0], True), (positives, anchors, out[1], False)]:
            gradient_kernel[(triton.cdiv(n, block),)](
                mine, others, sums, gradient, upstream.contiguous(), n, OF_ANCHORS=of_anchors, WIDTH=width, BLOCK=block,
                ACROSS=across, num_warps=warps, num_stages=stages,
            )
        return out


def n_pair_mc(anchors, positives):
    """Sohn 2016, eq. 6, of rows (N, a power of two) of anchors and their positives: a scalar."""
    return NPairMc.apply(anchors.contiguous(), positives.contiguous())


def tune(anchors, positives):
    """Chooses blocks for the number type of these rows: the fastest for the value, then the fastest for the gradients."""
    dtype, best = anchors.dtype, [UNTUNED, UNTUNED]
    for part in (0, 1):
        times = {}
        for choice in CHOICES:
            _tuned[dtype] = (choice, best[1]) if part == 0 else (best[0], choice)
            try:
                loss = n_pair_mc(anchors, positives)
                times[choice] = _seconds(lambda: n_pair_mc(anchors, positives) if part == 0 else loss.backward(retain_graph=True))
            except Exception:  # too much shared memory, or more registers than there are
                continue
        if not times:
            raise RuntimeError(f"no block of the fused kernels runs here in {dtype}")
        best[part] = min(times, key=times.get)
    _tuned[dtype] = tuple(best)
    return _tuned[dtype]


def _seconds(work):
    work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    return time.perf_counter() - start
