"""A network in PyTorch, timed on request: `python networks.py conv-net --batch 120 --channels 1 --size 28`.

step    gradients to none, forward, N-pair-mc on rows that alternate anchor and positive, backward, one Adam step.
embed   evaluation under inference_mode; convolutions and their batch norms folded into one (torch.fx), as PyTorch gets
        fastest without a compiler.

With --precision bf16 the step is under autocast, and evaluation has weights and pictures in bf16. With --compile both go through
torch.compile; where that does not work here, the first line says so.
"""

import argparse
import copy

import timm
import torch
import torchvision
from torch.fx.experimental.optimization import fuse
from torch.nn import functional as F

import architectures
import protocol


def n_pair_mc(embeddings):
    """Sohn 2016, eq. 7: soft-max cross-entropy of every anchor's similarities, its own positive being the target."""
    logits = embeddings[0::2] @ embeddings[1::2].T
    return F.cross_entropy(logits, torch.arange(len(logits)))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(architectures.ARCHITECTURES))
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--embedding", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layout", choices=["channels-first", "channels-last"], default="channels-first")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


class Bench:
    """A network in training, its batch, and what evaluation was made of it."""

    def __init__(self, args):
        self.layout = torch.channels_last if args.layout == "channels-last" else torch.contiguous_format
        self.half, self.compile = args.precision == "bf16", args.compile
        net = architectures.build(args.network, args.channels, args.size, args.embedding, args.dropout)
        self.net = net.to(memory_format=self.layout).train()
        pixels = torch.randn(args.batch, args.channels, args.size, args.size)
        self.pixels = pixels.to(memory_format=self.layout)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)
        self.trained = torch.compile(self.net) if self.compile else self.net
        self.folded = None

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            embeddings = self.trained(self.pixels)
        n_pair_mc(embeddings.float()).backward()
        self.optimizer.step()

    def embed(self):
        with torch.inference_mode():
            if self.folded is None:
                self.folded, self.pictures = self.evaluation()
            self.folded(self.pictures)

    def evaluation(self):
        """The network of the weights as they are now, and its pictures: what is timed afterwards does not depend on them."""
        net = copy.deepcopy(self.net).eval()
        try:
            net = fuse(net)
        except (torch.fx.proxy.TraceError, TypeError):
            # What cannot be traced has no batch norms here.
            pass
        to = torch.bfloat16 if self.half else torch.float32
        net = net.to(to).to(memory_format=self.layout).eval()
        return torch.compile(net) if self.compile else net, self.pixels.to(to)


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    bench = Bench(args)
    if args.compile:
        try:
            bench.step()
            bench.embed()
        except Exception as why:  # A compiler that is missing, an operation that it does not know, ...
            protocol.say(not_built=f"torch.compile: {why}".splitlines()[0])
            return
    protocol.say(
        ready=args.network,
        parameters=sum(p.numel() for p in bench.net.parameters()),
        versions={"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__},
        threads=torch.get_num_threads(),
    )
    protocol.serve({"step": bench.step, "embed": bench.embed})


if __name__ == "__main__":
    main()
