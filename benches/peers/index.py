"""faiss's flat index and its HNSW on the rows that `approximate exact ROWS FOLDER` (npair-index) left in a folder: `python index.py FOLDER`.

exact    ten nearest by inner product, 500 queries at once and 20 one by one, seven rounds
hnsw     with --hnsw: 16 links, 128 in view while it is made; recall@10 and the time of a query on one thread
"""

import argparse
import pathlib
import time

import faiss
import numpy as np

WIDTH = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hnsw", action="store_true")
    args = parser.parse_args()
    faiss.omp_set_num_threads(args.threads)
    rows, queries = (np.fromfile(args.folder / f"{name}.f32", np.float32).reshape(-1, WIDTH) for name in ("rows", "queries"))
    print(f"faiss {faiss.__version__}, numpy {np.__version__}, {args.threads} threads, {len(rows)} rows")
    flat = faiss.IndexFlatIP(WIDTH)
    flat.add(rows)
    for _ in range(7):
        start = time.perf_counter()
        _, exact = flat.search(queries, 10)
        together = time.perf_counter() - start
        start = time.perf_counter()
        for query in queries[:20]:
            flat.search(query[None], 10)
        alone = time.perf_counter() - start
        print(f"exact: {1e3 * together / len(queries):.3f} ms a query of {len(queries)} at once, {50 * alone:.3f} ms alone")
    if args.hnsw:
        graph(rows, queries, exact)


def graph(rows, queries, exact):
    index = faiss.IndexHNSWFlat(WIDTH, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 128
    start = time.perf_counter()
    index.add(rows)
    print(f"hnsw: made in {time.perf_counter() - start:.0f} s")
    faiss.omp_set_num_threads(1)
    for breadth in (32, 64, 128):
        index.hnsw.efSearch = breadth
        found, times = 0, []
        for query, want in zip(queries, exact):
            start = time.perf_counter()
            _, near = index.search(query[None], 10)
            times.append(time.perf_counter() - start)
            found += len(set(near[0]) & set(want))
        print(f"hnsw, breadth {breadth}: recall@10 {found / exact.size:.4f}, {1e3 * np.median(times):.3f} ms in the median")


if __name__ == "__main__":
    main()
