"""faiss's k-means on CPU, timed on request: `python k_means.py 5`.

cluster   so many iterations from random points, on all rows, and the nearest centre of every row at the end.
"""

import argparse

import faiss
import numpy as np

import products
import protocol


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", type=int)
    parser.add_argument("--classes", type=int, default=products.CLASSES)
    parser.add_argument("--rows", type=int, default=products.ROWS)
    parser.add_argument("--noise", type=float, default=products.NOISE)
    parser.add_argument("--embedding", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--values", action="store_true", help="tell the sum of squares at once")
    args = parser.parse_args()
    faiss.omp_set_num_threads(args.threads)
    values, _ = products.products(args.classes, args.rows, args.embedding, args.noise)

    def cluster():
        # No row is left out, and none is asked to be there 39 times a cluster.
        k_means = faiss.Kmeans(
            args.embedding, args.classes, niter=args.rounds, nredo=1, seed=1,
            min_points_per_centroid=1, max_points_per_centroid=args.rows,
        )
        k_means.train(values)
        far, nearest = k_means.index.search(values, 1)
        return far, nearest

    said = {"values": {"sse": float(cluster()[0].astype(np.float64).sum())}} if args.values else {}
    protocol.say(
        ready="k-means", threads=faiss.omp_get_max_threads(),
        work={"cluster": 2 * args.rows * args.classes * args.embedding * (args.rounds + 1)},
        versions={"faiss": faiss.__version__, "numpy": np.__version__}, **said,
    )
    protocol.serve({"cluster": cluster})


if __name__ == "__main__":
    main()
