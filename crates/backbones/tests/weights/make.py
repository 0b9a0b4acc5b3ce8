"""Makes the small .pth files of tests/weights.rs: `python make.py` with torch 2.15 writes them beside itself."""

from collections import OrderedDict
from pathlib import Path

import torch

HERE = Path(__file__).parent


def block(outputs):
    """One block of the ConvNet, and what a whole classifier has beside it; every value is a short binary fraction."""
    values = lambda *shape: torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape) / 16
    return OrderedDict([
        ("block1.conv.weight", values(outputs, 1, 3, 3)),
        ("block1.norm.weight", values(outputs) + 1),
        ("block1.norm.bias", values(outputs) - 1),
        ("block1.norm.running_mean", values(outputs) + 2),
        ("block1.norm.running_var", values(outputs) + 3),
        ("block1.norm.num_batches_tracked", torch.tensor(7)),
        ("fc.weight", values(3, outputs)),
        ("fc.bias", values(3)),
    ])


plain = block(2)
torch.save(plain, HERE / "zip.pth")
torch.save(plain, HERE / "old.pth", _use_new_zipfile_serialization=False)

# A checkpoint of training in parallel: nested, prefixed, parameters, one of them transposed in its storage, one in half
# precision, two that share a storage.
module = OrderedDict((f"module.{name}", value) for name, value in plain.items())
weight = plain["block1.conv.weight"].permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
module["module.block1.conv.weight"] = torch.nn.Parameter(weight)
module["module.block1.norm.bias"] = plain["block1.norm.bias"].half()
both = torch.cat([plain["block1.norm.running_mean"], plain["block1.norm.running_var"]])
module["module.block1.norm.running_mean"], module["module.block1.norm.running_var"] = both[:2], both[2:]
torch.save({"epoch": 3, "args": {"lr": 0.1}, "state_dict": module}, HERE / "nested.pth")

torch.save(block(3), HERE / "wider.pth")
torch.save(torch.nn.Linear(2, 2), HERE / "module.pth")

# A checkpoint of another trainer: nested under keys of its own, compiled and in parallel, with the optimizer's tensors, a
# projection and flags beside it.
model = OrderedDict((f"_orig_mod.module.{name}", value) for name, value in plain.items())
model["_orig_mod.module.projector.0.weight"] = torch.zeros(2, 2)
model["_orig_mod.module.seen"] = torch.tensor([True, False])
state = {"step": torch.tensor(4.0), "exp_avg": torch.zeros(2, 1, 3, 3)}
torch.save({
    "epoch": 3,
    "optimizer": {"state": {0: state}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    "trainer": {"networks": {"student_network": model}},
}, HERE / "trainer.ckpt")

# Two networks in one dictionary, as contrastive training keeps them.
moco = OrderedDict()
for part, shift in [("encoder_k", 100), ("encoder_q", 0)]:
    for name, value in plain.items():
        moco[f"module.{part}.{name}"] = value + shift
moco["module.queue"], moco["module.queue_ptr"] = torch.zeros(4, 8), torch.zeros(1, dtype=torch.long)
torch.save({"epoch": 1, "state_dict": moco}, HERE / "moco.pth.tar")
torch.save({"epoch": 1, "args": {"lr": 0.1}, "history": [1, 2]}, HERE / "nothing.pth")
