"""The plan of the kernels for compute capability 9.0: the three products of a wave by wgmma, the rest as everywhere."""

import torch

import plan
from params import PRECISIONS

# hopper.cu
THREADS, STAGE_BYTES, STAGES, SUGGESTS = 384, 48 << 10, 4, 4
# Words for the compiler that are tried.
VARIANTS = [(f"NPAIR_HOPPER_STAGES={n}",) for n in (4, 3, 2)]


def takes(chip, precision):
    return f"npair_wgmma_matrix_{precision}" in chip.kernels


SHARED = STAGES * STAGE_BYTES + 1024 + 128


def start(chip, name, precision, tiles, outs, ins, maps, fields):
    """Blocks that stay: as many as the chip has multiprocessors."""
    grid = (min(tiles, chip.multiprocessors), 1, 1)
    chip.launch(f"npair_wgmma_{name}_{precision}", grid, THREADS, SHARED, outs, ins, maps, **fields)


def map_of(chip, flat, stride, box):
    return chip.map(flat, len(flat) // stride, stride, box)


class Scan(plan.Scan):
    """A search's launches by wgmma; narrow sides are left to mma.sync."""

    def maps(self, stride):
        return [map_of(self.chip, self.q, stride, 128), map_of(self.chip, self.g, stride, 256)]

    def candidates(self, outs, bars, start_row, **fields):
        if fields["width"] <= plan.NARROW:
            return super().candidates(outs, bars, start_row, **fields)
        tiles = plan.over(fields["rows"], plan.ROWS) * plan.over(fields["columns"] - fields["first_column"], plan.COLUMNS)
        ins = [bars, self.terms.rows, self.terms.columns, *self.mask.classes]
        start(self.chip, "candidates", self.precision, tiles, outs, ins, self.maps(fields["stride"]), dict(fields, first_row=start_row))

    def extremes(self, best, **fields):
        if fields["width"] <= plan.NARROW:
            return super().extremes(best, **fields)
        tiles = plan.over(fields["rows"], plan.ROWS) * plan.over(fields["columns"], plan.COLUMNS)
        ins = [self.terms.rows, self.terms.columns, *self.mask.classes]
        start(self.chip, "extremes", self.precision, tiles, [best], ins, self.maps(fields["stride"]), fields)


class Wave(plan.Wave):
    """A wave's launches by wgmma; narrow sides are left to mma.sync."""

    # Bytes of the matrix at a time: the gallery's sums are passed over once a wave.
    KEPT = 2 << 30

    def __init__(self, chip, kind, mask, sides, precision, fields, reference):
        super().__init__(chip, kind, mask, sides, precision, fields, reference)
        self.narrow = fields["width"] <= plan.NARROW
        self.lines, self.stride = plan.up(fields["rows"], plan.ROWS), fields["stride"]

    def start(self, name, tiles, outs, ins, maps, fields):
        start(self.chip, name, self.precision, tiles, outs, ins, maps, fields)

    def matrix(self, outs, first, down):
        if self.narrow:
            return super().matrix(outs, first, down)
        entries, exponents, terms, _ = outs
        fields = dict(self.fields, first_row=first)
        maps = [map_of(self.chip, self.queries, self.stride, 128), map_of(self.chip, self.gallery, self.stride, 256)]
        maps.append(self.chip.woven_map(self.gallery, fields["columns"], self.stride))
        if self.kind == "softplus_sum":
            reference = None if self.reference is None else self.reference[first:]
            return self.start("margins", down * fields["tiles"], outs, [reference, *self.mask.classes], maps, fields)
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
        maps = [self.entries_map(entries, 128), map_of(self.chip, self.gallery, self.stride, 64)]
        self.start("of_queries", tiles, [parts], [exponents], maps, fields)

    def of_gallery(self, sums, entries, exponents, scaled, fields):
        if self.narrow:
            return super().of_gallery(sums, entries, exponents, scaled, fields)
        tiles = plan.over(self.stride, 256) * plan.over(fields["columns"], plan.ROWS)
        maps = [self.entries_map(entries, 64), self.chip.map(scaled, fields["rows"], self.stride, 64)]
        self.start("of_gallery", tiles, [sums], [exponents], maps, fields)
