"""What is launched with which buffers: the plan of `crates/similarity/src/device`, constant by constant."""

import dataclasses

import torch

from params import KINDS, PRECISIONS, TYPE_NAMES, Mask

# kernels.rs
ROWS, COLUMNS, NARROW, WIDE, THREADS, SHARED = 128, 256, 128, 256, 256, 96 << 10
CANDIDATES = 11_776
# mod.rs, soft.rs, search.rs
ALIGNED, KEPT, BUSY = 8, 512 << 20, 264
ROWS_OF_A_BLOCK, SLICES = 32, 8
SEARCH_COLUMNS, SEARCH_KEPT, PRUNING = 4096, 512 << 20, 1024
BEGINS, FARTHEST = 1, 1


def up(n, multiple):
    return -(-n // multiple) * multiple


def over(n, by):
    return -(-n // by)


def blocks_of_values(values):
    return (min(max(over(values, 256), 1), 1 << 16), 1, 1)


def pad(chip, out, values, factors, **fields):
    grid = blocks_of_values(fields["rows"] * fields["stride"])
    chip.launch(f"npair_padded_{TYPE_NAMES[out.dtype]}", grid, 256, 0, [out], [values, factors], **fields)


def side(chip, tensor):
    """A side as products take it: as it is, or with room for whole copies."""
    rows, width = tensor.shape
    stride = up(width, ALIGNED)
    flat = tensor.reshape(-1)
    if stride == width:
        return flat
    out = chip.room(tensor.dtype, rows * stride)
    pad(chip, out, flat, None, rows=rows, width=width, stride=stride)
    return out


def fill(chip, out, words, word):
    chip.launch("npair_fill", blocks_of_values(words), 256, 0, [out], [], rows=words, columns=1, flags=word)


# --- Soft reductions --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Cut:
    wave: int
    parts: int


@dataclasses.dataclass
class Found:
    results: torch.Tensor
    queries: torch.Tensor | None
    gallery: torch.Tensor | None
    below: torch.Tensor


def cut_of(rows, columns, width, size, kept=KEPT):
    """Waves of nearly the same number of tiles, and parts that keep all multiprocessors busy."""
    most = max(kept // max(up(columns, COLUMNS) * size, 1) // ROWS, 1)
    tiles = max(over(rows, ROWS), 1)
    wave = over(tiles, over(tiles, most))
    parts = BUSY // (wave * over(width, WIDE))
    return Cut(wave * ROWS, min(max(parts, 1), min(max(over(columns, COLUMNS), 1), 16)))


class Wave:
    """A wave's launches by mma.sync, as soft.rs has them."""

    KEPT = KEPT

    def __init__(self, chip, kind, mask, sides, precision, fields, reference):
        self.chip, self.mask, self.reference, self.fields = chip, mask, reference, fields
        self.queries, self.gallery = sides
        self.kind, self.precision = kind, precision
        dtype = PRECISIONS[precision]
        narrow = WIDE if fields["width"] > NARROW and dtype != torch.float32 else NARROW
        self.across_width = over(fields["stride"], narrow)
        self.gradient = lambda side: f"npair_of_{side}_{precision}_{narrow}"

    def matrix(self, outs, first, down):
        name = "margins" if self.kind == "softplus_sum" else "matrix"
        reference = None if self.reference is None else self.reference[first:]
        ins = [self.queries[first * self.fields["stride"] :], self.gallery, reference, *self.mask.classes]
        grid = (self.fields["tiles"], down, 1)
        self.chip.launch(f"npair_{name}_{self.precision}", grid, THREADS, SHARED, outs, ins, **self.fields, first_row=first)

    def of_queries(self, parts, entries, exponents, down, fields):
        grid = (self.across_width, down, fields["parts"])
        self.chip.launch(self.gradient("queries"), grid, THREADS, SHARED, [parts], [entries, exponents, self.gallery], **fields)

    def of_gallery(self, sums, entries, exponents, scaled, fields):
        grid = (self.across_width, over(fields["columns"], ROWS), 1)
        self.chip.launch(self.gradient("gallery"), grid, THREADS, SHARED, [sums], [entries, exponents, scaled], **fields)


def soft(chip, kind, mask, queries, gallery, precision, reference=None, upstream=1.0, cut=None, wanted=(True, True), kept=None, wave=Wave):
    """Soft reductions of the rows of queries gallery^T and the gradients of both sides.

    reference: None, numbers per row, or "diagonal"; upstream: a number for every row, or numbers per row.
    """
    (rows, width), columns, dtype = queries.shape, gallery.shape[0], PRECISIONS[precision]
    stride, across = up(width, ALIGNED), max(over(columns, COLUMNS), 1)
    kept = kept or (wave.KEPT if width > NARROW else KEPT)
    cut = cut or cut_of(rows, columns, width, queries.element_size(), kept)
    lines, line = min(cut.wave, up(rows, ROWS)), across * COLUMNS
    room = lambda values: chip.room(torch.float32, max(values, 1))
    sides = side(chip, queries), side(chip, gallery)
    flat_queries, flat_gallery = queries.reshape(-1), gallery.reshape(-1)
    diagonal = isinstance(reference, str)
    if diagonal:
        reference = room(rows)
        grid = (max(over(rows * 32, 256), 1), 1, 1)
        name = f"npair_diagonal_{TYPE_NAMES[dtype]}"
        chip.launch(name, grid, 256, 0, [reference], [flat_queries, flat_gallery], rows=rows, width=width)
    results, below = room(rows), room(rows)
    entries = chip.room(dtype, lines * line)
    exponents, terms, factors = room(across * lines), room(across * lines), room(lines)
    weights = room(across * lines if kind == "softplus_sum" else 1)
    of_queries = chip.room(dtype, rows * width) if wanted[0] else None
    parts = room(cut.parts * lines * stride if wanted[0] else 1)
    sums = room(columns * stride) if wanted[1] else None
    scaled = chip.room(dtype, lines * stride if wanted[1] else 1)
    ups = None if isinstance(upstream, float) else upstream
    fields = dict(
        columns=columns, width=width, stride=stride, line=line, tiles=across, mask=mask.number, kind=KINDS[kind],
        parts=cut.parts, share=upstream if ups is None else 1.0,
    )  # fmt: skip
    # What the diagonal's part of a gradient is taken from.
    below_in = below if diagonal else None
    finish = f"npair_finish_{TYPE_NAMES[dtype]}"
    for first in range(0, rows, cut.wave):
        now = min(cut.wave, rows - first)
        down = over(now, ROWS)
        here = dict(fields, rows=now)
        launches = wave(chip, kind, mask, sides, precision, here, reference)
        launches.matrix([entries, exponents, terms, weights], first, down)
        here["first_row"] = first
        chip.launch(
            "npair_rows", (down * ROWS // ROWS_OF_A_BLOCK, 1, 1), ROWS_OF_A_BLOCK * SLICES, ROWS_OF_A_BLOCK * SLICES * 20, [results, factors, below, exponents],
            [terms, weights, None if reference is None else reference[first:], ups], **here,
        )  # fmt: skip
        if of_queries is not None:
            launches.of_queries(parts, entries, exponents, down, here)
            ins = [parts, factors, below_in, flat_gallery]
            chip.launch(finish, blocks_of_values(now * width), 256, 0, [of_queries], ins, **dict(here, line=down * ROWS))
        if sums is not None:
            pad(chip, scaled, flat_queries, factors, **here)
            launches.of_gallery(sums, entries, exponents, scaled, dict(here, flags=BEGINS if first == 0 else 0))
    of_gallery = None
    if sums is not None:
        of_gallery = chip.room(dtype, columns * width)
        ends = dict(rows=columns, width=width, stride=stride, line=columns, parts=1)
        ins = [sums, None, below_in, flat_queries]
        chip.launch(finish, blocks_of_values(columns * width), 256, 0, [of_gallery], ins, **ends)
    shaped = lambda flat, n: None if flat is None else flat.view(n, width)
    return Found(results, shaped(of_queries, rows), shaped(of_gallery, columns), below)


def mean_of(chip, results):
    out = chip.room(torch.float32, 1)
    chip.launch("npair_mean", (1, 1, 1), 256, 256 * 8, [out], [results], rows=len(results), share=1 / len(results))
    return out


def n_pair_mc(chip, anchors, positives, precision, **how):
    """The mean of log(1 + sum of exp(s - own)) over the others, and both gradients of it."""
    found = soft(
        chip, "log1p_sum_exp", Mask("off_diagonal"), anchors, positives, precision, "diagonal", 1 / len(anchors), **how
    )
    return mean_of(chip, found.results), found


# --- Searches ---------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Terms:
    """closeness = scale q.g + row + column."""

    scale: float = 1.0
    rows: torch.Tensor | None = None
    columns: torch.Tensor | None = None


@dataclasses.dataclass
class SearchCut:
    columns: int
    slack: int
    rows: int


def search_cut(k):
    columns = min(CANDIDATES // 2, SEARCH_COLUMNS) // COLUMNS * COLUMNS
    slack = min(max(k // 2, 256), CANDIDATES // 8)
    return SearchCut(columns, slack, max(SEARCH_KEPT // ((k + slack + columns) * 8) // ROWS, 1) * ROWS)


class Scan:
    """A search's launches of products by mma.sync."""

    def __init__(self, chip, mask, q, g, precision, terms):
        self.chip, self.mask, self.q, self.g, self.precision, self.terms = chip, mask, q, g, precision, terms

    def candidates(self, outs, bars, start, **fields):
        ins = [bars, self.q[start * fields["stride"] :], self.g, self.terms.rows, self.terms.columns, *self.mask.classes]
        grid = (over(fields["columns"] - fields["first_column"], COLUMNS), over(fields["rows"], ROWS), 1)
        self.chip.launch(f"npair_candidates_{self.precision}", grid, THREADS, SHARED, outs, ins, first_row=start, **fields)

    def extremes(self, best, **fields):
        ins = [self.q, self.g, self.terms.rows, self.terms.columns, *self.mask.classes]
        grid = (over(fields["columns"], COLUMNS), over(fields["rows"], ROWS), 1)
        self.chip.launch(f"npair_extremes_{self.precision}", grid, THREADS, SHARED, [best], ins, **fields)


def nearest(chip, queries, gallery, k, precision, mask=Mask(), terms=Terms(), cut=None, scan=Scan):
    """Closeness and places of the k nearest of every query, nearest first, and the status."""
    (rows, width), columns = queries.shape, gallery.shape[0]
    stride, cut = up(width, ALIGNED), cut or search_cut(k)
    capacity = k + cut.slack + cut.columns
    if capacity > CANDIDATES:
        raise ValueError(f"{k} neighbours are more than a kernel can count")
    q, g = side(chip, queries), side(chip, gallery)
    launches = scan(chip, mask, q, g, precision, terms)
    block = min(cut.rows, rows)
    keys, counts = chip.room(torch.int64, block * capacity), chip.room(torch.int32, block)
    bars, status = chip.room(torch.float32, block), chip.room(torch.int32, 1)
    near, places = chip.room(torch.float32, rows * k), chip.room(torch.int32, rows * k)
    fill(chip, status, 1, 0)
    for start in range(0, rows, block):
        now = min(block, rows - start)
        fields = dict(rows=now, width=width, stride=stride, mask=mask.number, k=k, capacity=capacity, scale=terms.scale)
        fill(chip, counts, now, 0)
        fill(chip, bars, now, 0xFF80_0000)  # minus infinity
        for first in range(0, columns, cut.columns):
            end = min(columns, first + cut.columns)
            launches.candidates([keys, counts, status], bars, start, **fields, columns=end, first_column=first, line=k + cut.slack)
            line = k if end == columns else k + cut.slack
            chip.launch("npair_prune", (min(now, PRUNING), 1, 1), 256, capacity * 8 + 260 * 4, [keys, counts, bars], [], **fields, first_row=start, line=line)
        shared = (1 << max(k - 1, 0).bit_length()) * 8
        chip.launch("npair_sorted", (now, 1, 1), 256, shared, [near, places], [keys, counts], **fields, first_row=start)
    return near.view(rows, k), places.view(rows, k), status


def extremes(chip, queries, gallery, precision, mask=Mask(), terms=Terms(), farthest=False, scan=Scan):
    """Closeness and place of every query's nearest under the mask, or of its farthest."""
    (rows, width), columns = queries.shape, gallery.shape[0]
    q, g = side(chip, queries), side(chip, gallery)
    best, near, places = chip.room(torch.int64, rows), chip.room(torch.float32, rows), chip.room(torch.int32, rows)
    fill(chip, best, 2 * rows, 0)
    fields = dict(
        rows=rows, columns=columns, width=width, stride=up(width, ALIGNED), mask=mask.number, scale=terms.scale,
        flags=FARTHEST if farthest else 0,
    )  # fmt: skip
    scan(chip, mask, q, g, precision, terms).extremes(best, **fields)
    chip.launch("npair_of_keys", (over(rows, 256), 1, 1), 256, 0, [near, places], [best], **fields)
    return near, places
