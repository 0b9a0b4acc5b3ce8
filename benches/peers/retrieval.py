"""The accuracy calculator of pytorch-metric-learning with faiss's flat index on CPU, timed on request: `python retrieval.py`.

scores   precision@1, R-precision and MAP@R of a set in itself.
"""

import argparse

import faiss
import numpy as np
import pytorch_metric_learning
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import FaissKNN

import products
import protocol

SCORES = ("precision_at_1", "r_precision", "mean_average_precision_at_r")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=products.CLASSES)
    parser.add_argument("--rows", type=int, default=products.ROWS)
    parser.add_argument("--noise", type=float, default=products.NOISE)
    parser.add_argument("--embedding", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--values", action="store_true", help="tell the scores at once")
    args = parser.parse_args()
    faiss.omp_set_num_threads(args.threads)
    torch.set_num_threads(args.threads)
    values, labels = products.products(args.classes, args.rows, args.embedding, args.noise)
    rows, labels = torch.from_numpy(values), torch.from_numpy(labels)
    # Rows have length 1: the order of inner products is that of distances, and faiss is faster at it.
    knn = FaissKNN(index_init_fn=faiss.IndexFlatIP, reset_before=True, reset_after=True)
    judge = AccuracyCalculator(include=SCORES, k="max_bin_count", device=torch.device("cpu"), knn_func=knn)

    def scores():
        return judge.get_accuracy(rows, labels)

    said = {"values": {name: float(value) for name, value in scores().items()}} if args.values else {}
    protocol.say(
        ready="retrieval", work={"scores": 2 * args.rows**2 * args.embedding}, threads=faiss.omp_get_max_threads(),
        versions={
            "faiss": faiss.__version__, "torch": torch.__version__, "numpy": np.__version__,
            "pytorch-metric-learning": pytorch_metric_learning.__version__,
        },
        **said,
    )
    protocol.serve({"scores": scores})


if __name__ == "__main__":
    main()
