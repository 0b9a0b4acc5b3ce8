"""Medians on the chip: device events on a GPU, the clock on this processor."""

import statistics
import time

import torch


def sync(chip):
    if chip.device.type == "cuda":
        torch.cuda.synchronize()


def once_ms(chip, work, first, count):
    """Milliseconds of one of `count` calls in a row, work(first) and on."""
    if chip.device.type != "cuda":
        start = time.perf_counter()
        for i in range(count):
            work(first + i)
        return 1e3 * (time.perf_counter() - start) / count
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for i in range(count):
        work(first + i)
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / count


def samples_ms(chip, work, seconds):
    """Warmed up; at least three samples of at least 10 ms, at most 15, within about so many seconds."""
    work(0)
    sync(chip)
    single = once_ms(chip, work, 1, 1)
    count = max(1, min(50, int(10 / max(single, 1e-3))))
    samples, start = [], time.perf_counter()
    while len(samples) < 3 or (len(samples) < 15 and time.perf_counter() - start < seconds):
        samples.append(once_ms(chip, work, 2 + len(samples) * count, count))
        if single > 1e3 * seconds:
            break
    return samples


def median_ms(chip, work, seconds=1.0):
    return statistics.median(samples_ms(chip, work, seconds))


def copies_beyond_cache(chip, bytes_of_one):
    """How many sets of inputs have to be taken in turn so that none is still in the cache."""
    if chip.device.type != "cuda":
        return 2
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    return max(2, min(12, -(-2 * cache // bytes_of_one) + 1))


def rates(chip, emulated):
    """What the chip can do at best: a copy in its memory, and products of PyTorch's library."""
    size, n = (1 << 20, 128) if emulated else (4 << 30, 8192)
    source = torch.empty(size, dtype=torch.uint8, device=chip.device).random_()
    target = torch.empty_like(source)
    ms = median_ms(chip, lambda i: target.copy_(source), 0.5)
    yield "copy in the chip's memory, read and written", ms, 2 * size / ms / 1e9, "TB/s"
    del source, target
    for name, dtype, tf32 in [("bf16", torch.bfloat16, True), ("tf32", torch.float32, True), ("f32", torch.float32, False)]:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(n, n, device=chip.device).to(dtype) for _ in range(2))
        ms = median_ms(chip, lambda i: a @ b, 0.5)
        yield f"product {n} x {n} x {n} by PyTorch, {name}", ms, 2 * n**3 / ms / 1e9, "TFLOP/s"
    torch.backends.cuda.matmul.allow_tf32 = False
