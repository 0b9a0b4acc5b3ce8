"""What `npair bench --device cuda` times, in PyTorch on the same GPU: `python gpu.py --beside results/bench.jsonl`.

eager    N-pair-mc by one matrix product and cross-entropy; search by product and topk in chunks of queries.
fused    N-pair-mc by Triton kernels that never write the matrix out (gpu_kernels.py), as flash attention does it.
cudnn    training step (Adam, fused) and evaluation of networks, channels last: convolutions in tf32 as PyTorch has them by default,
         in f32 as npair computes them, and under autocast in bf16. `--compiled` also compiles the training steps.

Wall time from an idle device to an idle device, medians, warmed up; values and gradients of the fused kernels are compared with those of
float64 on the CPU before anything is timed. Ratios are npair's time over the other's: below 1 npair is faster.
"""

import argparse
import functools
import json
import statistics
import time

import torch
from torch.nn import functional as F

import architectures

WIDTH = 512


def sync(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def median_ms(work, device):
    """At least 7 rounds and a second of them, at most 50; three where they take longer than 30 seconds."""
    work(), work()
    sync(device)
    times = []
    while not (len(times) >= 50 or (len(times) >= 7 and sum(times) >= 1) or (len(times) >= 3 and sum(times) >= 30)):
        start = time.perf_counter()
        work()
        sync(device)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def sides(n, dtype, device):
    """Rows whose inner products have a standard deviation of 1."""
    generator = torch.Generator().manual_seed(n)
    make = lambda: (WIDTH**-0.25 * torch.randn(n, WIDTH, generator=generator)).to(device, dtype).requires_grad_()
    return make(), make()


def n_pair_mc_eager(anchors, positives):
    return F.cross_entropy(anchors @ positives.T, torch.arange(len(anchors), device=anchors.device))


def stepper(loss, anchors, positives):
    def step():
        anchors.grad = positives.grad = None
        loss(anchors, positives).backward()

    return step


def check_fused(loss, device):
    """Raises if they are wrong: a number of rows that fills no block, every type."""
    for dtype, allowed in [(torch.float32, 1e-2), (torch.bfloat16, 3e-2)]:
        anchors, positives = sides(333, dtype, device)
        exact = [side.detach().cpu().double().requires_grad_() for side in (anchors, positives)]
        value, want = loss(anchors, positives), n_pair_mc_eager(*exact)
        value.backward(), want.backward()
        pairs = [(value, want)] + [(a.grad, b.grad) for a, b in zip((anchors, positives), exact)]
        for got, right in pairs:
            apart = (got.detach().cpu().double() - right.detach()).norm() / right.detach().norm()
            if not apart <= allowed:
                raise RuntimeError(f"the fused kernels are off by {apart:.1e} in {dtype}")


def matrix_cases(sizes, device):
    """Name, label and work."""
    types = [("bf16", torch.bfloat16, False), ("f32 as tf32", torch.float32, True), ("f32", torch.float32, False)]
    fused = None
    try:
        import gpu_kernels

        check_fused(gpu_kernels.n_pair_mc, device)
        if device.type == "cuda":
            for dtype in (torch.bfloat16, torch.float32):
                print(f"fused kernels in {dtype}: rows, columns, warps, stages {gpu_kernels.tune(*sides(8192, dtype, device))}")
            check_fused(gpu_kernels.n_pair_mc, device)
        fused = gpu_kernels.n_pair_mc
    except Exception as why:  # whatever a compiler may say: the rest is still worth having
        print(f"not taken: the fused kernels: {first_line(why)}")
    for n in sizes:
        for called, dtype, tf32 in types:
            name = f"N-pair-mc, value and gradients, N = {n}, D = {WIDTH}, {called}"
            losses = [("PyTorch, eager", n_pair_mc_eager)]
            if fused is not None and not (dtype == torch.float32 and not tf32):
                losses.append(("Triton, fused", fused))
            for label, loss in losses:

                def make(loss=loss, n=n, dtype=dtype, tf32=tf32):
                    torch.backends.cuda.matmul.allow_tf32 = tf32
                    return stepper(loss, *sides(n, dtype, device))

                yield name, label, make


def search_case(queries, gallery, k, device):
    def make():
        torch.backends.cuda.matmul.allow_tf32 = False
        q, g = sides(queries, torch.float32, device)[0].detach(), sides(gallery, torch.float32, device)[1].detach()
        # The largest chunk whose products take 4 GiB.
        chunk = max(1, (1 << 30) // gallery)

        def search():
            for part in q.split(chunk):
                found = (part @ g.T).topk(k)
                found.values.cpu(), found.indices.cpu()

        return search

    yield f"exact top {k} of {queries} queries in {gallery} x {WIDTH}, f32", "PyTorch, chunks", make


# Networks of 224 x 224 pixels.
LARGE = [("googlenet", "GoogLeNet"), ("resnet50", "ResNet-50"), ("vit-s16", "ViT-S/16")]
# Called, whether products of f32 are of tf32, the type of autocast.
WAYS = [("tf32", True, None), ("f32", False, None), ("bf16", True, torch.bfloat16)]


def network_cases(nets, device, compiled):
    for network, called, (batch, channels, size) in nets:
        what = f"{called}, {batch} x {channels} x {size} x {size}"
        for way, tf32, half in WAYS:

            def build(tf32=tf32, network=network, batch=batch, channels=channels, size=size):
                torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
                torch.backends.cudnn.benchmark = True
                net = architectures.build(network, channels, size, WIDTH, 0.0)
                net = net.to(device, memory_format=torch.channels_last).train()
                pixels = torch.randn(batch, channels, size, size, device=device).to(memory_format=torch.channels_last)
                return net, pixels

            def cast(half=half):
                return torch.autocast(device.type, half or torch.bfloat16, enabled=half is not None)

            def step(build=build, cast=cast, compile_net=False):
                net, pixels = build()
                optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
                forward = torch.compile(net) if compile_net else net

                def run():
                    optimizer.zero_grad(set_to_none=True)
                    with cast():
                        embeddings = forward(pixels)
                    embeddings = embeddings.float()
                    n_pair_mc_eager(embeddings[0::2], embeddings[1::2]).backward()
                    optimizer.step()

                return run

            def embed(build=build, cast=cast):
                net, pixels = build()
                net.eval()

                def run():
                    with torch.inference_mode(), cast():
                        net(pixels)

                return run

            yield f"training step of {what}", f"PyTorch, cuDNN, {way}", step
            yield f"embedding of {what}", f"PyTorch, cuDNN, {way}", embed
            if compiled and way != "f32":
                yield f"training step of {what}", f"PyTorch, compiled, {way}", functools.partial(step, compile_net=True)


def first_line(error):
    return (str(error) or type(error).__name__).splitlines()[0]


def beside(path, device):
    """npair's medians in ms by name, of its last run on that device."""
    if path is None:
        return {}
    with open(path) as lines:
        runs = [json.loads(line) for line in lines]
    runs = [run for run in runs if run["device"].partition(":")[0] == device.type]
    if not runs:
        raise SystemExit(f"{path} has no run of {device.type}: run npair bench --device {device} --record {path}")
    return {c["name"]: 1e3 * statistics.median(c["seconds"]) for c in runs[-1]["cases"] if c["seconds"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="the sizes of npair bench --quick")
    parser.add_argument("--beside", metavar="FILE", help="what npair bench --record wrote")
    parser.add_argument("--only", choices=["matrix", "search", "networks"], help="a part of it")
    parser.add_argument("--cases", default="", help="only what has this in its name or label")
    parser.add_argument("--compiled", action="store_true", help="compile the networks' training steps too: minutes")
    args = parser.parse_args()
    device = torch.device(args.device)
    ours = beside(args.beside, device)
    if args.quick:
        sizes, search, few, batch, size = [256], (100, 2000, 10), 4, 4, 64
    else:
        sizes, search, few, batch, size = [8192, 65536, 262144], (10_000, 1_000_000, 100), 120, 120, 224
    nets = [("conv-net", "ConvNet", (few, 1, 28))]
    nets += [(name, called, (batch, 3, size)) for name, called in LARGE]
    print(f"torch {torch.__version__} on {torch.cuda.get_device_name(device) if device.type == 'cuda' else 'the CPU'}; medians")
    print(f"  {'':66} {'':22} {'its ms':>10} {'npair ms':>10} {'ratio':>6}")
    parts = {
        "matrix": lambda: matrix_cases(sizes, device),
        "search": lambda: search_case(*search, device),
        "networks": lambda: network_cases(nets, device, args.compiled),
    }
    cases = (case for part, of_part in parts.items() if args.only in (None, part) for case in of_part())
    for name, label, make in cases:
        if args.cases not in f"{name}, {label}":
            continue
        try:
            its = median_ms(make(), device)
        except Exception as why:  # above all a want of memory
            print(f"  {name:66} {label:22} not taken: {first_line(why)}", flush=True)
        else:
            own = ours.get(f"{name}, {label.rsplit(', ')[-1]}", ours.get(name))
            ratio = f"{own:10.2f} {own / its:6.2f}" if own is not None else f"{'?':>10} {'?':>6}"
            print(f"  {name:66} {label:22} {its:10.2f} {ratio}", flush=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
