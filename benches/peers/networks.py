"""A network in PyTorch, timed on request: `python networks.py conv-net --batch 120 --channels 1 --size 28`.

step    gradients to none, forward, N-pair-mc on rows that alternate anchor and positive, backward, one Adam step.
embed   evaluation under inference_mode; convolutions and their batch norms folded into one (torch.fx), as PyTorch gets
        fastest without a compiler.
"""

import argparse

import torch
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
    return parser.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    layout = torch.channels_last if args.layout == "channels-last" else torch.contiguous_format
    net = architectures.build(args.network, args.channels, args.size, args.embedding, args.dropout)
    net = net.to(memory_format=layout).train()
    pixels = torch.randn(args.batch, args.channels, args.size, args.size).to(memory_format=layout)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    folded = None

    def step():
        optimizer.zero_grad(set_to_none=True)
        n_pair_mc(net(pixels)).backward()
        optimizer.step()

    def embed():
        nonlocal folded
        if folded is None:
            # Of the weights as they are now: what is timed afterwards does not depend on them.
            folded = fuse(net.eval()).to(memory_format=layout).eval()
            net.train()
        with torch.inference_mode():
            folded(pixels)

    protocol.say(
        ready=args.network,
        parameters=sum(p.numel() for p in net.parameters()),
        versions={"torch": torch.__version__},
        threads=torch.get_num_threads(),
    )
    protocol.serve({"step": step, "embed": embed})


if __name__ == "__main__":
    main()
