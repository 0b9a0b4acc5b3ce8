"""Exact search of a set in itself by faiss's flat index, timed on request: `python search.py 60502 10`.

search   the k nearest rows by inner product of every row.
"""

import argparse

import faiss
import numpy as np

import protocol


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int)
    parser.add_argument("k", type=int)
    parser.add_argument("--embedding", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    faiss.omp_set_num_threads(args.threads)
    rows = np.random.default_rng(1).uniform(-1, 1, (args.rows, args.embedding)).astype(np.float32)
    index = faiss.IndexFlatIP(args.embedding)
    index.add(rows)
    protocol.say(
        ready="top-k", work={"search": 2 * args.rows**2 * args.embedding},
        versions={"faiss": faiss.__version__, "numpy": np.__version__}, threads=faiss.omp_get_max_threads(),
    )
    protocol.serve({"search": lambda: index.search(rows, args.k)})


if __name__ == "__main__":
    main()
