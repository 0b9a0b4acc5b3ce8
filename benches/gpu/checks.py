"""Every kernel against float64 on fresh random inputs: odd sizes, poisoned buffers with a fence behind them."""

import itertools
import random

import torch

import plan
import truth
from params import KINDS, MASKS, PRECISIONS, Mask

# What a gradient may be off by: weights and results are rounded to the type, products have the precision's error.
TOLERANCES = {"bf16": 6e-3, "f16": 8e-4, "tf32": 6e-3, "split": 3e-5, "f32": 3e-5}
# The relative error of a product of two numbers.
OF_A_PRODUCT = {"bf16": 2**-23, "f16": 2**-23, "tf32": 2**-10, "split": 2**-20, "f32": 2**-23}


class Inputs:
    """Random inputs of one seed."""

    def __init__(self, chip, seed):
        self.chip, self.random = chip, random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.generator).to(self.chip.device)

    def side(self, rows, width, dtype, size=1.0):
        """Rows whose inner products have a standard deviation of size^2."""
        return (self.normal(rows, width) * size * width**-0.25).to(dtype)

    def whole(self, rows, width, dtype):
        """Small whole numbers, whose products are exact in every type and often equal."""
        return torch.randint(-2, 3, (rows, width), generator=self.generator).to(dtype).to(self.chip.device)

    def mask(self, name, rows, columns, classes=5):
        draw = lambda n: torch.randint(0, classes, (n,), generator=self.generator, dtype=torch.int32).to(self.chip.device)
        row, column = draw(rows), draw(columns)
        if name == "same_class_off_diagonal" and rows == columns:
            column = row
        return Mask(name, row, column)

    def between(self, low, high):
        return self.random.randint(low, high)


def distance(got, want, terms):
    """|got - want| / (|want| + terms), where terms is the size of what is summed: it may cancel, its roundings do not."""
    return ((got.double() - want).norm() / (want.norm() + terms)).item()


def expect(holds, what):
    if not holds:
        raise AssertionError(what)


def check_soft(chip, inputs, kind, mask_name, shape, precision, reference, per_row, size=1.0, cut=None, wave=plan.Wave, wanted=(True, True)):
    """Compares one reduction with its gradients; returns the largest part of what was allowed that was used."""
    rows, columns, width = shape
    q, g = (inputs.side(n, width, PRECISIONS[precision], size) for n in (rows, columns))
    mask = inputs.mask(mask_name, rows, columns)
    upstream = inputs.normal(rows) if per_row else 1 / rows
    ups = upstream if per_row else torch.full((rows,), upstream, device=chip.device)
    reference = inputs.normal(rows) if reference == "given" else reference
    what = f"{kind} {mask_name} {rows} x {columns} x {width} {precision} size {size} {wave.__name__} {cut}"
    found = plan.soft(chip, kind, mask, q, g, precision, reference, upstream, cut, wanted, wave=wave)
    chip.check_fences()
    want = truth.soft(kind, mask, q, g, reference, ups)
    longest_q, longest_g = (side.double().norm(dim=1).max().item() for side in (q, g))
    off = longest_q * longest_g * (OF_A_PRODUCT[precision] + (width + 8) * 6e-8)
    allowed = 2 * off * (columns if kind == "softplus_sum" else 1) + 4e-6 * want[0].abs().clamp(min=1)
    apart = torch.where(found.results.double() == want[0], 0.0, (found.results.double() - want[0]).abs() / allowed)
    expect(bool((apart <= 1).all()), f"{what}: results off by {apart.max().item():.2f} of what is allowed")
    used, tolerance = apart.max().item(), TOLERANCES[precision] + 4 * off
    size_of_ups = ups.double().norm().item()
    pairs = [("queries", found.queries, want[1], longest_g), ("gallery", found.gallery, want[2], longest_q), ("below", found.below, want[3], 1.0)]
    for name, got, right, longest in pairs:
        if got is None:
            continue
        part = distance(got, right, size_of_ups * longest) / tolerance
        expect(part <= 1, f"{what}: {name} off by {part:.2f} of what is allowed")
        used = max(used, part)
    return used


def soft_cases(inputs, emulated, least):
    """Kinds and masks at odd sizes, references and upstreams in turn; then what is special."""
    small = (lambda: inputs.between(1, 140)) if emulated else (lambda: inputs.between(1, 900))
    widths = lambda: [inputs.between(least, least + 70)] if emulated else [inputs.between(least, 600), inputs.between(least, 600), 64, 128, 256, 512]
    wide = lambda: inputs.random.choice(widths())
    turns = itertools.cycle([(None, True), ("diagonal", False), ("given", True)])
    pairs = list(itertools.product(KINDS, MASKS))
    # Emulated products are slow: every kind and every mask once is enough there.
    pairs = [pairs[(i * 6) % len(pairs)] for i in range(5)] if emulated else pairs
    for at, (kind, mask) in enumerate(pairs):
        reference, per_row = next(turns)
        rows, columns = small(), small()
        rows = columns if reference == "diagonal" else rows
        cut = plan.Cut(128, 1 + at % 3) if at % 2 else None
        yield dict(kind=kind, mask_name=mask, shape=(rows, columns, wide()), reference=reference, per_row=per_row, cut=cut)
    n_pair = dict(kind="log1p_sum_exp", mask_name="off_diagonal", reference="diagonal", per_row=False)
    yield dict(n_pair, shape=(1, 1, 1))
    yield dict(n_pair, shape=(129, 129, 33), size=30.0)
    yield dict(n_pair, shape=(131, 131, 140))
    # More than a tile of columns, whole ones and a part of one.
    for kind, mask in [("log_sum_exp", "same_class"), ("softplus_sum", "other_class"), ("log1p_sum_exp", "same_class_off_diagonal")]:
        yield dict(kind=kind, mask_name=mask, shape=(290, 290, least + 9), reference="given", per_row=True)
    if not emulated:
        yield dict(n_pair, shape=(4097, 4097, 512))
        yield dict(n_pair, shape=(300, 300, 512), size=100.0)
        yield dict(n_pair, shape=(777, 777, 136), wanted=(True, False))
        yield dict(n_pair, shape=(777, 777, 136), wanted=(False, True))


def check_reductions(chip, inputs, emulated, precisions=tuple(PRECISIONS), wave=plan.Wave):
    """All reductions of every precision; yields a line for each."""
    # Sides of at most 128 are left to mma.sync.
    least = 1 if wave is plan.Wave else plan.NARROW + 1
    for precision in precisions:
        used = [check_soft(chip, inputs, precision=precision, wave=wave, **case) for case in soft_cases(inputs, emulated, least)]
        yield f"{precision}: {len(used)} reductions with gradients, at most {max(used):.2f} of what is allowed"


def check_pieces(chip, inputs, precision, wave, shape):
    """Each of a wave's products beside that of all GPUs, with the same factors; yields a line that says where they differ."""
    rows, columns, width = shape
    dtype = PRECISIONS[precision]
    q, g = (inputs.side(n, width, dtype).reshape(-1) for n in (rows, columns))
    tiles, lines, stride = plan.over(columns, plan.COLUMNS), plan.up(rows, plan.ROWS), width
    line, down, parts = tiles * plan.COLUMNS, lines // plan.ROWS, min(2, tiles)
    fields = dict(rows=rows, columns=columns, width=width, stride=stride, line=line, tiles=tiles, mask=1, kind=0, parts=parts, share=1.0)
    found = {}
    for way in (plan.Wave, wave):
        launches = way(chip, "log_sum_exp", Mask("off_diagonal"), (q, g), precision, fields, None)
        room = lambda *size: chip.room(torch.float32, torch.Size(size).numel())
        entries, exponents, terms = chip.room(dtype, lines * line), room(tiles, lines), room(tiles, lines)
        launches.matrix([entries, exponents, terms, room(1)], 0, down)
        raised = torch.exp2(exponents.view(tiles, lines, 1).double())
        whole = entries.view(lines, tiles, plan.COLUMNS).transpose(0, 1).double() * raised.nan_to_num(0.0, 0.0, 0.0)
        sums = terms.view(tiles, lines).double() * raised[..., 0].nan_to_num(0.0, 0.0, 0.0)
        # The gradients of the same entries, each way; the last tile of columns on another scale for some rows.
        common = found.setdefault("common", (inputs.normal(lines * line).to(dtype), torch.ones(tiles, lines, device=chip.device)))
        common[1][-1, 3::5] = 0.25
        of_queries, of_gallery = room(parts, lines, stride), room(columns, stride)
        launches.of_queries(of_queries, common[0], common[1].view(-1), down, fields)
        scaled = inputs.whole(rows, stride, dtype).reshape(-1) if "scaled" not in found else found["scaled"]
        found["scaled"] = scaled
        launches.of_gallery(of_gallery, common[0], common[1].view(-1), scaled, dict(fields, flags=plan.BEGINS))
        launches.of_gallery(of_gallery, common[0], common[1].view(-1), scaled, dict(fields, flags=0))
        found[way] = dict(entries=whole[:, :rows], terms=sums[:, :rows], of_queries=of_queries.view(parts, lines, stride), of_gallery=of_gallery.view(columns, stride))
    chip.check_fences()
    for name, right in found[plan.Wave].items():
        got = found[wave][name].double()
        right = right.double()
        apart = (got - right).abs() > 2e-2 * right.abs() + 2e-2 * right.square().mean().sqrt()
        apart |= ~got.isfinite()
        line = f"{precision} {shape} {name}: apart by {((got - right).norm() / right.norm()).item():.1e}, {apart.double().mean().item():.4f} of the values differ"
        if bool(apart.any()):
            first = [tuple(at.tolist()) for at in apart.nonzero()[:3]]
            where = [sorted({int(x) // 64 for x in apart.nonzero()[:, d].unique().tolist()})[:12] for d in range(apart.dim())]
            values = [(got[at].item(), right[at].item()) for at in first]
            line += f"; first {first} {values}; blocks of 64 {where}"
        yield not bool(apart.any()), line


def pieces(chip, inputs, precision, wave, shape):
    """A wave's products by name, each as something to call."""
    rows, columns, width = shape
    dtype = PRECISIONS[precision]
    make = lambda n: (torch.randn(n, device=chip.device) * width**-0.25).to(dtype)
    q, g = make(rows * width), make(columns * width)
    tiles, lines = plan.over(columns, plan.COLUMNS), plan.up(rows, plan.ROWS)
    line, down, parts = tiles * plan.COLUMNS, lines // plan.ROWS, plan.cut_of(rows, columns, width, 2).parts
    fields = dict(rows=rows, columns=columns, width=width, stride=width, line=line, tiles=tiles, mask=1, kind=0, parts=parts, share=1.0)
    launches = wave(chip, "log_sum_exp", Mask("off_diagonal"), (q, g), precision, fields, None)
    room = lambda n: chip.room(torch.float32, n)
    entries, exponents, terms = chip.room(dtype, lines * line), room(tiles * lines), room(tiles * lines)
    of_queries, of_gallery, ones = room(parts * lines * width), room(columns * width), torch.ones(tiles * lines, device=chip.device)
    yield "matrix", lambda: launches.matrix([entries, exponents, terms, terms], 0, down)
    yield "of queries", lambda: launches.of_queries(of_queries, entries, ones, down, fields)
    yield "of gallery", lambda: launches.of_gallery(of_gallery, entries, ones, q, dict(fields, flags=0))


def check_mean(chip, inputs):
    results = inputs.normal(inputs.between(2, 5000))
    got, want = plan.mean_of(chip, results).item(), results.double().mean().item()
    chip.check_fences()
    expect(abs(got - want) <= 1e-6, f"mean: {got} {want}")


def search_inputs(inputs, precision, shape, whole):
    rows, columns, width = shape
    make = inputs.whole if whole else inputs.side
    q, g = (make(n, width, PRECISIONS[precision]) for n in (rows, columns))
    if not whole:
        return q, g, plan.Terms()
    squares = [-(side.float() ** 2).sum(1) for side in (q, g)]
    return q, g, inputs.random.choice([plan.Terms(), plan.Terms(2.0, *squares)])


def check_nearest(chip, inputs, precision, shape, k, mask_name, whole, cut=None, scan=plan.Scan):
    q, g, terms = search_inputs(inputs, precision, shape, whole)
    mask = inputs.mask(mask_name, *shape[:2])
    what = f"top {k} {mask_name} {shape} {precision} whole {whole} {cut} {scan.__module__}"
    near, places, status = plan.nearest(chip, q, g, k, precision, mask, terms, cut, scan)
    chip.check_fences()
    expect(status.item() == 0, f"{what}: status {status.item()}")
    matrix = truth.closeness(q, g, mask, terms)
    values, order = truth.sorted_by_place(matrix, k)
    if whole:
        expect(torch.equal(near.double(), values), f"{what}: closeness")
        expect(torch.equal(places.long(), order), f"{what}: places")
        return
    off = q.double().norm(dim=1).max().item() * g.double().norm(dim=1).max().item() * (OF_A_PRODUCT[precision] + (shape[2] + 8) * 6e-8)
    close = lambda a, b: bool(((a == b) | ((a - b).abs() <= 2 * off)).all())
    expect(close(near.double(), values), f"{what}: closeness")
    is_one = places >= 0
    expect(torch.equal(is_one, order >= 0), f"{what}: how many")
    own = matrix.gather(1, places.long().clamp(min=0))
    expect(close(torch.where(is_one, own, -torch.inf), near.double()), f"{what}: places")
    sorted_places = torch.where(is_one, places.long(), -1 - torch.arange(k, device=places.device)).sort(1).values
    expect(bool((sorted_places[:, 1:] != sorted_places[:, :-1]).all()), f"{what}: a place twice")


def check_refusal(chip, inputs, precision, width, scan):
    """A query with a NaN is refused by both searches."""
    q, g = (inputs.side(n, width, PRECISIONS[precision]) for n in (140, 300))
    q[133, 5] = torch.nan
    _, _, status = plan.nearest(chip, q, g, 3, precision, scan=scan)
    expect(status.item() == 134, f"{precision}: a NaN gives status {status.item()}")
    near, places = plan.extremes(chip, q, g, precision, scan=scan)
    chip.check_fences()
    expect(bool(near[133].isnan()) and places[133].item() == -1, f"{precision}: a NaN is found near")
    expect(int(near.isnan().sum()) == 1, f"{precision}: a NaN is seen in other rows")


def check_extremes(chip, inputs, precision, shape, mask_name, farthest, whole, scan=plan.Scan):
    q, g, terms = search_inputs(inputs, precision, shape, whole)
    mask = inputs.mask(mask_name, *shape[:2])
    what = f"extremes {mask_name} {shape} {precision} farthest {farthest} whole {whole} {scan.__module__}"
    near, places = plan.extremes(chip, q, g, precision, mask, terms, farthest, scan)
    chip.check_fences()
    matrix = truth.closeness(q, g, mask, terms)
    there = (matrix > -torch.inf).any(1)
    signed = torch.where(matrix == -torch.inf, matrix, -matrix if farthest else matrix)
    values, order = truth.sorted_by_place(signed, 1)
    values, order = torch.where(there, -values[:, 0] if farthest else values[:, 0], -torch.inf), order[:, 0]
    off = 0.0 if whole else q.double().norm(dim=1).max().item() * g.double().norm(dim=1).max().item() * (OF_A_PRODUCT[precision] + (shape[2] + 8) * 6e-8)
    close = lambda a, b: bool(((a == b) | ((a - b).abs() <= 2 * off)).all())
    expect(close(near.double(), values), f"{what}: closeness")
    if whole:
        expect(torch.equal(places.long(), order), f"{what}: places")
    else:
        own = torch.where(there, matrix.gather(1, places.long().clamp(min=0)[:, None])[:, 0], -torch.inf)
        expect(close(own, near.double()), f"{what}: places")


def check_searches(chip, inputs, emulated, precisions=tuple(PRECISIONS), scan=plan.Scan):
    """Both searches of every precision; yields a line for each."""
    least = 1 if scan is plan.Scan else plan.NARROW + 1
    for precision in precisions:
        count = 0
        for whole, (at, mask) in itertools.product((True, False), enumerate(MASKS)):
            if emulated and (at + whole) % 3:
                continue
            most = (150, 600) if emulated else (300, 9000)
            shape = (*(inputs.between(1, n) for n in most), inputs.between(least, least + (40 if emulated else 400)))
            k = inputs.between(1, 60 if emulated else 400)
            small = plan.SearchCut(256, 40, 128) if at % 2 else None
            check_nearest(chip, inputs, precision, shape, k, mask, whole, small, scan)
            check_extremes(chip, inputs, precision, shape, mask, bool(at % 2), whole, scan)
            count += 2
        check_refusal(chip, inputs, precision, least + 23, scan)
        yield f"{precision}: {count} searches, exact where products are exact; a NaN is refused"


def unlaunched(chip):
    """Kernels that no check has started."""
    return sorted(chip.kernels - chip.launched)
