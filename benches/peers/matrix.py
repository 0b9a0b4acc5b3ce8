"""N-pair-mc of made-up embeddings in PyTorch, timed on request: `python matrix.py 4096`.

step    the loss by one matrix product and cross-entropy, and both gradients.
gemm    the matrix product alone.
"""

import argparse

import torch
from torch.nn import functional as F

import protocol


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=int)
    parser.add_argument("--embedding", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    # Inner products of about 1, as at the start of training.
    scale = args.embedding**-0.25
    anchors, positives = ((scale * torch.randn(args.pairs, args.embedding)).requires_grad_() for _ in range(2))
    targets = torch.arange(args.pairs)

    def step():
        anchors.grad = positives.grad = None
        F.cross_entropy(anchors @ positives.T, targets).backward()

    def gemm():
        with torch.no_grad():
            return anchors @ positives.T

    operations = 2 * args.pairs**2 * args.embedding
    protocol.say(
        ready="n-pair-mc", work={"step": 3 * operations, "gemm": operations}, versions={"torch": torch.__version__},
        threads=torch.get_num_threads(),
    )
    protocol.serve({"step": step, "gemm": gemm})


if __name__ == "__main__":
    main()
