"""Contenders that fetch the k nearest rows of every anchor and choose from them: top_k.py NAME STORE PAIRS OUT K KIND."""
import sys

import numpy as np

from job import THREADS, Job, Stages

BATCH = 8192

# efSearch or probes with which 95 % of the anchors' nearest 64 are found on glove100, as tune.py shows: the recall that
# miner's cells are asked for.
EFFORT = {"faiss-hnsw": 384, "faiss-ivf": 64, "hnswlib": 256}


def faiss_flat(vectors):
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda queries, k, _: index.search(queries, k)


def faiss_hnsw(vectors):
    import faiss

    index = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    index.add(vectors)
    return lambda queries, k, ef: index.search(queries, k, params=faiss.SearchParametersHNSW(efSearch=ef))


def faiss_ivf(vectors):
    import faiss

    cells = faiss.IndexFlatIP(vectors.shape[1])
    index = faiss.IndexIVFFlat(cells, vectors.shape[1], 1024, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    return lambda queries, k, probes: index.search(queries, k, params=faiss.SearchParametersIVF(nprobe=probes))


def hnswlib_graph(vectors):
    import hnswlib

    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=16, ef_construction=100)
    index.set_num_threads(THREADS)
    index.add_items(vectors)

    def search(queries, k, ef):
        index.set_ef(ef)
        found, distance = index.knn_query(queries, k)
        return 1 - distance, found.astype(np.int64)

    return search


BUILD = {"faiss-flat": faiss_flat, "faiss-hnsw": faiss_hnsw, "faiss-ivf": faiss_ivf, "hnswlib": hnswlib_graph}


def main(name, store, pairs, out, k, kind):
    stage = Stages()
    with stage("read"):
        job = Job(store, pairs, kind)
    with stage("build"):
        search = BUILD[name](job.vectors)
    for start in range(0, len(job.anchor), BATCH):
        with stage("search"):
            similarity, found = search(job.vectors[job.anchor[start:start + BATCH]], k, EFFORT.get(name))
        with stage("select"):
            job.select(start, found, 1 - similarity)
    with stage("write"):
        job.write(out)
    stage.report("hnswlib" if name == "hnswlib" else "faiss-cpu", "numpy")


if __name__ == "__main__":
    main(*sys.argv[1:5], k=int(sys.argv[5]), kind=sys.argv[6])
