"""The first run's peer: PyTorch and pytorch-metric-learning on the classes and for the time of a run of npair.

    python benches/peers/first_run.py RUN --minutes 10 --rate 0.001 --loss multi-similarity

RUN is the folder of a finished run of npair on a folder of pictures: its split.csv says which pictures are learned from, chosen by and
judged on. The network is the same small ConvNet (four blocks of 64 filters), at the same size, batch and changes of pictures; rate and
loss are the grid. Prints recall@1 on the validation and the test classes, of the last weights.
"""

import argparse
import csv
import json
import math
import pathlib
import time

import torch
import torchvision.transforms.v2 as T
from PIL import Image
from pytorch_metric_learning import losses, samplers
from torch import nn

LOSSES = {
    "multi-similarity": lambda: losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
    "n-pairs": lambda: losses.NPairsLoss(),
    "sup-con": lambda: losses.SupConLoss(temperature=0.1),
    "triplet": lambda: losses.TripletMarginLoss(margin=0.2),
}


def block(before, after):
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2))


def read(run, source):
    """Pictures and classes by side."""
    sides = {}
    with open(run / "split.csv", newline="") as file:
        lines = [line for line in file if not line.startswith("#")]
    for row in csv.DictReader(lines):
        if row["example"] is None:
            continue
        sides.setdefault(row["split"], []).append((row["example"], row["class"]))
    return {side: [(source / name if not pathlib.Path(name).is_absolute() else name, label) for name, label in rows]
            for side, rows in sides.items()}


def tensor_of(rows, size):
    pictures = torch.stack([T.functional.pil_to_tensor(Image.open(path).convert("RGB").resize((size, size), Image.BILINEAR))
                            for path, _ in rows])
    names = {name: i for i, name in enumerate(sorted({label for _, label in rows}))}
    return pictures, torch.tensor([names[label] for _, label in rows])


def recall(model, pictures, labels, normal):
    model.eval()
    with torch.no_grad():
        rows = torch.cat([nn.functional.normalize(model(normal(part))) for part in pictures.split(256)])
    model.train()
    cosines = rows @ rows.T
    cosines.fill_diagonal_(-2)
    counts = torch.bincount(labels)
    right = labels[cosines.argmax(1)] == labels
    return right[counts[labels] > 1].float().mean().item()


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("run", type=pathlib.Path)
    args.add_argument("--source", type=pathlib.Path, default=pathlib.Path("."))
    args.add_argument("--minutes", type=float, default=10)
    args.add_argument("--rate", type=float, default=1e-3)
    args.add_argument("--loss", choices=LOSSES, default="multi-similarity")
    args.add_argument("--size", type=int, default=32)
    args.add_argument("--classes", type=int, default=32)
    args.add_argument("--per-class", type=int, default=4)
    args.add_argument("--threads", type=int, default=2)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    sides = read(args.run, args.source)
    pictures, labels = tensor_of(sides["train"], args.size)
    judged = {side: tensor_of(sides[side], args.size) for side in ("val", "test")}
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    normal = lambda x: ((x.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
    change = T.RandomAffine(degrees=10, translate=(0.08, 0.08), scale=(0.85, 1.15), shear=5, fill=255,
                            interpolation=T.InterpolationMode.BILINEAR)
    model = nn.Sequential(block(3, 64), block(64, 64), block(64, 64), block(64, 64), nn.Flatten(),
                          nn.Linear(64 * (args.size // 16) ** 2, 64)).to(memory_format=torch.channels_last)
    loss_of = LOSSES[args.loss]()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.rate)
    batch = args.classes * args.per_class
    sampler = samplers.MPerClassSampler(labels, m=args.per_class, batch_size=batch, length_before_new_iter=1 << 20)
    ids, begun, step, limit = iter(sampler), time.time(), 0, args.minutes * 60
    while (spent := time.time() - begun) < limit:
        part = spent / limit
        rate = args.rate * min(1, part / 0.05) * (0.5 + 0.5 * math.cos(math.pi * part))
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = torch.tensor([next(ids) for _ in range(batch)])
        seen = torch.stack([change(pictures[i]) for i in chosen])
        loss = loss_of(model(normal(seen)), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        step += 1
    found = {side: recall(model, *rows, normal) for side, rows in judged.items()}
    print(json.dumps({"loss": args.loss, "rate": args.rate, "steps": step, "minutes": args.minutes, "seed": args.seed,
                      "recall@1": found, "torch": torch.__version__}))


main()
