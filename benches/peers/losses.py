"""Losses of pytorch-metric-learning on a made-up batch, timed on request: `python losses.py`.

A request is the name of a loss; what is timed is the loss of unnormalised embeddings (miners included) and its gradient.
"""

import argparse

import pytorch_metric_learning
import torch
from pytorch_metric_learning import losses, miners

import protocol


def cases(classes, width):
    """By the names that npair's side has; settings are those of losses_peer.rs."""
    return {
        "multi-similarity": (losses.MultiSimilarityLoss(2, 50, 0.5), None),
        "multi-similarity-mined": (losses.MultiSimilarityLoss(2, 50, 0.5), miners.MultiSimilarityMiner(0.1)),
        "batch-hard-triplet": (losses.TripletMarginLoss(margin=0.2), miners.BatchHardMiner()),
        "triplet-semi-hard": (
            losses.TripletMarginLoss(margin=0.2),
            miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard"),
        ),
        "triplet-margin-all": (losses.TripletMarginLoss(margin=0.05), None),
        "pairwise-contrastive": (losses.ContrastiveLoss(0, 1), None),
        "lifted-structure": (losses.LiftedStructureLoss(1, 0), None),
        "generalized-lifted-structure": (losses.GeneralizedLiftedStructureLoss(1, 0), None),
        "circle": (losses.CircleLoss(0.4, 80), None),
        "fast-ap": (losses.FastAPLoss(10), None),
        "smooth-ap": (losses.SmoothAPLoss(0.01), None),
        "ranked-list": (losses.RankedListLoss(margin=0.4, Tn=10, imbalance=0.5, alpha=1.2), None),
        "histogram": (losses.HistogramLoss(n_bins=200), None),
        "margin": (losses.MarginLoss(0.2, 0, 1.2, "triplet", True, num_classes=classes), None),
        "nt-xent": (losses.NTXentLoss(0.07), None),
        "sup-con": (losses.SupConLoss(0.1), None),
        "tuplet-margin": (losses.TupletMarginLoss(5.73, 64), None),
        "angular": (losses.AngularLoss(40), None),
        "proxy-nca": (losses.ProxyNCALoss(classes, width), None),
        "proxy-anchor": (losses.ProxyAnchorLoss(classes, width, margin=0.1, alpha=32), None),
        "arc-face": (losses.ArcFaceLoss(classes, width, margin=28.6, scale=64), None),
        "cos-face": (losses.CosFaceLoss(classes, width, margin=0.35, scale=64), None),
        "normalized-softmax": (losses.NormalizedSoftmaxLoss(classes, width, temperature=0.05), None),
        "soft-triple": (losses.SoftTripleLoss(classes, width, centers_per_class=10, la=20, gamma=0.1, margin=0.01), None),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--embedding", type=int, default=128)
    parser.add_argument("--per-class", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    labels = torch.arange(args.batch) // args.per_class
    classes = int(labels.max()) + 1
    # Classes around centres of their own, as after some training.
    centres = torch.randn(classes, args.embedding)
    embeddings = (centres[labels] + torch.randn(args.batch, args.embedding)).requires_grad_()

    def timed(loss, miner):
        def work():
            embeddings.grad = None
            tuples = None if miner is None else miner(embeddings, labels)
            loss(embeddings, labels, tuples).backward()

        return work

    versions = {"torch": torch.__version__, "pytorch-metric-learning": pytorch_metric_learning.__version__}
    protocol.say(ready="losses", versions=versions, threads=torch.get_num_threads())
    protocol.serve({name: timed(*case) for name, case in cases(classes, args.embedding).items()})


if __name__ == "__main__":
    main()
