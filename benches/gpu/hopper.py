"""The plan of the kernels for compute capability 9.0: the three products of a wave by wgmma, the rest as everywhere."""

import torch

import plan
from params import PRECISIONS

# hopper.cu
THREADS, STAGE_BYTES, STAGES, SUGGESTS = 384, 48 << 10, 4, 4
# Words for the compiler that are tried.
VARIANTS = [(f"NPAIR_HOPPER_BEHIND={n}",) for n in (0, 1, 2, 3)]


def takes(chip, precision):
    return f"npair_wgmma_matrix_{precision}" in chip.kernels


def knows(kind):
    """Soft margins have the matrix of all GPUs, and gradients of these."""
    return True


def shared(chip):
    return getattr(chip, "stages", STAGES) * STAGE_BYTES + 1024 + 128


class Wave(plan.Wave):
    """A wave's launches by wgmma; narrow sides are left to mma.sync."""

    def __init__(self, chip, kind, mask, sides, precision, fields, reference):
        super().__init__(chip, kind, mask, sides, precision, fields, reference)
        self.narrow = fields["width"] <= plan.NARROW
        self.lines, self.stride = plan.up(fields["rows"], plan.ROWS), fields["stride"]

    def start(self, name, tiles, outs, ins, maps, fields):
        grid = (min(tiles, self.chip.multiprocessors), 1, 1)
        self.chip.launch(f"npair_wgmma_{name}_{self.precision}", grid, THREADS, shared(self.chip), outs, ins, maps, **fields)

    def map_of(self, flat, box):
        return self.chip.map(flat, len(flat) // self.stride, self.stride, box)

    def matrix(self, outs, first, down):
        if self.narrow or self.kind == "softplus_sum":
            return super().matrix(outs, first, down)
        entries, exponents, terms, _ = outs
        fields = dict(self.fields, first_row=first)
        maps = [self.map_of(self.queries, 128), self.map_of(self.gallery, 256)]
        suggested = self.chip.room(torch.float32, self.lines)
        nothing = [None, None]
        self.start("matrix", down, [entries, suggested, terms], [None, *nothing], maps, dict(fields, flags=SUGGESTS))
        ins = [suggested, *self.mask.classes]
        self.start("matrix", down * fields["tiles"], [entries, exponents, terms], ins, maps, fields)

    def entries_map(self, entries, box):
        line = self.fields["line"]
        return self.chip.map(entries, self.lines, line, box)

    def of_queries(self, parts, entries, exponents, down, fields):
        if self.narrow:
            return super().of_queries(parts, entries, exponents, down, fields)
        tiles = plan.over(self.stride, 256) * down * fields["parts"]
        maps = [self.entries_map(entries, 128), self.map_of(self.gallery, 64)]
        self.start("of_queries", tiles, [parts], [exponents], maps, fields)

    def of_gallery(self, sums, entries, exponents, scaled, fields):
        if self.narrow:
            return super().of_gallery(sums, entries, exponents, scaled, fields)
        tiles = plan.over(self.stride, 256) * plan.over(fields["columns"], plan.ROWS)
        maps = [self.entries_map(entries, 64), self.chip.map(scaled, fields["rows"], self.stride, 64)]
        self.start("of_gallery", tiles, [sums], [exponents], maps, fields)
