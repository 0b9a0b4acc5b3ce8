"""Where a network's step and evaluation spend their time in PyTorch, by operation: channels-last, f32, two threads."""
import sys

import torch
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, sys.argv[1])
sys.argv = [sys.argv[0], *sys.argv[2:]]
import networks  # noqa: E402

args = networks.arguments()
torch.set_num_threads(args.threads)
bench = networks.Bench(args)
for name, work in [("step", bench.step), ("embed", bench.embed)]:
    work()
    work()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(3):
            work()
    print(f"{args.network}, {name}, three times")
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=48))
