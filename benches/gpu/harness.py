"""npair's CUDA kernels on this machine's GPU without Rust: compiled, checked against float64, timed beside others.

    python benches/gpu/harness.py --out results/        on a GPU; a short table last, everything in results/harness.json
    python benches/gpu/harness.py --emulated            the same on this processor at tiny sizes: what can be mended without a GPU

Every section has a budget of seconds and loses nothing of the others when it fails. The exit code is 1 where a check failed.
"""

import argparse
import functools
import pathlib
import subprocess
import sys
import tempfile
import time

import torch

import checks
import chips
import hopper
import peers
import plan
import timing
from params import PRECISIONS, Mask
from report import Report

WIDTH = 512


class Bench:
    """A chip, its inputs and what is found."""

    def __init__(self, chip, args, report):
        self.chip, self.report, self.emulated, self.args = chip, report, args.emulated, args
        self.inputs = checks.Inputs(chip, args.seed)
        self.width = 136 if self.emulated else WIDTH

    def waves(self, precision):
        """Ways to make a wave's launches, by name."""
        found = [("npair mma.sync", plan.Wave)]
        if hopper.takes(self.chip, precision):
            found.append(("npair wgmma", hopper.Wave))
        return [way for way in found if self.args.way in way[0]]

    def scans(self, precision):
        """Ways to search, by name."""
        found = [("npair mma.sync", plan.Scan)]
        if hopper.takes(self.chip, precision):
            found.append(("npair wgmma", hopper.Scan))
        return [way for way in found if self.args.way in way[0]]

    def sets_of_sides(self, rows, columns, precision):
        """Sides in turn, more of them than the cache holds."""
        dtype = PRECISIONS[precision]
        size = (rows + columns) * self.width * torch.empty(0, dtype=dtype).element_size()
        make = lambda n: (torch.randn(n, self.width, device=self.chip.device) * self.width**-0.25).to(dtype)
        return [(make(rows), make(columns)) for _ in range(timing.copies_beyond_cache(self.chip, size))]

    def time(self, work, who, step, flops, seconds, note=""):
        """A median; a failure is a line of its own."""
        try:
            self.report.measured(work, who, timing.median_ms(self.chip, step(), seconds), flops, note)
        except Exception as why:
            self.report.not_taken(work, who, why)
        if self.chip.device.type == "cuda":
            torch.cuda.empty_cache()


# --- Sections: name, seconds, what is done ----------------------------------------------------------------------------------


def machine(bench):
    report, chip = bench.report, bench.chip
    report.note("chip", f"{chip.name}, compute capability {chip.capability}, {chip.multiprocessors} multiprocessors")
    report.note("torch", f"{torch.__version__}, CUDA {torch.version.cuda}")
    report.note("seed", bench.args.seed)
    for words in [["nvcc", "--version"], ["nvidia-smi", "--query-gpu=name,driver_version,clocks.sm,clocks.max.sm,power.limit", "--format=csv,noheader"]]:
        try:
            report.note(words[0], subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1])
        except (OSError, subprocess.CalledProcessError) as why:
            report.note(words[0], f"not there: {type(why).__name__}")


def rates(bench):
    for what, ms, rate, unit in timing.rates(bench.chip, bench.emulated):
        bench.report.note(what, f"{ms:.3f} ms, {rate:.1f} {unit}")


def correctness(bench):
    """Every check; a failure does not end the others."""
    chip, inputs, report = bench.chip, bench.inputs, bench.report
    chip.poisons = True
    parts = [(f"reductions, {p}, {name}", functools.partial(checks.check_reductions, chip, inputs, bench.emulated, (p,), wave))
             for p in PRECISIONS for name, wave in bench.waves(p)]  # fmt: skip
    parts += [(f"searches, {p}, {name}", functools.partial(checks.check_searches, chip, inputs, bench.emulated, (p,), scan))
              for p in PRECISIONS for name, scan in bench.scans(p)]  # fmt: skip
    parts.append(("mean", lambda: [checks.check_mean(chip, inputs) or "mean: right"]))
    for what, check in parts:
        try:
            for line in check():
                report.note(f"checked {what}", line)
        except Exception as why:
            report.failed(f"{what}: {type(why).__name__}: {why}")
    chip.poisons, chip.fences = False, []
    if chip.device.type == "cuda":
        torch.cuda.empty_cache()
    missing = checks.unlaunched(chip)
    if missing and not bench.args.way:
        report.failed(f"kernels that no check has started: {missing}")
    report.note("kernels checked", len(chip.launched))


def pieces(bench):
    """Every product of a wave beside that of all GPUs: what a new kernel is looked at with first."""
    bench.chip.poisons = True
    for precision in ("bf16", "f16"):
        for shape in [(128, 256, 256), (300, 300, 136)] if bench.emulated else [(128, 256, 256), (300, 517, 136), (1030, 2100, 512)]:
            for holds, line in checks.check_pieces(bench.chip, bench.inputs, precision, hopper.Wave, shape):
                bench.report.note("piece", line) if holds else bench.report.failed(line)
    bench.chip.poisons = False


def n_pair_mc(bench, n, precision, seconds, others):
    """Value and both gradients; `others` are the peers that are asked."""
    work = f"N-pair-mc value + gradients, N = {n}, D = {bench.width}, {precision}"
    flops = 6 * n * n * bench.width
    sides = bench.sets_of_sides(n, n, precision)
    for who, wave in bench.waves(precision):
        for kept in bench.args.kept:
            note = f"matrix of {kept >> 20} MiB at a time" if kept else ""
            bench.time(work, who, lambda: lambda i: plan.n_pair_mc(bench.chip, *sides[i % len(sides)], precision, wave=wave, kept=kept), flops, seconds, note)
    if "eager" in others:
        bench.time(work, "PyTorch eager", lambda: peers.n_pair_mc_step(peers.n_pair_mc, sides, precision), flops, seconds)
    if "compiled" in others:
        bench.time(work, "PyTorch compiled", lambda: peers.n_pair_mc_step(peers.compiled(), sides, precision), flops, seconds)
    if "triton" in others:
        def step():
            if n not in bench.__dict__.setdefault("tuned", {}):
                bench.tuned[n] = bench.tuned.get(precision) or peers.triton_loss(sides[0])
                bench.tuned[precision] = bench.tuned[n]
                bench.report.note(f"Triton blocks, {precision}", str(bench.tuned[n][1]))
            return peers.triton_step(bench.tuned[precision][0], sides)

        bench.time(work, "Triton fused", step, flops, seconds)


def matrices(bench):
    if bench.emulated:
        return n_pair_mc(bench, 150, "bf16", 0.01, ("eager",))
    for n in bench.args.sizes:
        for precision in ("bf16", "tf32", "split", "f32"):
            # 6 N^2 D at what each reaches at least; a size that takes longer than its share is left out.
            expected = 6 * n * n * WIDTH / {"bf16": 2e14, "tf32": 1e14, "split": 4e13, "f32": 2e13}[precision]
            if precision in bench.args.leave_out or expected > 3:
                bench.report.not_taken(f"N-pair-mc value + gradients, N = {n}, D = {WIDTH}, {precision}", "npair", f"left out, about {expected:.0f} s a call")
                continue
            others = {"bf16": ("eager",), "tf32": ("eager",), "split": (), "f32": ("eager",)}[precision]
            n_pair_mc(bench, n, precision, min(1.0, 4 * expected), others if n < 200_000 or precision == "bf16" else ())


def searches(bench):
    """The 100 nearest of 10,000 queries in 1,000,000 rows."""
    q, g, k = (100, 1000, 10) if bench.emulated else (10_000, 1_000_000, 100)
    for precision in ("bf16", "split") if bench.emulated else ("bf16", "tf32", "split"):
        work, dtype = f"top {k} of {q} in {g} x {bench.width}, {precision}", PRECISIONS[precision]
        queries, gallery = (torch.randn(n, bench.width, device=bench.chip.device).to(dtype) for n in (q, g))
        flops = 2 * q * g * bench.width
        for who, scan in bench.scans(precision):
            bench.time(work, who, lambda: lambda i: plan.nearest(bench.chip, queries, gallery, k, precision, scan=scan), flops, 1.0)
        its = "f32" if precision == "split" else precision
        bench.time(work, "PyTorch chunks", lambda: peers.search_step(queries, gallery, k, its), flops, 1.0)
        for name, step in [("faiss", peers.faiss_step), ("cuvs", peers.cuvs_step)]:
            found, why = peers.library(name)
            if found is None:
                bench.report.not_taken(work, name, why)
            elif precision == "split":
                bench.time(work, name, lambda: step(found, queries, gallery, k), flops, 1.0)


def hardest(bench):
    """The nearest of another class and the farthest of the same one, for every row."""
    n = 200 if bench.emulated else 65_536
    for precision in ("bf16",) if bench.emulated else ("bf16", "tf32"):
        sides = bench.sets_of_sides(n, n, precision)
        classes = torch.randint(0, n // 8, (n,), dtype=torch.int32, device=bench.chip.device)
        other, same = Mask("other_class", classes, classes), Mask("same_class_off_diagonal", classes, classes)
        work = f"hardest pairs, N = {n}, D = {bench.width}, {precision}"

        def step(i, scan):
            queries, gallery = sides[i % len(sides)]
            return [plan.extremes(bench.chip, queries, gallery, precision, other, scan=scan),
                    plan.extremes(bench.chip, queries, gallery, precision, same, farthest=True, scan=scan)]  # fmt: skip

        flops = 4 * n * n * bench.width
        for who, scan in bench.scans(precision):
            bench.time(work, who, lambda: functools.partial(step, scan=scan), flops, 0.7)
        bench.time(work, "PyTorch chunks", lambda: peers.extremes_step(sides, classes, classes, precision), flops, 0.7)


def masked(bench):
    """Reductions of rows under masks of classes."""
    n, precision = (150, "bf16") if bench.emulated else (16_384, "bf16")
    sides = bench.sets_of_sides(n, n, precision)
    classes = torch.randint(0, n // 8, (n,), dtype=torch.int32, device=bench.chip.device)
    for kind, name in [("log_sum_exp", "same_class"), ("log1p_sum_exp", "other_class"), ("softplus_sum", "other_class")]:
        mask, work = Mask(name, classes, classes), f"{kind} under {name}, N = {n}, D = {bench.width}, {precision}"
        flops = 6 * n * n * bench.width
        for who, wave in bench.waves(precision):
            step = lambda i: plan.soft(bench.chip, kind, mask, *sides[i % len(sides)], precision, upstream=1 / n, wave=wave)
            bench.time(work, who, lambda: step, flops, 0.5)
        bench.time(work, "PyTorch eager", lambda: peers.reduction_step(kind, mask, sides, precision), flops, 0.5)


def slow_peers(bench):
    """What compiles first: compiled PyTorch and Triton."""
    found, why = peers.library("siglip_kernel")
    bench.report.not_taken("a loss over all pairs", "siglip-kernel", why or "is there, but its loss is another one: sigmoids of all pairs")
    if bench.emulated:  # there is no compiling for fibers
        return
    for n in bench.args.sizes:
        precision = "bf16"
        others = ("compiled", "triton") if n < 200_000 else ("compiled",)
        work, flops = f"N-pair-mc value + gradients, N = {n}, D = {WIDTH}, {precision}", 6 * n * n * WIDTH
        if flops > 3e14:
            continue
        way, bench.args.way = bench.args.way, "nothing of ours"
        n_pair_mc(bench, n, precision, 0.7, others)
        bench.args.way = way


def parts(bench):
    """Every product of a wave on its own, each way."""
    rows, columns, precision = (128, 300, "bf16") if bench.emulated else (4096, 65_536, "bf16")
    for who, wave in bench.waves(precision):
        for name, step in checks.pieces(bench.chip, bench.inputs, precision, wave, (rows, columns, bench.width)):
            bench.time(f"{name} of a wave, {rows} x {columns} x {bench.width}, {precision}", who, lambda: lambda i: step(), 2 * rows * columns * bench.width, 0.2)


def profile(bench):
    """One reduction of every way, for a profiler around this program."""
    sides = bench.sets_of_sides(8192, 8192, "bf16")[0]
    for _, wave in bench.waves("bf16"):
        plan.n_pair_mc(bench.chip, *sides, "bf16", wave=wave)
    torch.cuda.synchronize()


def sweep(bench):
    """Variants of the kernels, each compiled with words of its own."""
    way, chip, bench.args.way = bench.args.way, bench.chip, "wgmma"
    for defines in hopper.VARIANTS:
        try:
            bench.chip = open_chip(bench.args, defines)
            bench.inputs.chip = bench.chip
            bench.report.note("variant", " ".join(defines) or "as it is")
            parts(bench)
        except Exception as why:
            bench.report.failed(f"variant {defines}: {type(why).__name__}: {why}")
    bench.args.way, bench.chip, bench.inputs.chip = way, chip, chip


SECTIONS = [machine, rates, correctness, matrices, searches, hardest, masked, slow_peers]
BY_NAME = {section.__name__: section for section in [*SECTIONS, pieces, parts, profile, sweep]}


def open_chip(args, defines=()):
    if args.emulated:
        return chips.Emulated(args.cache, reverse=args.reverse, defines=(*defines, *args.define))
    return chips.Gpu(args.cache, defines=(*defines, *args.define))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulated", action="store_true", help="on this processor, at tiny sizes")
    parser.add_argument("--reverse", action="store_true", help="emulated: the last thread runs first")
    parser.add_argument("--out", help="folder for harness.json")
    parser.add_argument("--cache", default=str(pathlib.Path(tempfile.gettempdir()) / "npair-kernels"), help="compiled kernels")
    parser.add_argument("--only", help=f"sections, of {','.join(BY_NAME)}")
    parser.add_argument("--sweep", action="store_true", help="variants of the kernels last")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--seconds", type=float, default=230, help="no section begins later than that")
    parser.add_argument("--sizes", type=lambda s: [int(n) for n in s.split(",")], default=[8192, 65_536, 262_144])
    parser.add_argument("--kept", type=lambda s: [int(n) << 20 for n in s.split(",")], default=[None], help="MiB of the matrix at a time, instead of the plan's")
    parser.add_argument("--way", default="", help="only ways whose name has this: mma.sync, wgmma")
    parser.add_argument("--leave-out", default="", help="precisions that are not timed")
    parser.add_argument("--define", action="append", default=[], help="a word for the kernels' compiler, NAME=VALUE")
    args = parser.parse_args()
    report = Report(args.out)
    if args.out:
        pathlib.Path(args.out).mkdir(parents=True, exist_ok=True)
    start = time.time()
    bench = Bench(open_chip(args), args, report)
    sections = [BY_NAME[name] for name in args.only.split(",")] if args.only else list(SECTIONS)
    for section in sections + ([sweep] if args.sweep else []):
        if time.time() - start > args.seconds:
            report.not_taken(section.__name__, "", "the time was over")
            continue
        report.say(f"== {section.__name__}")
        try:
            section(bench)
        except Exception as why:
            report.failed(f"{section.__name__}: {type(why).__name__}: {why}")
        if not args.emulated:
            torch.cuda.empty_cache()
    report.table()
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
